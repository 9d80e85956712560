use std::time::{Duration, SystemTime};

use super::support::{Bench, LOOPBACK, READER, Tokens};
use crate::admin::context::{ConfigStatus, LastError, ReloadReport};
use crate::config::Row;

/// Answers the next reload with that report, and asks for one.
async fn reload(report: ReloadReport) -> super::support::Reply {
    let mut bench = Bench::new(Tokens::None);
    let (sender, mut reloads) = tokio::sync::mpsc::channel(1);
    std::mem::swap(&mut bench.reloads, &mut reloads);
    drop(sender);
    tokio::spawn(async move {
        let request = reloads.recv().await.unwrap();
        assert_eq!(request.by, "loopback");
        request.reply.send(report).unwrap();
    });
    bench.post("/config/reload", "").await
}

#[tokio::test(start_paused = true)]
async fn a_reload_answers_what_became_of_it() {
    let revision = || "beef".to_owned();
    let applied = reload(ReloadReport::Applied {
        revision: revision(),
        changes: "1 route changed: email".to_owned(),
    })
    .await;
    let unchanged = reload(ReloadReport::Unchanged {
        revision: revision(),
    })
    .await;
    let refused = reload(ReloadReport::Refused {
        revision: revision(),
        diagnostics: "error[E1]: …".to_owned(),
        errors: 2,
    })
    .await;
    assert_eq!(
        [&applied, &unchanged, &refused].map(|reply| reply.status),
        [200, 200, 422]
    );
    assert_eq!(
        applied.json(),
        serde_json::json!({"revision": "beef", "changed": true, "changes": "1 route changed: email"})
    );
    assert_eq!(unchanged.json()["changed"], false);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.json()["errors"], 2);
    assert_eq!(refused.json()["diagnostics"], "error[E1]: …");
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_nobody_takes_or_ends_is_answered_503() {
    let mut bench = Bench::new(Tokens::None);
    assert_eq!(bench.post("/config/reload", "{}").await.status, 503);
    bench.reloads.close();
    assert_eq!(bench.post("/config/reload", "{}").await.status, 503);
    assert_eq!(
        bench
            .post("/config/reload", r#"{"force":true}"#)
            .await
            .status,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn the_configuration_is_shown_with_its_last_error() {
    let bench = Bench::new(Tokens::None);
    let clean = bench.get("/config").await;
    insta::assert_snapshot!(clean.body);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_600);
    let status = ConfigStatus {
        last_error: Some(LastError {
            at,
            diagnostics: "error[E1]: …".to_owned(),
        }),
        ..(**bench.context.config.load()).clone()
    };
    bench.context.config.store(status.into());
    let failed = bench.get("/config").await.json();
    assert_eq!(
        failed["lastError"],
        serde_json::json!({"at": "2023-11-14T22:23:20.000Z", "diagnostics": "error[E1]: …"})
    );
}

#[tokio::test(start_paused = true)]
async fn what_counts_for_a_route_is_shown_with_its_origins() {
    let bench = Bench::new(Tokens::None);
    let shown = bench.get("/config/routes/whatsapp").await;
    assert_eq!(shown.status, 200);
    let json = shown.json();
    assert_eq!(
        (&json["name"], &json["revision"], &json["file"]),
        (&"whatsapp".into(), &"c0ffee00".into(), &"test.yaml".into())
    );
    let settings = json["settings"].as_array().unwrap();
    let of = |key: &str| settings.iter().find(|row| row["key"] == key).unwrap();
    assert_eq!(
        of("timeout"),
        &serde_json::json!({"key": "timeout", "value": "15s", "origin": "built-in preset whatsapp"})
    );
    assert_eq!(
        of("breaker.probe_timeout"),
        &serde_json::json!({"key": "breaker.probe_timeout", "otherwise": "the route's `timeout`", "origin": "built-in"})
    );
    let unknown = bench.get("/config/routes/whatsap").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json()["detail"],
        "there is no route `whatsap`; did you mean `whatsapp`?"
    );
    assert_eq!(unknown.json()["nearest"][0], "whatsapp");
    assert_eq!(unknown.json()["routes"].as_array().unwrap().len(), 3);
}

/// What the command says of a file, the port says of it too.
#[tokio::test(start_paused = true)]
async fn the_port_says_of_each_route_what_the_command_says() {
    let bench = Bench::new(Tokens::Both);
    let snapshot = bench.context.snapshot.load_full();
    let (_, names) = snapshot.source.shared().unwrap();
    let lines = format!("Authorization: Bearer {}\r\n", READER);
    for name in &names {
        let head = format!("GET /config/routes/{name}");
        let reply = bench.ask(LOOPBACK, &head, &lines, "").await;
        let rows = snapshot.source.route(name).unwrap();
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        let head = format!("GET /circuit-breakers/{name}");
        let breaker = bench.ask(LOOPBACK, &head, &lines, "").await.json();
        assert_eq!(reply.json()["settings"], breaker["settings"]);
        assert_eq!(reply.json()["settings"], serde_json::Value::Array(rows));
    }
}

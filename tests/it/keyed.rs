//! The whole data path with a breaker for each key, and with candidates that watch.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use sidefuse::resilience::{Key, State};
use sidefuse::time::now;

use crate::support::memory::{Said, Script, Stage, always, on_stage};

const KEYED: &str = "\
version: 1
routes:
  crm:
    upstream: http://origin
    breaker: {failure_threshold: 3, key: {header: X-Tenant-ID}}
";

/// Answers 500 to one tenant and 200 to everybody else.
fn fails_for(tenant: &'static str) -> Script {
    Arc::new(move |request| {
        let fails = request
            .headers()
            .get("x-tenant-id")
            .is_some_and(|id| id == tenant);
        let status = if fails { 500 } else { 200 };
        let answer = Response::builder()
            .status(status)
            .body(Full::default())
            .unwrap();
        Box::pin(std::future::ready(answer))
    })
}

async fn ask(stage: &Stage, tenant: &str) -> Said {
    let request = Request::get("/crm/x");
    let request = if tenant.is_empty() {
        request
    } else {
        request.header("x-tenant-id", tenant)
    };
    stage.ask(request).await
}

#[test]
fn one_tenants_trouble_is_refused_to_that_tenant_and_everybody_else_is_served() {
    on_stage(KEYED, fails_for("bad"), async |stage| {
        for _ in 0..3 {
            assert_eq!(ask(&stage, "bad").await.status, 500);
            assert_eq!(ask(&stage, "good").await.status, 200);
        }
        let calls = stage.origin.calls();
        let refused = ask(&stage, "bad").await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("x-sidefuse-reason"), "circuit_open");
        assert_eq!(refused.header("retry-after"), "60");
        let problem: Value = serde_json::from_str(refused.text()).unwrap();
        let key = Key::of(b"bad").to_string();
        let detail = problem["detail"].as_str().unwrap();
        let begin = format!("the breaker of this call's key ({key}) alone: open since ");
        assert!(detail.starts_with(&begin), "{detail}");
        assert_eq!(stage.origin.calls(), calls, "the upstream is not asked");
        assert_eq!(ask(&stage, "good").await.status, 200);
        assert_eq!(ask(&stage, "").await.status, 200);

        let route = stage.route("crm");
        assert_eq!(route.breaker.in_force(now()).0, State::Closed);
        let lines = stage.lines();
        let access = |line: &&Value| line["requestPath"] == "/crm/x";
        let keys: Vec<_> = lines
            .iter()
            .filter(access)
            .map(|line| line["key"].as_str())
            .collect();
        let good = Key::of(b"good").to_string();
        assert_eq!(keys[0], Some(&*key));
        assert_eq!(keys[1], Some(&*good));
        assert_eq!(keys.last(), Some(&None), "a call without a key has none");
        let text = lines.iter().map(Value::to_string).collect::<String>();
        assert!(
            !text.contains("\"bad\""),
            "the text of a key appears in no line"
        );
    });
}

#[test]
fn a_segment_of_the_path_and_the_host_tell_tenants_apart_too() {
    let fails: Script = Arc::new(|request| {
        let host = request.headers()["host"].to_str().unwrap();
        let is_bad = request.uri().path().ends_with("/bad") || host == "bad.example";
        let answer = Response::builder().status(if is_bad { 500 } else { 200 });
        Box::pin(std::future::ready(answer.body(Full::default()).unwrap()))
    });
    for (key, good, bad) in [
        (
            "path_segment: 2",
            ("/crm/v1/good", "a"),
            ("/crm/v1/bad", "a"),
        ),
        ("host: true", ("/x", "good.example"), ("/x", "bad.example")),
    ] {
        let config = KEYED.replace("header: X-Tenant-ID", key).replace(
            "    breaker:",
            "    match: {host: \"*.example\"}\n    preserve_host: true\n    breaker:",
        );
        on_stage(&config, Arc::clone(&fails), async |stage| {
            let ask = |(path, host): (&'static str, &'static str)| {
                stage.ask(Request::get(path).header("host", host))
            };
            for _ in 0..3 {
                assert_eq!(ask(bad).await.status, 500, "{key}");
                assert_eq!(ask(good).await.status, 200, "{key}");
            }
            let calls = stage.origin.calls();
            assert_eq!(ask(bad).await.header("x-sidefuse-reason"), "circuit_open");
            assert_eq!(stage.origin.calls(), calls);
            assert_eq!(ask(good).await.status, 200, "{key}");
        });
    }
}

#[test]
fn a_host_is_one_key_however_it_is_written() {
    let fails: Script = Arc::new(|request| {
        let host = request.headers()["host"].to_str().unwrap();
        let status = if host == "b.example" { 200 } else { 500 };
        let answer = Response::builder().status(status);
        Box::pin(std::future::ready(answer.body(Full::default()).unwrap()))
    });
    let config = KEYED.replace("header: X-Tenant-ID", "host: true").replace(
        "    breaker:",
        "    match: {host: \"*.example\"}\n    preserve_host: true\n    breaker:",
    );
    on_stage(&config, fails, async |stage| {
        let ask = |host: &'static str| stage.ask(Request::get("/x").header("host", host));
        for host in ["a.example", "A.Example", "a.example.:80"] {
            assert_eq!(ask(host).await.status, 500);
            assert_eq!(ask("b.example").await.status, 200);
        }
        let said = ask("a.example").await;
        assert!(
            said.text().contains("of this call's key"),
            "{}",
            said.text()
        );
    });
}

#[test]
fn a_field_that_is_a_key_and_stands_twice_is_400_and_reaches_nobody() {
    let rated = "version: 1\nroutes: {crm: {upstream: http://origin, limits: {rate: {per_second: 1, burst: 9, key: {header: X-Tenant-ID}}}}}\n";
    for config in [KEYED, rated] {
        for (strict, status) in [(true, 400), (false, 200)] {
            let config = format!("{config}http: {{strict: {strict}}}\n");
            on_stage(&config, always(200), async |stage| {
                let request = Request::get("/crm/x").header("x-tenant-id", "z0");
                let said = stage.ask(request.header("x-tenant-id", "a")).await;
                assert_eq!(said.status, status);
                assert_eq!(said.text().contains("`x-tenant-id`"), strict);
                assert_eq!(stage.origin.calls() > 0, !strict);
                assert_eq!(ask(&stage, "a").await.status, 200);
            });
        }
    }
}

#[test]
fn calls_without_a_key_and_calls_of_all_keys_are_watched_by_the_routes_breaker() {
    on_stage(KEYED, always(500), async |stage| {
        for tenant in ["a", "", "b"] {
            assert_eq!(ask(&stage, tenant).await.status, 500);
        }
        let refused = ask(&stage, "c").await;
        let problem: Value = serde_json::from_str(refused.text()).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("open since "), "{detail}");
        assert_eq!(stage.origin.calls(), 3);
    });
}

#[test]
fn rule_8_a_reload_keeps_the_breakers_of_keys_while_the_key_is_the_same_part() {
    on_stage(KEYED, fails_for("bad"), async |stage| {
        for _ in 0..3 {
            ask(&stage, "good").await;
            ask(&stage, "bad").await;
        }
        assert_eq!(ask(&stage, "bad").await.status, 503);
        stage.reload(&KEYED.replace("failure_threshold: 3", "failure_threshold: 4"));
        assert_eq!(ask(&stage, "bad").await.status, 503);
        stage.reload(&KEYED.replace("header: X-Tenant-ID", "path_segment: 1"));
        assert_eq!(
            ask(&stage, "bad").await.status,
            500,
            "tenants are no longer told apart"
        );
    });
}

#[test]
fn a_candidate_rejects_nobody_and_counts_whom_it_would_have_rejected_over_a_reload_too() {
    let config = "\
version: 1
routes:
  crm:
    upstream: http://origin
    shadow: {strict: {failure_threshold: 1}}
";
    on_stage(config, fails_for("bad"), async |stage| {
        assert_eq!(ask(&stage, "bad").await.status, 500);
        for _ in 0..4 {
            assert_eq!(ask(&stage, "good").await.status, 200);
        }
        stage.reload(&config.replace("http://origin", "http://origin/v2"));
        assert_eq!(ask(&stage, "good").await.status, 200);
        let shadows = stage.route("crm").shadows.clone().unwrap();
        let view = shadows.views(now()).remove(0);
        let report = view.report;
        assert_eq!((&*view.name, view.view.state()), ("strict", State::Open));
        assert_eq!((report.would_open, report.would_reject), (1, 5));
        assert_eq!(
            (report.rejected_successes, report.rejected_failures),
            (5, 0)
        );
    });
}

#[test]
fn calls_without_room_are_counted_on_when_another_field_is_the_key() {
    let config = KEYED.replace("}}", "}, max_keys: 1}");
    on_stage(&config, fails_for("bad"), async |stage| {
        for _ in 0..3 {
            ask(&stage, "bad").await;
        }
        ask(&stage, "good").await;
        let counts = || stage.route("crm").keyed.as_ref().unwrap().counts(now());
        assert_eq!((counts().total, counts().untracked), (1, 1));
        stage.reload(&config.replace("X-Tenant-ID", "X-Customer"));
        assert_eq!((counts().total, counts().untracked), (0, 1));
    });
}

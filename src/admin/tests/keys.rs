//! Breakers of single keys and candidates, as operators see and order them.

use std::time::Duration;

use super::support::{Bench, Tokens};
use crate::resilience::{Key, Label, Outcome, Permit, Rejection, Sample, Scope, Signal};
use crate::time::now;

const ROUTE: &str = "  tenants:
    upstream: http://127.0.0.1:9
    breaker: {failure_threshold: 3, key: {header: X-Tenant-ID}, max_keys: 2}
    shadow: {strict: {failure_threshold: 1}}
";

fn admit(bench: &Bench, key: &str) -> Result<Permit, Rejection> {
    let snapshot = bench.context.snapshot.load_full();
    let route = snapshot.route("tenants").unwrap();
    route.admit(Some(Key::of(key.as_bytes())), now())
}

fn fail(bench: &Bench, key: &str, times: u32) {
    for _ in 0..times {
        let sample = Sample::failure(Label::Named("timeout"));
        admit(bench, key).unwrap().finish(sample, now());
    }
}

/// The third failure of one tenant opens its breaker; the route's, told of a success of another in between, stays closed.
fn open_a_key(bench: &Bench) {
    fail(bench, "tenant-1", 2);
    let other = admit(bench, "tenant-2").unwrap();
    other.finish(Sample::new(Outcome::Success), now());
    fail(bench, "tenant-1", 1);
}

#[tokio::test(start_paused = true)]
async fn the_explanation_shows_counts_the_worst_keys_and_candidates() {
    let bench = Bench::with_routes(Tokens::None, ROUTE);
    open_a_key(&bench);
    assert!(admit(&bench, "tenant-1").is_err());
    let explained = bench.get("/circuit-breakers/tenants/explain").await;
    insta::assert_snapshot!("explain_keys", explained.timeless());
    assert!(
        !explained.raw.contains("tenant-1"),
        "the text appears nowhere"
    );
    let one = bench.get("/circuit-breakers/tenants").await.json();
    assert_eq!(
        (&one["keys"]["open"], &one["keys"]["total"]),
        (&1.into(), &2.into())
    );
    assert_eq!(one["shadows"][0]["wouldOpen"], 1);
    let settings = one["settings"].as_array().unwrap();
    let of = |key: &str| &settings.iter().find(|row| row["key"] == key).unwrap()["value"];
    assert_eq!(of("breaker.key.header"), "X-Tenant-ID");
    assert_eq!(of("shadow.strict.failure_threshold"), 1);
    let list = bench.get("/circuit-breakers").await.json();
    assert_eq!(list["breakers"][2]["keys"]["open"], 1);
    assert!(list["breakers"][0].get("keys").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_order_with_a_key_moves_the_breaker_of_that_key_alone() {
    let bench = Bench::with_routes(Tokens::None, ROUTE);
    fail(&bench, "tenant-1", 1);
    let digits = Key::of(b"tenant-1").to_string();
    let order = async |verb: &str, body: String| {
        let path = format!("/circuit-breakers/tenants/{verb}");
        bench.post(&path, &body).await
    };
    let opened = order("open", r#"{"key":"tenant-1","reason":"it floods"}"#.into()).await;
    let json = opened.json();
    assert_eq!(
        (&json["changed"], &json["mode"]),
        (&true.into(), &"forced_open".into())
    );
    assert_eq!(
        (json["key"].as_str(), json["name"].as_str()),
        (Some(&*digits), Some("tenants"))
    );
    assert!(!opened.raw.contains("tenant-1"));
    assert!(admit(&bench, "tenant-1").is_err() && admit(&bench, "tenant-2").is_ok());
    let again = order("open", r#"{"key":"tenant-1","reason":"it floods"}"#.into()).await;
    assert_eq!(again.json()["changed"], false);
    let freed = order("auto", format!(r#"{{"key":"{digits}"}}"#)).await;
    assert_eq!(
        (&freed.json()["changed"], &freed.json()["mode"]),
        (&true.into(), &"auto".into())
    );
    assert!(admit(&bench, "tenant-1").is_ok());
    let route = bench.get("/circuit-breakers/tenants").await.json();
    assert_eq!(route["mode"], "auto");
    assert_eq!(route.get("key"), None);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_never_called_can_be_locked_out_but_has_nothing_to_close() {
    let bench = Bench::with_routes(Tokens::None, ROUTE);
    for verb in ["close", "clear", "auto"] {
        let path = format!("/circuit-breakers/tenants/{verb}");
        let reply = bench.post(&path, r#"{"key":"nobody"}"#).await;
        assert_eq!(reply.status, 404, "{}", reply.raw);
    }
    for (body, status) in [
        (r#"{"key":"a"}"#, 200),
        (r#"{"key":"b","for":"15m"}"#, 200),
        (r#"{"key":"c"}"#, 409),
        (r#"{"key":""}"#, 400),
        (r#"{"key":7}"#, 400),
    ] {
        let reply = bench.post("/circuit-breakers/tenants/open", body).await;
        assert_eq!(reply.status, status, "{body} {}", reply.raw);
    }
    assert!(admit(&bench, "a").is_err() && admit(&bench, "b").is_err());
    let reply = bench
        .post("/circuit-breakers/email/open", r#"{"key":"a"}"#)
        .await;
    assert_eq!(reply.status, 400);
    assert!(reply.raw.contains("`breaker.key`"), "{}", reply.raw);
}

#[tokio::test(start_paused = true)]
async fn a_text_that_looks_like_digits_is_the_key_itself_unless_they_are_known() {
    let bench = Bench::with_routes(Tokens::None, ROUTE);
    let text = "00000000000000aa";
    let body = format!(r#"{{"key":"{text}"}}"#);
    let reply = bench.post("/circuit-breakers/tenants/open", &body).await;
    assert_eq!(reply.json()["key"], Key::of(text.as_bytes()).to_string());
    assert!(admit(&bench, text).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_scrape_shows_keys_by_state_and_what_candidates_would_have_done() {
    let bench = Bench::with_routes(Tokens::None, ROUTE);
    fail(&bench, "tenant-1", 2);
    fail(&bench, "tenant-2", 1);
    let text = bench.get("/metrics").await.body;
    for line in [
        r#"sidefuse_breaker_keys{breaker="tenants",state="closed"} 2"#,
        r#"sidefuse_breaker_keys{breaker="tenants",state="open"} 0"#,
        r#"sidefuse_breaker_keys_untracked_total{breaker="tenants"} 0"#,
        r#"sidefuse_shadow_openings_total{breaker="tenants",shadow="strict"} 1"#,
        r#"sidefuse_shadow_rejected_total{breaker="tenants",shadow="strict",result="failure"} 2"#,
        r#"sidefuse_shadow_rejected_total{breaker="tenants",shadow="strict",result="success"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("sidefuse_breaker_keys{breaker=\"email\""));
}

#[tokio::test(start_paused = true)]
async fn clear_lets_the_candidates_and_the_keys_of_the_route_begin_anew() {
    let bench = Bench::with_routes(Tokens::None, ROUTE);
    open_a_key(&bench);
    let shown = bench.get("/circuit-breakers/tenants").await.json();
    assert_eq!(shown["shadows"][0]["state"], "open");
    let clear = async |key: &str| {
        let path = "/circuit-breakers/tenants/clear";
        bench.post(path, key).await.json()
    };
    let of_key = clear("{\"key\": \"tenant-1\"}").await;
    assert_eq!(of_key["changed"], true);
    let shown = bench.get("/circuit-breakers/tenants").await.json();
    assert_eq!(shown["shadows"][0]["wouldOpen"], 1, "an order for one key");
    bench
        .breaker("tenants")
        .admit(now())
        .unwrap()
        .finish(Sample::new(Outcome::Success), now());
    open_a_key(&bench);
    let cleared = clear("{}").await;
    assert_eq!(cleared["changed"], true);
    let candidate = &cleared["shadows"][0];
    assert_eq!(
        (&candidate["state"], &candidate["wouldOpen"]),
        (&"closed".into(), &0.into())
    );
    assert_eq!(
        (&cleared["keys"]["open"], &cleared["keys"]["total"]),
        (&0.into(), &2.into())
    );
    // What an operator holds stays held.
    bench
        .post("/circuit-breakers/tenants/open", "{\"key\": \"tenant-1\"}")
        .await;
    clear("{}").await;
    assert!(admit(&bench, "tenant-1").is_err());
}

/// The upstream asks for a minute's pause of this tenant.
fn pause(bench: &Bench, key: &str) {
    let snapshot = bench.context.snapshot.load_full();
    let throttle = &snapshot.route("tenants").unwrap().limits.throttle;
    let key = Key::of(key.as_bytes());
    let signal = Signal {
        scope: Scope::Key,
        pause: Some(Duration::from_secs(60)),
    };
    let pass = throttle.admit(Some(key), now()).unwrap();
    throttle.settle(pass, Outcome::Throttled, Some(signal), now());
}

#[tokio::test(start_paused = true)]
async fn close_and_clear_with_a_key_end_the_pause_of_that_key_alone() {
    let bench = Bench::with_routes(Tokens::None, ROUTE);
    let is_paused = |key: &str| {
        let snapshot = bench.context.snapshot.load_full();
        let throttle = &snapshot.route("tenants").unwrap().limits.throttle;
        throttle
            .admit(Some(Key::of(key.as_bytes())), now())
            .is_err()
    };
    for verb in ["close", "clear"] {
        // tenant-1 has a breaker, tenant-2 has none: its own was forgotten.
        fail(&bench, "tenant-1", 1);
        pause(&bench, "tenant-1");
        pause(&bench, "tenant-2");
        let path = format!("/circuit-breakers/tenants/{verb}");
        let reply = bench.post(&path, "{\"key\": \"tenant-1\"}").await;
        assert_eq!(reply.json()["changed"], true, "{verb} {}", reply.raw);
        assert!(!is_paused("tenant-1") && is_paused("tenant-2"), "{verb}");
        let digits = Key::of(b"tenant-2").to_string();
        let reply = bench
            .post(&path, &format!("{{\"key\": \"{digits}\"}}"))
            .await;
        assert_eq!(reply.status, 200, "{verb} {}", reply.raw);
        assert!(!is_paused("tenant-2"), "{verb}");
        let again = bench.post(&path, "{\"key\": \"tenant-2\"}").await;
        assert_eq!(again.json()["changed"], false, "{verb}");
    }
}

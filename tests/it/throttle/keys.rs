//! Pauses of single keys.

use super::*;

use serde_json::Value;
use sidefuse::resilience::{Key, State};

/// Answers one tenant alone with that status and that body, and everybody else with 200.
fn refusing(tenant: &'static str, status: u16, body: &'static str) -> Script {
    Arc::new(move |request| {
        let whose = request.headers().get("x-tenant-id");
        let response = if whose.is_some_and(|whose| whose == tenant) {
            answer(status, &[("content-type", "application/json")], body)
        } else {
            answer(200, &[], "")
        };
        Box::pin(std::future::ready(response))
    })
}

async fn ask(stage: &Stage, tenant: &str) -> Said {
    let request = Request::post("/r/x");
    if tenant.is_empty() {
        return stage.ask(request).await;
    }
    stage.ask(request.header("x-tenant-id", tenant)).await
}

#[test]
fn a_rule_pauses_the_key_alone_until_a_call_of_that_key_succeeds() {
    let config = "\
version: 1
routes:
  r:
    upstream: http://origin
    breaker: {failure_threshold: 1, key: {header: X-Tenant-ID}}
    classify: [{status: 409, as: throttled, scope: key, pause: 10s}]
";
    on_stage(config, refusing("busy", 409, "{}"), async |stage| {
        assert_eq!(ask(&stage, "busy").await.status, 409, "the upstream's own");
        let calls = stage.origin.calls();
        let refused = ask(&stage, "busy").await;
        assert_eq!(told(&refused), (429, "throttled"));
        assert_eq!(refused.header("retry-after"), "10");
        assert_eq!(stage.origin.calls(), calls);
        assert_eq!(ask(&stage, "quiet").await.status, 200);
        assert_eq!(ask(&stage, "").await.status, 200);

        let throttle = Arc::clone(&stage.route("r").limits.throttle);
        let view = throttle.view(now());
        assert_eq!((view.since, view.keys), (None, 1));
        assert!(view.paused.is_zero(), "the route was not paused");
        assert_eq!(stage.route("r").breaker.in_force(now()).0, State::Closed);

        // One at a time goes when the pause is over; the first to be told no again ends nothing.
        pass(10_000).await;
        assert_eq!(ask(&stage, "busy").await.status, 409);
        assert_eq!(told(&ask(&stage, "busy").await), (429, "throttled"));
        pass(10_000).await;
        stage.origin.becomes(always(200));
        for _ in 0..2 {
            assert_eq!(ask(&stage, "busy").await.status, 200);
        }
        assert!(!throttle.view(now()).is_throttled());

        let lines = stage.lines();
        let key = Key::of(b"busy").to_string();
        let refused: Vec<&Value> = lines
            .iter()
            .filter(|line| line["reason"] == "throttled")
            .collect();
        assert_eq!(refused.len(), 2);
        for line in refused {
            assert_eq!(
                (&line["key"], &line["level"]),
                (&Value::from(&*key), &Value::from("warn"))
            );
            assert_eq!(line["outcome"], "ignored");
        }
        assert_eq!(lines[0]["outcome"], "throttled");
    });
}

const META: &str = "{\"error\":{\"message\":\"pair rate limit\",\"code\":131056}}";

fn whatsapp(breaker: &str) -> String {
    format!(
        "version: 1\nroutes:\n  r: {{preset: whatsapp, upstream: http://origin, breaker: {{{breaker}}}}}\n"
    )
}

#[test]
fn metas_131056_pauses_one_recipient_where_the_route_tells_them_apart() {
    let config = whatsapp("key: {header: X-Tenant-ID}");
    on_stage(&config, refusing("busy", 400, META), async |stage| {
        assert_eq!(ask(&stage, "busy").await.status, 400);
        let refused = ask(&stage, "busy").await;
        assert_eq!(told(&refused), (429, "throttled"));
        let graph: Value = serde_json::from_str(refused.text()).unwrap();
        assert!(graph["error"]["message"].is_string(), "{graph}");
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(ask(&stage, "quiet").await.status, 200);
        assert_eq!(stage.origin.calls(), 2);
    });
}

#[test]
fn metas_131056_pauses_nobody_where_the_route_knows_no_recipients() {
    let config = whatsapp("failure_threshold: 1");
    on_stage(&config, refusing("busy", 400, META), async |stage| {
        for _ in 0..3 {
            assert_eq!(ask(&stage, "busy").await.status, 400);
        }
        let route = stage.route("r");
        let statistics = route.breaker.view(now()).statistics;
        assert_eq!((statistics.throttled, statistics.failures), (3, 0));
        assert!(!route.limits.throttle.view(now()).is_throttled());
    });
}

#[test]
fn who_waits_out_the_pause_of_a_key_hears_at_once_that_the_keys_breaker_has_opened() {
    let config = "\
version: 1
routes:
  r:
    upstream: http://origin
    timeout: 60s
    throttle: {wait: 30s}
    breaker: {failure_threshold: 2, key: {header: X-Tenant-ID}}
    classify: [{status: 429, as: throttled, scope: key}]
";
    on_stage(config, busy_and_failing(), async |stage| {
        let begin = now();
        let call = |path: &str| Request::get(path).header("x-tenant-id", "a");
        let late = [
            calling(&stage, call("/r/late")).await,
            calling(&stage, call("/r/late")).await,
        ];
        assert_eq!(stage.ask(call("/r/x")).await.status, 429);
        let waiting = calling(&stage, call("/r/x")).await;
        let other = Request::get("/r/late").header("x-tenant-id", "b");
        // So that the route's own breaker counts no run of failures.
        stage.origin.becomes(always(200));
        assert_eq!(stage.ask(other).await.status, 200);
        pass(1_990).await;
        for call in late {
            assert_eq!(call.await.unwrap().status, 500);
        }
        let said = waiting.await.unwrap();
        assert_eq!(told(&said), (503, "circuit_open"));
        assert_eq!(seconds(said.at, begin), 2);
    });
}

//! Active probes: on a paused clock what they decide, with the real process what they send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use sidefuse::resilience::{ForceRequest, Mode, Order, Outcome, Scope, Signal, State};
use sidefuse::time::{Deadline, now, sleep_until};

use crate::support::answer::Answer;
use crate::support::client;
use crate::support::config::{config, route};
use crate::support::memory::{Script, Stage, always, on_stage, silent};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

fn probed(settings: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: http://origin/base, probe: {{path: /health, every: 10s}}, {settings}}}}}\n"
    )
}

/// Calls get 500 while they must; probes get this status.
fn calls_fail_probes_get(status: u16) -> (Script, Arc<AtomicUsize>) {
    let probes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&probes);
    let script: Script = Arc::new(move |request| {
        let status = if request.uri().path() == "/base/health" {
            counted.fetch_add(1, Ordering::Relaxed);
            status
        } else {
            500
        };
        let body = Full::new(Bytes::from_static(b"{}"));
        Box::pin(std::future::ready(
            Response::builder().status(status).body(body).unwrap(),
        ))
    });
    (script, probes)
}

fn state(stage: &Stage) -> (State, Mode) {
    stage.snapshot.route("r").unwrap().breaker.in_force(now())
}

#[test]
fn a_half_open_breaker_is_closed_by_probes_without_any_call() {
    let (script, _) = calls_fail_probes_get(204);
    let settings = "breaker: {failure_threshold: 2, reset_timeout: 60s, success_threshold: 2}";
    on_stage(&probed(settings), script, async |stage| {
        stage.get("/r/x").await;
        stage.get("/r/x").await;
        assert_eq!(state(&stage).0, State::Open);
        // Probes go well all the while; none of them shortens the time.
        pass(59).await;
        assert_eq!(state(&stage).0, State::Open);
        // Half-open at 60 s, the first probe within 10 s at the latest, the second a second later.
        pass(13).await;
        assert_eq!(state(&stage).0, State::Closed);
        let view = stage.snapshot.route("r").unwrap().breaker.view(now());
        assert_eq!(
            (view.statistics.total_calls, view.statistics.rejected),
            (4, 0)
        );
        assert_eq!(stage.lines().len(), 2, "a probe has no access line");
    });
}

#[test]
fn the_second_probe_of_a_half_open_breaker_comes_before_its_time_for_a_verdict_is_over() {
    let (script, _) = calls_fail_probes_get(204);
    let config =
        probed("breaker: {failure_threshold: 1, reset_timeout: 60s, half_open_timeout: 30s}")
            .replace("every: 10s", "every: 1h");
    on_stage(&config, script, async |stage| {
        // Some time within the first hour the first probe comes.
        stage.get("/r/x").await;
        assert_eq!(state(&stage).0, State::Open);
        pass(3700).await;
        assert_eq!(state(&stage).0, State::Closed);
    });
}

#[test]
fn a_failed_probe_reopens_a_half_open_breaker_and_moves_no_closed_one() {
    let (script, probes) = calls_fail_probes_get(404);
    let settings = "breaker: {failure_threshold: 3, reset_timeout: 60s}";
    on_stage(&probed(settings), script, async |stage| {
        pass(120).await;
        assert!(probes.load(Ordering::Relaxed) >= 10);
        assert_eq!(state(&stage).0, State::Closed, "calls judge by themselves");
        let route = stage.snapshot.route("r").unwrap();
        assert_eq!(route.breaker.view(now()).statistics.total_calls, 0);
        for _ in 0..3 {
            stage.get("/r/x").await;
        }
        assert_eq!(state(&stage).0, State::Open);
        pass(71).await;
        assert_eq!(
            state(&stage).0,
            State::Open,
            "reopened by a status that is not expected"
        );
        let last = route
            .breaker
            .view(now())
            .transitions
            .last()
            .cloned()
            .unwrap();
        assert_eq!(last.cause.label(), "probe_failed");
    });
}

#[test]
fn a_wish_for_a_pause_is_no_verdict_and_a_probe_without_an_answer_is_one() {
    let settings = "breaker: {failure_threshold: 1, reset_timeout: 20s, half_open_timeout: 30s}";
    let (script, _) = calls_fail_probes_get(429);
    on_stage(&probed(settings), script, async |stage| {
        stage.get("/r/x").await;
        pass(31).await;
        assert_eq!(
            state(&stage).0,
            State::HalfOpen,
            "neither closes nor reopens"
        );
    });
    on_stage(&probed(settings), always(500), async |stage| {
        stage.get("/r/x").await;
        stage.origin.becomes(silent());
        pass(37).await;
        let breaker = &stage.snapshot.route("r").unwrap().breaker;
        assert_eq!(breaker.in_force(now()).0, State::Open);
        let failure = breaker.view(now()).last_failure.unwrap();
        assert_eq!(failure.label.unwrap().to_string(), "timeout");
    });
}

#[test]
fn a_route_forced_open_is_not_probed() {
    let (script, probes) = calls_fail_probes_get(200);
    on_stage(&probed("timeout: 5s"), script, async |stage| {
        pass(12).await;
        let before = probes.load(Ordering::Relaxed);
        assert!(before >= 1);
        let order = ForceRequest {
            order: Order::Open { until: None },
            by: "test".to_owned(),
            reason: None,
        };
        let route = stage.snapshot.route("r").unwrap();
        assert!(route.breaker.force(order, now()));
        pass(60).await;
        assert_eq!(probes.load(Ordering::Relaxed), before);
    });
}

#[test]
fn no_probe_is_made_while_the_route_is_paused_and_the_first_after_it_recovers_the_breaker() {
    let (script, probes) = calls_fail_probes_get(200);
    let settings = "breaker: {failure_threshold: 1, success_threshold: 1, reset_timeout: 20s}";
    on_stage(&probed(settings), script, async |stage| {
        pass(12).await;
        let before = probes.load(Ordering::Relaxed);
        assert!(before >= 1);
        let throttle = &stage.snapshot.route("r").unwrap().limits.throttle;
        let call = throttle.admit(None, now()).unwrap();
        stage.get("/r/x").await;
        let signal = Signal {
            scope: Scope::Route,
            pause: Some(Duration::from_secs(60)),
        };
        throttle.settle(call, Outcome::Throttled, Some(signal), now());
        pass(59).await;
        assert_eq!(probes.load(Ordering::Relaxed), before);
        assert_eq!(state(&stage).0, State::HalfOpen, "it waits for a verdict");
        // Nobody calls, so nobody has shown yet that the upstream takes calls again.
        pass(3).await;
        assert_eq!(state(&stage).0, State::Closed);
        assert_eq!(probes.load(Ordering::Relaxed), before + 1);
        assert!(
            throttle.view(now()).is_throttled(),
            "a health page says nothing of how many calls are taken"
        );
    });
}

#[test]
fn a_429_to_a_probe_pauses_no_caller_and_puts_the_next_probe_off() {
    let probes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&probes);
    let script: Script = Arc::new(move |request| {
        let mut answer = Response::new(Full::new(Bytes::new()));
        if request.uri().path() == "/base/health" {
            counted.fetch_add(1, Ordering::Relaxed);
            *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let headers = answer.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("100"));
        }
        Box::pin(std::future::ready(answer))
    });
    on_stage(&probed("timeout: 5s"), script, async |stage| {
        pass(12).await;
        assert_eq!(probes.load(Ordering::Relaxed), 1);
        assert_eq!(stage.get("/r/x").await.status, 200);
        let route = stage.snapshot.route("r").unwrap();
        assert!(!route.limits.throttle.view(now()).is_throttled());
        pass(85).await;
        assert_eq!(probes.load(Ordering::Relaxed), 1);
        pass(20).await;
        assert_eq!(probes.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_probe_is_a_get_with_the_routes_headers_and_is_shown_and_counted_from_0() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let settings = "probe: {path: '/health?deep=1', every: 1s, expect: [200]}, headers: {request: {set: {X-Key: probe-key}}}";
    let sidefuse = Sidefuse::start(&config(&[
        route("r", &format!("{}/base", origin.url()), settings),
        route("unprobed", &origin.url(), "timeout: 5s"),
    ]));
    let series = |result: &str| format!("sidefuse_probes_total{{route=\"r\",result=\"{result}\"}}");
    let metrics = Metrics::of(sidefuse.health());
    assert!(
        metrics.value(&series("failure")).is_some() && metrics.value(&series("skipped")).is_some()
    );
    assert!(!metrics.mentions("route=\"unprobed\",result=\"skipped\""));

    let requests = origin.wait_for_requests(3);
    let head = &requests[0].head;
    assert_eq!(head.target(), "/base/health?deep=1");
    assert_eq!(
        head.header("host"),
        Some(origin.address().to_string().as_str())
    );
    assert_eq!(head.header("x-key"), Some("probe-key"));
    assert_eq!(head.header("user-agent"), Some("sidefuse-probe"));
    assert!(head.header("x-correlation-id").is_some());
    assert_eq!(origin.connections(), 1, "over a pooled connection");

    // A reload keeps the probe and what it knows.
    sidefuse.write_config(&config(&[route(
        "r",
        &format!("{}/base", origin.url()),
        &format!("{settings}, timeout: 7s"),
    )]));
    let reloaded = client::post(sidefuse.admin(), "/config/reload", &json!({}));
    assert_eq!(reloaded.status(), 200);
    let shown = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    let probe = &shown["probe"];
    assert_eq!(
        (&probe["result"], &probe["status"]),
        (&json!("success"), &json!(200)),
        "{probe}"
    );
    assert!(probe["at"].is_string() && probe["next"].is_string() && probe["latencyMs"].is_number());
    let rows = shown["settings"].as_array().unwrap().iter();
    let probe = rows.filter(|row| row["key"].as_str().unwrap().starts_with("probe."));
    let probe: Vec<_> = probe.map(|row| (&row["key"], &row["value"])).collect();
    let told = [
        ("probe.path", json!("/health?deep=***")),
        ("probe.every", json!("1s")),
        ("probe.timeout", json!("1s")),
        ("probe.expect", json!(["200"])),
    ]
    .map(|(key, value)| (json!(key), value));
    assert_eq!(probe, told.each_ref().map(|(key, value)| (key, value)));
    origin.wait_for_requests(5);
    assert!(
        Metrics::of(sidefuse.health())
            .value(&series("success"))
            .unwrap()
            >= 4.0
    );
    assert_eq!(sidefuse.access_lines(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_probe_that_fails_is_told_once_and_so_is_its_recovery() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = Origin::start(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0..2 => Answer::status(503, &[], ""),
        _ => Answer::ok("fine"),
    });
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "probe: {every: 1s}")]));
    sidefuse.event("Probe succeeded again");
    let told = sidefuse.process().lines();
    let failed: Vec<_> = told
        .iter()
        .filter(|line| line["msg"] == "Probe failed")
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (&failed[0]["route"], &failed[0]["status"]),
        (&json!("r"), &json!(503))
    );
    let closed = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    assert_eq!(
        (&closed["state"], &closed["statistics"]["totalCalls"]),
        (&json!("closed"), &json!(0))
    );
}

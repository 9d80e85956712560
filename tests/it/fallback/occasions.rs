//! When a fallback is asked: on every refusal that is the route's trouble, and on none that is the caller's.

use std::rc::Rc;
use std::time::Duration;

use http::Request;
use tokio::task::spawn_local;

use super::{answering, pass};
use crate::support::memory::{Said, Script, Stage, always, on_stage_with, silent};

/// A reason to refuse, and how a route comes to have it.
struct Occasion {
    reason: &'static str,
    /// Of the route.
    settings: &'static str,
    origin: Script,
    /// What a fixed answer is told of the time to come back.
    retry_after: &'static str,
}

fn throttling() -> Script {
    answering(|_| {
        let answer = http::Response::builder().status(429);
        let answer = answer.header("retry-after", "30");
        answer.body(String::new()).unwrap()
    })
}

fn occasions() -> [Occasion; 5] {
    [
        Occasion {
            reason: "circuit_open",
            settings: "breaker: {failure_threshold: 1, reset_timeout: 60s}",
            origin: always(500),
            retry_after: "60",
        },
        Occasion {
            reason: "ramping",
            settings: "breaker: {failure_threshold: 1, success_threshold: 1, reset_timeout: 10s, ramp: {from: 1%, over: 30s}}",
            origin: always(500),
            retry_after: "30",
        },
        Occasion {
            reason: "throttled",
            settings: "breaker: {failure_threshold: 9}",
            origin: throttling(),
            retry_after: "30",
        },
        Occasion {
            reason: "overloaded",
            settings: "limits: {concurrency: {max: 1}}",
            origin: silent(),
            retry_after: "",
        },
        Occasion {
            reason: "rate_limited",
            settings: "limits: {rate: {per_second: 0.25, burst: 1}}",
            origin: always(200),
            retry_after: "4",
        },
    ]
}

/// Brings the route to where it refuses, with one call at the origin, or two.
async fn lead_up(stage: &Rc<Stage>, occasion: &Occasion) {
    let call = Rc::clone(stage);
    let call = spawn_local(async move { call.get("/r/x").await.status });
    pass(Duration::from_millis(1)).await;
    if occasion.reason == "ramping" {
        stage.origin.becomes(always(200));
        pass(Duration::from_secs(10)).await;
        assert_eq!(stage.get("/r/x").await.status, 200, "the probe closes it");
        assert_eq!(
            stage.get("/r/x").await.status,
            200,
            "the first of a hundred"
        );
    }
    drop(call);
}

/// Calls a route with this fallback on each occasion.
fn each(fallback: &str, claim: impl Fn(&Occasion, &Said, &Stage)) {
    for occasion in occasions() {
        let config = format!(
            "version: 1\nroutes:\n  r: {{upstream: http://origin, timeout: 50s, fallback: {fallback}, {}}}\n  other: {{upstream: http://other}}\n",
            occasion.settings
        );
        let other = answering(|_| http::Response::new("from the other".to_owned()));
        let others: &[_] = &[("other:80", other)];
        on_stage_with(&config, occasion.origin.clone(), others, async |stage| {
            lead_up(&stage, &occasion).await;
            let calls = stage.origin.calls();
            let said = stage.ask(Request::get("/r/x")).await;
            assert_eq!(stage.origin.calls(), calls, "{}", occasion.reason);
            claim(&occasion, &said, &stage);
        });
    }
}

/// The line of the call after those that lead up to it.
fn line(stage: &Stage, reason: &str) -> serde_json::Value {
    let mut lines = stage.lines();
    lines.retain(|line| line["reason"] == *reason);
    assert_eq!(lines.len(), 1, "{reason}");
    lines.remove(0)
}

#[test]
fn a_fixed_answer_is_given_for_every_refusal_but_the_callers_own_fault() {
    each(
        "{respond: {status: 202, body: \"wait %{retryAfter}\"}}",
        |occasion, said, stage| {
            let Occasion {
                reason,
                retry_after,
                ..
            } = occasion;
            assert_eq!(said.header("x-sidefuse-reason"), *reason);
            let line = line(stage, reason);
            assert_eq!(line["outcome"], "ignored");
            if *reason == "rate_limited" {
                assert_eq!((said.status, said.header("retry-after")), (429, "4"));
                assert_eq!(said.header("x-sidefuse-fallback"), "");
                assert_eq!(line.get("fallback"), None);
                return;
            }
            assert_eq!(
                (said.status, said.text()),
                (202, &*format!("wait {retry_after}"))
            );
            assert_eq!(said.header("x-sidefuse-fallback"), "respond");
            assert_eq!(
                (&line["fallback"], &line["attempts"]),
                (&"respond".into(), &0.into())
            );
            let counted = "sidefuse_fallbacks_total{route=\"r\",kind=\"respond\"} 1";
            assert!(stage.metrics().contains(counted), "{reason}");
        },
    );
}

#[test]
fn another_route_is_asked_on_every_refusal_but_the_callers_own_fault() {
    each("{route: other}", |occasion, said, stage| {
        let reason = occasion.reason;
        let line = line(stage, reason);
        let rejected = format!("sidefuse_rejected_total{{route=\"r\",reason=\"{reason}\"}} 1");
        assert!(stage.metrics().contains(&rejected), "{reason}");
        if reason == "rate_limited" {
            assert_eq!(said.status, 429);
            assert_eq!(stage.at("other:80").calls(), 0);
            return;
        }
        assert_eq!((said.status, said.text()), (200, "from the other"));
        assert_eq!(said.header("x-sidefuse-fallback"), "route");
        assert_eq!(stage.at("other:80").calls(), 1);
        assert_eq!(
            (&line["route"], &line["fallback"], &line["outcome"]),
            (&"r".into(), &"route".into(), &"success".into())
        );
    });
}

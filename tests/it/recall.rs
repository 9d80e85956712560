//! Calls that have their permit and wait for a connection when the breaker opens: none of them is sent.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use sidefuse::failure::Failure;
use sidefuse::resilience::{ForceRequest, Label, Order, Sample, State};
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::task::{JoinHandle, spawn_local};

use crate::support::memory::{Got, Script, Stage, on_stage};

/// Answers with this status after a second.
fn slowly(status: u16) -> Script {
    Arc::new(move |_| {
        Box::pin(async move {
            pass(1_000).await;
            let answer = Response::builder().status(status);
            answer.body(Full::new(Bytes::new())).unwrap()
        })
    })
}

async fn pass(millis: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(millis))).await;
}

/// Begins so many calls, each over a connection of its own.
async fn begin(stage: &Rc<Stage>, count: usize) -> Vec<JoinHandle<Got>> {
    let mut calls = Vec::new();
    for _ in 0..count {
        let mut caller = stage.caller().await;
        calls.push(spawn_local(async move { caller.get("/r/x").await }));
        pass(1).await;
    }
    calls
}

fn order(stage: &Stage, order: Order) {
    let request = ForceRequest {
        order,
        by: "sre".to_owned(),
        reason: None,
    };
    assert!(stage.route("r").breaker.force(request, now()));
}

fn config(more: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: {{url: http://origin, {more}}}, timeout: 20s, breaker: {{failure_threshold: 1, reset_timeout: 1s}}}}}}\n"
    )
}

#[test]
fn who_waits_for_a_connection_is_not_sent_once_the_breaker_is_forced_open_case_139() {
    on_stage(&config("pool: {max: 1}"), slowly(200), async |stage| {
        let mut calls = begin(&stage, 5).await;
        let ordered = now();
        order(&stage, Order::Open { until: None });
        for call in calls.split_off(1) {
            let got = call.await.unwrap();
            let reason = got.reason.as_deref();
            assert_eq!((got.status, reason), (503, Some("forced_open")));
            assert!(got.at - ordered < Duration::from_millis(2), "at once");
        }
        assert_eq!(calls.remove(0).await.unwrap().status, 200, "was sent");
        let route = stage.route("r");
        assert_eq!(route.upstream.statistics().waiting, 0);
        let counted = route.breaker.view(now()).statistics;
        assert_eq!((counted.ignored, counted.rejected), (0, 4));
        order(&stage, Order::Auto);
        assert_eq!(begin(&stage, 1).await.remove(0).await.unwrap().status, 200);
        assert_eq!((stage.origin.calls(), stage.origin.connections()), (2, 1));
        let refused = &stage.lines()[0];
        assert_eq!(refused["reason"], "forced_open");
        assert_eq!(refused["breakerState"], "open");
        assert_eq!(refused["heldBy"], "upstream.pool");
        assert_eq!(refused["attempts"], 0);
    });
}

#[test]
fn who_waits_for_a_connection_is_not_sent_once_the_breaker_has_opened_by_itself() {
    on_stage(&config("pool: {max: 1}"), slowly(500), async |stage| {
        let begun = now();
        let mut calls = begin(&stage, 5).await;
        assert_eq!(calls.remove(0).await.unwrap().status, 500);
        for call in calls {
            let got = call.await.unwrap();
            let reason = got.reason.as_deref();
            assert_eq!((got.status, reason), (503, Some("circuit_open")));
            assert!(got.at - begun < Duration::from_millis(1_010));
        }
        assert_eq!(stage.origin.calls(), 1);
    });
}

#[test]
fn a_probe_that_waits_for_a_connection_does_not_stand_in_its_own_way() {
    let config = config("pool: {max: 1}").replace("reset_timeout: 1s", "reset_timeout: 500ms");
    on_stage(&config, slowly(200), async |stage| {
        let breaker = Arc::clone(&stage.route("r").breaker);
        let permit = breaker.admit(now()).unwrap();
        let first = begin(&stage, 1).await.remove(0);
        let label = Label::Named(Failure::Reset.label());
        permit.finish(Sample::failure(label), now());
        assert_eq!(breaker.in_force(now()).0, State::Open);
        pass(600).await;
        let probe = begin(&stage, 1).await.remove(0);
        assert_eq!(breaker.in_force(now()).0, State::HalfOpen);
        assert_eq!(stage.route("r").upstream.statistics().waiting, 1);
        assert_eq!(first.await.unwrap().status, 200);
        assert_eq!(probe.await.unwrap().status, 200);
    });
}

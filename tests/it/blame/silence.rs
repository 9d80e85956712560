//! A full queue, for a long time: before an upstream that works, and before one that hangs.

use std::rc::Rc;

use sidefuse::resilience::State;
use sidefuse::time::now;
use tokio::task::spawn_local;

use super::{as_asked, pass};
use crate::support::memory::{Stage, on_stage};

const ROUTE: &str = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 2s, breaker: {failure_threshold: 4}, limits: {concurrency: {max: 2, queue: 200, queue_timeout: 2s}}}}\n";

/// Fifty calls a second for so many seconds, whatever becomes of them; how many were answered.
async fn storm(stage: &Rc<Stage>, path: &'static str, seconds: u64) -> usize {
    let mut calls = Vec::new();
    for _ in 0..seconds * 50 {
        let mut caller = stage.caller().await;
        calls.push(spawn_local(async move { caller.get(path).await.status }));
        pass(20).await;
    }
    let mut answered = 0;
    for call in calls {
        answered += usize::from(call.await.unwrap() == 200);
    }
    answered
}

#[test]
fn a_queue_that_is_always_full_opens_no_breaker_of_an_upstream_that_works() {
    on_stage(ROUTE, as_asked(), async |stage| {
        let answered = storm(&stage, "/r/300", 30).await;
        let view = stage.route("r").breaker.view(now());
        assert_eq!((view.state(), view.statistics.failures), (State::Closed, 0));
        // Two at a time and 300 ms each could serve 200 in that time.
        assert!(answered >= 80, "only {answered} of 1500 were answered");
    });
}

#[test]
fn a_queue_that_is_always_full_does_not_hide_an_upstream_that_hangs() {
    on_stage(ROUTE, as_asked(), async |stage| {
        let begin = now();
        storm(&stage, "/r/never", 15).await;
        let view = stage.route("r").breaker.view(now());
        let opened = view.transitions.iter().find(|it| it.to() == State::Open);
        let opened = opened.expect("it opens").at - begin;
        assert!(opened.as_secs() <= 10, "opened after {opened:?}");
    });
}

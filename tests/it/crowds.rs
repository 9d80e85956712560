//! Many callers at one instant: what the whole data path makes of them.

use std::rc::Rc;
use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until};
use tokio::task::spawn_local;

use crate::support::memory::{Got, Stage, always, on_stage, silent};
use crate::support::metrics::Metrics;

const CONFIG: &str = "\
version: 1
routes:
  r:
    upstream: {url: http://origin, pool: {max: 2000}}
    timeout: 2s
    breaker: {failure_threshold: 10, half_open_max: 3, success_threshold: 3, reset_timeout: 5s}
";

/// So many callers call at once; what each got.
async fn crowd(stage: &Rc<Stage>, count: usize) -> Vec<Got> {
    let mut calls = Vec::new();
    for _ in 0..count {
        let mut caller = stage.caller().await;
        calls.push(spawn_local(async move { caller.get("/r/x").await }));
    }
    let mut got = Vec::new();
    for call in calls {
        got.push(call.await.unwrap());
    }
    got
}

fn because(got: &[Got], reason: Option<&str>) -> usize {
    got.iter()
        .filter(|got| got.reason.as_deref() == reason)
        .count()
}

fn transitions(stage: &Stage, change: &str) -> Option<f64> {
    let metrics = Metrics::read(&stage.metrics());
    metrics.value(&format!(
        "sidefuse_breaker_transitions_total{{breaker=\"r\",{change}}}"
    ))
}

#[test]
fn rules_1_and_2_a_crowd_opens_a_breaker_once_and_sends_exactly_the_probes_case_128() {
    on_stage(CONFIG, silent(), async |stage| {
        // They were let pass together, and fail together.
        let failed = crowd(&stage, 200).await;
        assert_eq!(because(&failed, Some("timeout")), 200);
        let opened = "from=\"closed\",to=\"open\",cause=\"consecutive_failures\"";
        assert_eq!(transitions(&stage, opened), Some(1.0));

        let reset = Duration::from_secs(5);
        sleep_until(Deadline::after(now(), reset)).await;
        let before = stage.origin.calls();
        let probing = crowd(&stage, 1_000).await;
        assert_eq!(stage.origin.calls() - before, 3);
        assert_eq!(because(&probing, Some("circuit_open")), 997);
        assert_eq!(because(&probing, Some("timeout")), 3);
        let reopened = "from=\"half_open\",to=\"open\",cause=\"probe_failed\"";
        assert_eq!(transitions(&stage, reopened), Some(1.0));

        stage.origin.becomes(always(200));
        sleep_until(Deadline::after(now(), reset)).await;
        let probing = crowd(&stage, 1_000).await;
        let relayed = because(&probing, None);
        assert!(relayed >= 3, "{relayed}");
        assert_eq!(relayed + because(&probing, Some("circuit_open")), 1_000);
        let closed = "from=\"half_open\",to=\"closed\",cause=\"probes_succeeded\"";
        assert_eq!(transitions(&stage, closed), Some(1.0));
        assert_eq!(stage.lines().len(), 2_200, "one line each");
    });
}

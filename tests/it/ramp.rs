//! The whole data path after a breaker has closed: calls come back by and by.

use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until};

use crate::support::memory::{always, on_stage};

const CONFIG: &str = "\
version: 1
routes:
  r:
    upstream: http://origin
    breaker: {failure_threshold: 1, success_threshold: 1, reset_timeout: 10s, ramp: {from: 10%, over: 30s}}
";

#[test]
fn after_closing_the_share_of_calls_that_reach_the_upstream_grows_and_the_rest_is_told_ramping() {
    on_stage(CONFIG, always(500), async |stage| {
        assert_eq!(stage.get("/r/x").await.status, 500);
        stage.origin.becomes(always(200));
        sleep_until(Deadline::after(now(), Duration::from_secs(10))).await;
        assert_eq!(stage.get("/r/x").await.status, 200, "the probe closes it");
        let before = stage.origin.calls();
        let mut told = Vec::new();
        for _ in 0..20 {
            let got = stage.get("/r/x").await;
            told.push((got.status, got.reason, got.retry_after));
        }
        assert_eq!(stage.origin.calls() - before, 2, "10 % of 20");
        let refused = (503, Some("ramping".to_owned()), Some("30".to_owned()));
        assert_eq!(told.iter().filter(|told| **told == refused).count(), 18);

        sleep_until(Deadline::after(now(), Duration::from_secs(30))).await;
        for _ in 0..20 {
            assert_eq!(stage.get("/r/x").await.status, 200);
        }
        let lines = stage.lines();
        let refused: Vec<_> = lines
            .iter()
            .filter(|line| line["reason"] == "ramping")
            .collect();
        assert_eq!(refused.len(), 18);
        assert_eq!(refused[0]["breakerState"], "closed");
        assert_eq!(refused[0]["outcome"], "ignored");
    });
}

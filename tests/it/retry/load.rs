//! What retries do to an upstream that fails all the time, and to callers that failed together.

use std::time::Duration;

use tokio::task::spawn_local;

use super::{GET, config, pass, retries};
use crate::support::memory::{always, on_stage};
use crate::support::recorder::{Recorder, answer, say, status};
use sidefuse::time::now;

#[test]
fn case_122_an_upstream_that_always_fails_gets_a_fifth_more_and_the_floor_and_not_three_times_more()
{
    const CALLS: usize = 5_000;
    let config = config("breaker: {enforcement: off}, retry: {attempts: 4}")
        .replace("breaker: {failure_threshold: 1000}, ", "");
    on_stage(&config, always(503), async |stage| {
        let begin = now();
        let mut calls = Vec::new();
        for _ in 0..CALLS {
            let stage = std::rc::Rc::clone(&stage);
            calls.push(spawn_local(async move { stage.get("/r/x").await.status }));
            pass(Duration::from_millis(1)).await;
        }
        for call in calls {
            assert_eq!(call.await.unwrap(), 503);
        }
        let load = stage.origin.calls();
        let took = (now() - begin).as_secs_f64();
        assert!(took < 6.0, "{took}");
        // A fifth, ten a second, and what the budget held in the beginning.
        let floor = (took * 10.0).ceil() as usize;
        assert!(load <= CALLS + CALLS / 5 + floor + 10, "{load} {took}");
        assert!(load >= CALLS + CALLS / 5, "{load}");
        let metrics = stage.metrics();
        assert_eq!(retries(&metrics, "failed") as usize, load - CALLS);
        assert!(retries(&metrics, "budget_exhausted") > 0);
    });
}

#[test]
fn case_124_callers_that_failed_together_do_not_come_back_together() {
    let config = config("timeout: 60s, retry: {attempts: 2, base: 1s}");
    on_stage(&config, always(200), async |stage| {
        // So that the budget has room for all of them, as after five hundred calls.
        let budget = stage.route("r").retry_budget.clone().unwrap();
        (0..500).for_each(|_| budget.deposit());
        let recorder = Recorder::on(&stage, |_, seen| {
            let is_second = seen.header("x-attempt").is_some();
            answer(if is_second { 200 } else { 503 }, "", "")
        });
        let begin = now();
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let stage = std::rc::Rc::clone(&stage);
                spawn_local(async move { status(&say(&stage, GET).await) })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), 200);
        }
        let again = recorder
            .all()
            .into_iter()
            .filter(|one| one.header("x-attempt").is_some());
        let waits: Vec<_> = again.map(|one| one.at - begin).collect();
        assert_eq!(waits.len(), 100);
        // By chance a quarter gets fewer than five of a hundred once in 10⁸ runs.
        for quarter in 0..4 {
            let range =
                Duration::from_millis(quarter * 250)..Duration::from_millis(quarter * 250 + 250);
            let count = waits.iter().filter(|wait| range.contains(*wait)).count();
            assert!(count >= 5, "quarter {quarter}: {count}");
        }
        assert!(
            waits
                .iter()
                .all(|wait| *wait <= Duration::from_millis(1_010))
        );
    });
}

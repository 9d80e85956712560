//! Who is asked first: an open breaker answers before every limit, and nobody keeps a place that he does not use.

use std::rc::Rc;

use sidefuse::resilience::{ForceRequest, Order};
use sidefuse::time::now;

use super::{as_asked, begin, failing, pass, pausing};
use crate::support::memory::{Stage, always, on_stage};

fn config(limits: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: http://origin, timeout: 9s, throttle: {{wait: 5s}}, breaker: {{failure_threshold: 1}}, limits: {{{limits}}}, fallback: {{respond: {{status: 200, json: {{}}}}}}}}}}\n"
    )
}

const BUSY: &str = "concurrency: {max: 1, queue: 5, queue_timeout: 8s}";

fn force(stage: &Stage, order: Order) {
    let request = ForceRequest {
        order,
        by: "test".to_owned(),
        reason: None,
    };
    stage.route("r").breaker.force(request, now());
}

/// The reasons and fallbacks in the lines, in their order.
fn told(stage: &Rc<Stage>) -> Vec<(String, bool)> {
    let lines = stage.lines();
    let told = lines.iter().map(|line| {
        let reason = line["reason"].as_str().unwrap_or("-").to_owned();
        (reason, line["fallback"] == "respond")
    });
    told.collect()
}

#[test]
fn an_open_breaker_answers_at_once_behind_a_busy_bulkhead_cases_135_and_139() {
    on_stage(&config(BUSY), as_asked(), async |stage| {
        let out = begin(&stage, "/r/8000").await;
        force(&stage, Order::Open { until: None });
        let begun = now();
        for _ in 0..9 {
            let got = stage.get("/r/1").await;
            assert_eq!(
                (got.at, got.reason.as_deref()),
                (begun, Some("forced_open"))
            );
        }
        assert_eq!(out.await.unwrap().status, 200, "who is out stays out");
        let told = told(&stage);
        assert!(
            told[..9]
                .iter()
                .all(|it| *it == ("forced_open".to_owned(), true)),
            "{told:?}"
        );
    });
}

#[test]
fn a_queue_ends_with_the_call_that_opens_the_breaker() {
    on_stage(&config(BUSY), failing(1_000), async |stage| {
        let mut calls = Vec::new();
        for _ in 0..6 {
            calls.push(begin(&stage, "/r/x").await);
        }
        let mut ends = Vec::new();
        for call in calls {
            ends.push(call.await.unwrap().at);
        }
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
        assert_eq!(stage.origin.calls(), 1);
        let told = told(&stage);
        let refused = told
            .iter()
            .filter(|it| **it == ("circuit_open".to_owned(), true));
        assert_eq!(refused.count(), 5, "{told:?}");
    });
}

#[test]
fn who_queues_hears_at_once_that_the_breaker_was_forced_open_case_139() {
    let reloaded = config(BUSY);
    let unlimited = reloaded.replace(BUSY, "");
    on_stage(&unlimited, as_asked(), async |stage| {
        stage.get("/r/1").await;
        // The breaker is older than the bulkhead.
        for _ in 0..2 {
            stage.reload(&unlimited);
            stage.reload(&reloaded);
            let out = begin(&stage, "/r/8000").await;
            let mut queue = Vec::new();
            for _ in 0..4 {
                queue.push(begin(&stage, "/r/1").await);
            }
            let forced = now();
            force(&stage, Order::Open { until: None });
            for call in queue {
                let got = call.await.unwrap();
                assert_eq!(
                    (got.at, got.reason.as_deref()),
                    (forced, Some("forced_open"))
                );
            }
            force(&stage, Order::Close);
            assert_eq!(out.await.unwrap().status, 200);
        }
    });
}

#[test]
fn what_an_open_breaker_refuses_uses_up_no_rate_and_gets_its_fallback() {
    let config = config("rate: {per_second: 1, burst: 1}");
    on_stage(&config, always(204), async |stage| {
        force(&stage, Order::Open { until: None });
        for _ in 0..4 {
            assert_eq!(stage.get("/r/x").await.status, 200);
        }
        force(&stage, Order::Close);
        assert_eq!(stage.get("/r/x").await.status, 204);
        let over = stage.get("/r/x").await;
        assert_eq!(over.reason.as_deref(), Some("rate_limited"));
    });
}

#[test]
fn who_waits_out_a_pause_keeps_no_place_under_the_bulkhead() {
    let config = config("concurrency: {max: 1, queue: 0}");
    on_stage(&config, pausing(), async |stage| {
        stage.get("/r/1").await;
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(begin(&stage, "/r/10").await);
        }
        let route = stage.route("r");
        let bulkhead = route.limits.bulkhead.as_ref().unwrap();
        assert_eq!(bulkhead.view().in_use, 0);
        assert_eq!(route.limits.throttle.view(now()).waiting, 3);
        for call in calls {
            // After the first success the others go one by one: the limit is a limit, and whoever has waited so long is not sent away.
            assert_eq!(call.await.unwrap().status, 200);
        }
        assert_eq!(bulkhead.view().in_use, 0, "no place is lost");
    });
}

#[test]
fn a_retry_that_waits_out_a_pause_gives_its_place_back() {
    let config = config(BUSY).replace(
        "timeout: 9s",
        "timeout: 9s, retry: {attempts: 2, retry_on: [429]}",
    );
    on_stage(&config, pausing(), async |stage| {
        let first = begin(&stage, "/r/10").await;
        pass(200).await;
        let route = stage.route("r");
        let bulkhead = route.limits.bulkhead.as_ref().unwrap();
        assert_eq!(bulkhead.view().in_use, 0);
        assert_eq!(first.await.unwrap().status, 200);
        assert_eq!(stage.lines()[0]["attempts"], 2);
        assert_eq!(bulkhead.view().in_use, 0);
    });
}

#[test]
fn a_retry_that_backs_off_keeps_nobody_out() {
    let config = config("concurrency: {max: 1, queue: 0}").replace(
        "timeout: 9s",
        "timeout: 9s, retry: {attempts: 2, base: 3s, max: 3s}",
    );
    let config = config.replace("failure_threshold: 1", "failure_threshold: 9");
    on_stage(&config, always(503), async |stage| {
        let first = begin(&stage, "/r/x").await;
        let route = stage.route("r");
        let bulkhead = route.limits.bulkhead.as_ref().unwrap();
        assert_eq!(bulkhead.view().in_use, 0);
        stage.origin.becomes(as_asked());
        let out = begin(&stage, "/r/8000").await;
        assert_eq!(bulkhead.view().in_use, 1);
        // It had a place, and waits for the next.
        assert_eq!(first.await.unwrap().status, 503);
        assert_eq!(out.await.unwrap().status, 200);
    });
}

#[test]
fn during_a_pause_the_pause_is_the_reason_and_uses_up_no_rate() {
    let config = config("rate: {per_second: 1, burst: 3}, concurrency: {max: 1, queue: 0}")
        .replace("wait: 5s", "wait: 0s");
    on_stage(&config, pausing(), async |stage| {
        let early = begin(&stage, "/r/x").await;
        assert_eq!(early.await.unwrap().status, 429);
        for _ in 0..5 {
            let got = stage.get("/r/1").await;
            assert_eq!(got.reason.as_deref(), Some("throttled"));
        }
        pass(1_000).await;
        assert_eq!(stage.get("/r/1").await.status, 200);
        let out = begin(&stage, "/r/1500").await;
        let over = stage.get("/r/1").await;
        assert_eq!(over.reason.as_deref(), Some("overloaded"));
        assert_eq!(out.await.unwrap().status, 200);
    });
}

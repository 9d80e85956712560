//! Pauses that an upstream asks for, and limits of our own, on the whole data path and a paused clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use sidefuse::resilience::Key;
use sidefuse::time::{Deadline, now, sleep_until, wall};
use tokio::task::spawn_local;

use crate::support::memory::{Script, always, on_stage, silent};

/// An origin that asks for a pause of that many seconds.
fn throttling(seconds: &'static str) -> Script {
    Arc::new(move |_| {
        let answer = Response::builder()
            .status(429)
            .header("retry-after", seconds)
            .body(Full::new(Bytes::new()))
            .unwrap();
        Box::pin(std::future::ready(answer))
    })
}

async fn pass(millis: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(millis))).await;
}

#[test]
fn a_429_is_passed_on_and_pauses_the_route_case_112() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin}}\n";
    on_stage(config, throttling("30"), async |stage| {
        let first = stage.get("/r/x").await;
        assert_eq!(
            (first.status, first.reason),
            (429, None),
            "the upstream's own"
        );
        let route = stage.snapshot.route("r").unwrap();
        let paused = stage.get("/r/x").await;
        assert_eq!(
            (paused.status, paused.reason.as_deref()),
            (429, Some("throttled"))
        );
        assert_eq!(paused.retry_after.as_deref(), Some("30"));
        assert_eq!(stage.origin.calls(), 1);
        assert_eq!(route.breaker.view(now()).statistics.failures, 0);
        stage.origin.becomes(always(200));
        pass(29_000).await;
        assert_eq!(stage.get("/r/x").await.retry_after.as_deref(), Some("1"));
        pass(1_000).await;
        assert_eq!(stage.get("/r/x").await.status, 200);
        assert_eq!(stage.get("/r/x").await.status, 200);
        assert!(!route.limits.throttle.view(now()).is_throttled());
    });
}

#[test]
fn each_way_to_ask_for_a_pause_is_understood_case_112() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin}}\n";
    let unix = wall().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let soon = (unix + Duration::from_secs(40)).as_secs().to_string();
    let date = httpdate::fmt_http_date(wall() + Duration::from_secs(40));
    for (status, name, value, least, most) in [
        (429, "retry-after", "7", 7, 7),
        (503, "retry-after", "7", 7, 7),
        (429, "retry-after", &*date, 38, 41),
        (429, "ratelimit-reset", "9", 9, 9),
        (429, "ratelimit", "\"hour\";r=0;t=11", 11, 11),
        (429, "x-ratelimit-reset", "13", 13, 13),
        (429, "x-ratelimit-reset", &*soon, 38, 41),
        (429, "x-other", "99", 1, 1),
        (429, "retry-after", "-1", 1, 1),
        (429, "retry-after", "1000000000", 300, 300),
    ] {
        let answer = Response::builder().status(status).header(name, value);
        let answer = answer.body(Full::new(Bytes::new())).unwrap();
        let script: Script = Arc::new(move |_| Box::pin(std::future::ready(answer.clone())));
        on_stage(config, script, async |stage| {
            assert_eq!(stage.get("/r/x").await.status, status);
            let paused = stage.get("/r/x").await;
            assert_eq!(
                paused.reason.as_deref(),
                Some("throttled"),
                "{name}: {value}"
            );
            let wait: u64 = paused.retry_after.unwrap().parse().unwrap();
            assert!((least..=most).contains(&wait), "{name}: {value}: {wait}");
        });
    }
}

#[test]
fn a_caller_whose_key_is_paused_is_told_the_end_of_its_own_pause() {
    let config = "version: 1\nroutes:\n  r:\n    upstream: http://origin\n    breaker: {key: {header: X-T}}\n    classify: [{status: 429, as: throttled, scope: key}]\n";
    on_stage(config, throttling("42"), async |stage| {
        let ask = |tenant| Request::get("/r/x").header("x-t", tenant);
        for tenant in ["a", "b"] {
            assert_eq!(stage.ask(ask(tenant)).await.status, 429);
        }
        pass(2_000).await;
        let paused = stage.ask(ask("a")).await;
        let problem: Value = serde_json::from_str(paused.text()).unwrap();
        let key = Key::of(b"a");
        assert_eq!(
            problem["detail"],
            format!(
                "this call's key ({key}) alone: throttled for another 40 s because the upstream asked for a pause"
            )
        );
        assert_eq!(problem["retryAfter"], 40);
        stage.origin.becomes(always(200));
        assert_eq!(stage.ask(ask("c")).await.status, 200);
    });
}

#[test]
fn calls_wait_out_a_short_pause_in_the_queue_and_a_long_one_is_refused_at_once() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, throttle: {wait: 2s, max_waiting: 2}}}\n";
    on_stage(config, throttling("1"), async |stage| {
        stage.get("/r/x").await;
        stage.origin.becomes(always(200));
        let begin = now();
        let mut calls = Vec::new();
        for _ in 0..3 {
            let mut caller = stage.caller().await;
            calls.push(spawn_local(async move { caller.get("/r/x").await }));
        }
        let mut statuses = Vec::new();
        for call in calls {
            let got = call.await.unwrap();
            statuses.push(got.status);
            let took = got.at - begin;
            assert!(
                got.status == 429 || took >= Duration::from_secs(1),
                "{took:?}"
            );
        }
        assert_eq!(statuses, [200, 200, 429], "two may wait");

        stage.origin.becomes(throttling("9"));
        stage.get("/r/x").await;
        let begin = now();
        let refused = stage.get("/r/x").await;
        assert_eq!(
            (refused.at, refused.reason.as_deref()),
            (begin, Some("throttled"))
        );
    });
}

#[test]
fn an_open_breaker_answers_before_a_pause() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, throttle: {wait: 5s}, breaker: {failure_threshold: 1}}}\n";
    on_stage(config, throttling("2"), async |stage| {
        stage.get("/r/x").await;
        stage.origin.becomes(always(500));
        assert_eq!(stage.get("/r/x").await.status, 500);
        let begin = now();
        let refused = stage.get("/r/x").await;
        assert_eq!(
            (refused.at, refused.reason.as_deref()),
            (begin, Some("circuit_open"))
        );
    });
}

#[test]
fn the_bulkhead_queues_refuses_and_blames_nobody_case_164() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 9s, limits: {concurrency: {max: 1, queue: 1, queue_timeout: 2s}}}}\n";
    on_stage(config, silent(), async |stage| {
        let mut calls = Vec::new();
        for _ in 0..3 {
            let mut caller = stage.caller().await;
            calls.push(spawn_local(async move { caller.get("/r/x").await }));
            pass(1).await;
        }
        let route = stage.snapshot.route("r").unwrap();
        let bulkhead = route.limits.bulkhead.as_ref().unwrap();
        assert_eq!((bulkhead.view().in_use, bulkhead.view().waiting), (1, 1));
        let mut reasons = Vec::new();
        for call in calls {
            reasons.push(call.await.unwrap().reason.unwrap());
        }
        assert_eq!(reasons, ["timeout", "overloaded", "overloaded"]);
        assert_eq!((bulkhead.view().in_use, bulkhead.view().waiting), (0, 0));
        assert_eq!(route.breaker.view(now()).statistics.failures, 1);
    });
}

#[test]
fn a_caller_that_leaves_the_bulkheads_queue_leaves_no_hole_and_no_slot_is_lost() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 60s, limits: {concurrency: {max: 1, queue: 9, queue_timeout: 50s}}}}\n";
    // Who leaves: of the call that is out (0) and those in line behind it, in this order and at once.
    for leaving in [&[1][..], &[0, 1], &[1, 0], &[2, 0, 1], &[0, 1, 2]] {
        on_stage(config, silent(), async |stage| {
            let mut calls = Vec::new();
            for _ in 0..4 {
                let mut caller = stage.caller().await;
                calls.push(spawn_local(async move { caller.get("/r/x").await }));
                pass(1).await;
            }
            let route = stage.route("r");
            let bulkhead = route.limits.bulkhead.as_ref().unwrap();
            let view = || (bulkhead.view().in_use, bulkhead.view().waiting);
            assert_eq!((view(), stage.origin.calls()), ((1, 3), 1));
            for place in leaving {
                calls[*place].abort();
            }
            pass(1).await;
            let out = usize::from(leaving.contains(&0));
            assert_eq!(view(), (1, 3 - leaving.len()), "{leaving:?}");
            assert_eq!(stage.origin.calls(), 1 + out, "the slot goes on at once");
            for call in &calls {
                call.abort();
            }
            pass(1).await;
            assert_eq!(view(), (0, 0));
            let lines = stage.lines();
            assert_eq!(lines.len(), 4);
            let waited = lines
                .iter()
                .filter(|line| line["heldBy"] == "limits.concurrency");
            assert_eq!(waited.count(), 3, "all behind the first waited");
            for line in lines {
                assert_eq!(
                    (&line["reason"], &line["outcome"]),
                    (&"client_gone".into(), &"ignored".into())
                );
            }
        });
    }
}

#[test]
fn over_its_rate_a_route_answers_429_and_says_exactly_when() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, limits: {rate: {per_second: 0.25, burst: 2}}}}\n";
    on_stage(config, always(200), async |stage| {
        assert_eq!(stage.get("/r/x").await.status, 200);
        assert_eq!(stage.get("/r/x").await.status, 200);
        let over = stage.get("/r/x").await;
        assert_eq!(
            (over.status, over.reason.as_deref()),
            (429, Some("rate_limited"))
        );
        assert_eq!(over.retry_after.as_deref(), Some("4"));
        pass(4_000).await;
        assert_eq!(stage.get("/r/x").await.status, 200);
        assert_eq!(stage.origin.calls(), 3);
        let statistics = stage
            .snapshot
            .route("r")
            .unwrap()
            .breaker
            .view(now())
            .statistics;
        assert_eq!(statistics.total_calls, 3, "no breaker hears of it");
    });
}

#[test]
fn each_key_has_a_rate_of_its_own_and_callers_without_one_share_theirs() {
    for (key, header) in [("{header: X-Tenant}", true), ("client_ip", false)] {
        let config = format!(
            "version: 1\nroutes: {{r: {{upstream: http://origin, limits: {{rate: {{per_second: 1, burst: 2, key: {key}}}}}}}}}\n"
        );
        on_stage(&config, always(200), async |stage| {
            let mut statuses = Vec::new();
            for tenant in ["a", "a", "a", "b", "", "", ""] {
                let mut request = Request::get("/r/x");
                if !tenant.is_empty() {
                    request = request.header("x-tenant", tenant);
                }
                statuses.push(stage.ask(request).await.status);
            }
            let wanted = if header {
                [200, 200, 429, 200, 200, 200, 429]
            } else {
                // All come from one address.
                [200, 200, 429, 429, 429, 429, 429]
            };
            assert_eq!(statuses, wanted, "{key}");
        });
    }
}

//! One call for many.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use sidefuse::resilience::State;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::task::{JoinHandle, spawn_local};

use super::{one_route, pass};
use crate::support::memory::{Said, Script, Stage, on_stage, silent};

pub(super) const COALESCE: &str = "{stale: {coalesce: true}}";

/// An origin that answers each call after a second, with that status and those fields.
pub(super) fn slow(status: u16, fields: &'static [(&'static str, &'static str)]) -> Script {
    Arc::new(move |request| {
        Box::pin(async move {
            sleep_until(Deadline::after(now(), Duration::from_secs(1))).await;
            let who = request.headers().get("authorization");
            let who = who.map_or("nobody", |who| who.to_str().unwrap()).to_owned();
            let builder = Response::builder().status(status);
            let builder = fields.iter().fold(builder, |b, (n, v)| b.header(*n, *v));
            builder.body(Full::new(who.into())).unwrap()
        })
    })
}

/// A call that is under way.
async fn calling(stage: &Stage, request: http::request::Builder) -> JoinHandle<Said> {
    let mut caller = stage.caller().await;
    spawn_local(async move { caller.ask(request, "").await })
}

async fn all(calls: Vec<JoinHandle<Said>>) -> Vec<Said> {
    let mut said = Vec::new();
    for call in calls {
        said.push(call.await.unwrap());
    }
    said
}

#[test]
fn a_hundred_callers_at_once_are_one_call_at_the_origin() {
    on_stage(
        &one_route(COALESCE),
        slow(200, &[("x-theirs", "1")]),
        async |stage| {
            let mut calls = Vec::new();
            for place in 0..100 {
                let request =
                    Request::get("/r/a").header("x-correlation-id", format!("id-{place}"));
                calls.push(calling(&stage, request).await);
            }
            for (place, said) in all(calls).await.into_iter().enumerate() {
                assert_eq!((said.status, said.text()), (200, "nobody"));
                assert_eq!(said.header("x-correlation-id"), format!("id-{place}"));
                assert_eq!(
                    (said.header("x-theirs"), said.header("content-length")),
                    ("1", "6")
                );
                assert_eq!(said.header("x-sidefuse-fallback"), "");
            }
            assert_eq!(stage.origin.calls(), 1);
            let route = stage.snapshot.route("r").unwrap();
            assert_eq!(route.breaker.view(now()).statistics.successes, 1);
            assert_eq!(route.upstream.statistics().available, 1);
            assert!(
                stage
                    .metrics()
                    .contains("sidefuse_coalesced_total{route=\"r\"} 99")
            );
            // Who comes later makes the call anew.
            assert_eq!(stage.ask(Request::get("/r/a")).await.status, 200);
            assert_eq!(stage.origin.calls(), 2);
            let lines = stage.lines();
            let shared = lines.iter().filter(|line| line["coalesced"] == true);
            assert!(
                shared
                    .clone()
                    .all(|line| line["attempts"] == 0 && line["outcome"] == "success")
            );
            assert_eq!((shared.count(), lines.len()), (99, 101));
        },
    );
}

#[test]
fn callers_with_other_credentials_or_other_calls_share_nothing() {
    on_stage(&one_route(COALESCE), slow(200, &[]), async |stage| {
        let mut calls = Vec::new();
        for who in ["a", "b", "a"] {
            let request = Request::get("/r/a").header("authorization", who);
            calls.push(calling(&stage, request).await);
        }
        calls.push(calling(&stage, Request::get("/r/a")).await);
        calls.push(calling(&stage, Request::post("/r/a")).await);
        calls.push(calling(&stage, Request::get("/r/a").header("range", "bytes=0-1")).await);
        let said = all(calls).await;
        let bodies: Vec<&str> = said.iter().map(Said::text).collect();
        assert_eq!(bodies, ["a", "b", "a", "nobody", "nobody", "nobody"]);
        assert_eq!(stage.origin.calls(), 5);
    });
}

#[test]
fn a_call_that_loses_a_field_by_its_connection_shares_nothing_with_one_that_keeps_it_case_16() {
    on_stage(&one_route(COALESCE), slow(200, &[]), async |stage| {
        let tenant = || Request::get("/r/a").header("authorization", "a");
        let losing = tenant().header("connection", "Authorization");
        let calls = vec![
            calling(&stage, losing).await,
            calling(&stage, tenant()).await,
        ];
        let said = all(calls).await;
        let bodies: Vec<&str> = said.iter().map(Said::text).collect();
        assert_eq!(bodies, ["nobody", "a"]);
    });
}

#[test]
fn a_leader_that_goes_away_is_replaced_by_one_of_those_who_wait() {
    on_stage(&one_route(COALESCE), slow(200, &[]), async |stage| {
        let leader = calling(&stage, Request::get("/r/a")).await;
        pass(Duration::from_millis(100)).await;
        let mut calls = Vec::new();
        for _ in 0..5 {
            calls.push(calling(&stage, Request::get("/r/a")).await);
        }
        pass(Duration::from_millis(400)).await;
        assert_eq!(stage.origin.calls(), 1);
        leader.abort();
        for said in all(calls).await {
            assert_eq!((said.status, said.text()), (200, "nobody"));
        }
        assert_eq!(stage.origin.calls(), 2);
        let lines = stage.lines();
        let gone = lines.iter().filter(|line| line["clientGone"] == true);
        assert_eq!((gone.count(), lines.len()), (1, 6));
    });
}

#[test]
fn a_call_that_fails_fails_for_all_who_wait_and_counts_once() {
    let config = one_route(COALESCE).replace("threshold: 1", "threshold: 9");
    on_stage(&config, silent(), async |stage| {
        let mut calls = Vec::new();
        for _ in 0..20 {
            calls.push(calling(&stage, Request::get("/r/a")).await);
        }
        for said in all(calls).await {
            assert_eq!(
                (said.status, said.header("x-sidefuse-reason")),
                (504, "timeout")
            );
        }
        assert_eq!(stage.origin.calls(), 1);
        let route = stage.snapshot.route("r").unwrap();
        assert_eq!(route.breaker.view(now()).statistics.failures, 1);
        let metrics = stage.metrics();
        assert!(
            metrics.contains("sidefuse_attempt_failures_total{route=\"r\",reason=\"timeout\"} 1")
        );
        assert_eq!(stage.lines().len(), 20);
    });
}

#[test]
fn who_has_enough_of_his_own_time_does_not_fail_because_anothers_is_over() {
    let config = one_route(COALESCE).replace("threshold: 1", "threshold: 9");
    for recovers in [true, false] {
        on_stage(&config, silent(), async |stage| {
            let begin = now();
            let mut calls = Vec::new();
            for _ in 0..5 {
                calls.push(calling(&stage, Request::get("/r/a")).await);
                pass(Duration::from_secs(1)).await;
            }
            if recovers {
                stage.origin.becomes(slow(200, &[]));
            }
            let said = all(calls).await;
            let told: Vec<_> = said
                .iter()
                .map(|said| {
                    (
                        said.status,
                        (said.at - begin).as_millis().div_euclid(10) * 10,
                    )
                })
                .collect();
            // Each has five seconds. Those who have waited for half of them and more have heard enough of the upstream's silence; the
            // others ask once more, together.
            assert_eq!(told[..3], [(504, 5_000); 3]);
            if recovers {
                assert_eq!(told[3..], [(200, 6_000); 2]);
            } else {
                assert_eq!(told[3], (504, 8_000));
                // Whoever of the two leads.
                assert!([(504, 8_000), (504, 9_000)].contains(&told[4]), "{told:?}");
            }
            assert_eq!(stage.origin.calls(), 2, "one at a time");
            let failures = stage.route("r").breaker.view(now()).statistics.failures;
            assert_eq!(failures, 2 - u64::from(recovers));
        });
    }
}

#[test]
fn a_failing_upstream_is_asked_by_one_at_a_time_until_the_breaker_opens() {
    let config = one_route(COALESCE).replace("threshold: 1", "threshold: 2");
    on_stage(&config, slow(500, &[]), async |stage| {
        let mut calls = Vec::new();
        for _ in 0..50 {
            calls.push(calling(&stage, Request::get("/r/a")).await);
        }
        let said = all(calls).await;
        let failed = said.iter().filter(|said| said.status == 500).count();
        let refused = said.iter().filter(|said| said.status == 503).count();
        assert_eq!((failed, refused, stage.origin.calls()), (2, 48, 2));
    });
}

#[test]
fn who_waits_for_an_upstream_that_goes_on_failing_makes_his_own_call_while_it_can_be_answered() {
    let config = one_route(COALESCE).replace("threshold: 1", "threshold: 99");
    on_stage(&config, slow(500, &[]), async |stage| {
        let begin = now();
        let mut calls = Vec::new();
        for _ in 0..30 {
            calls.push(calling(&stage, Request::get("/r/a")).await);
        }
        let said = all(calls).await;
        assert!(said.iter().all(|said| said.status == 500));
        assert_eq!(stage.origin.calls(), 30);
        // Two one after the other, and half of the five seconds later all that are left.
        let times = said.iter().map(|said| (said.at - begin).as_millis() / 10);
        let [one, two, three] =
            [100, 200, 300].map(|at| times.clone().filter(|time| *time == at).count());
        let together = times.clone().filter(|time| *time == 350).count();
        assert_eq!((one, two, three, together), (1, 1, 1, 27));
    });
}

#[test]
fn a_leader_whose_attempt_took_too_long_fails_for_all_however_much_time_they_have() {
    let config = one_route(COALESCE)
        .replace("threshold: 1", "threshold: 9")
        .replace("timeout: 5s", "timeout: 5s\n    attempt_timeout: 1s");
    on_stage(&config, silent(), async |stage| {
        let begin = now();
        let mut calls = Vec::new();
        for _ in 0..20 {
            calls.push(calling(&stage, Request::get("/r/a")).await);
        }
        for said in all(calls).await {
            let reason = said.header("x-sidefuse-reason");
            let at = (said.at - begin).as_millis() / 10;
            assert_eq!((said.status, reason, at), (504, "timeout", 100));
        }
        assert_eq!(stage.origin.calls(), 1);
    });
}

#[test]
fn an_answer_that_may_not_be_kept_is_its_callers_alone() {
    on_stage(
        &one_route(COALESCE),
        slow(200, &[("cache-control", "no-store")]),
        async |stage| {
            let mut calls = Vec::new();
            for _ in 0..5 {
                calls.push(calling(&stage, Request::get("/r/a")).await);
            }
            let begin = now();
            assert!(all(calls).await.iter().all(|said| said.status == 200));
            assert_eq!(stage.origin.calls(), 5);
            // The first, then all the others together.
            let took = now() - begin;
            assert!(took < Duration::from_millis(2100), "{took:?}");
        },
    );
}

#[test]
fn who_waited_for_another_in_vain_has_his_own_time_from_then_on() {
    // Slow is what the upstream takes, and no attempt begins before it is made.
    let more = "attempt_timeout: 1200ms\n    breaker: {failure_threshold: 9, slow_after: 1100ms, slow_ratio: 10%, min_calls: 1, window: {calls: 10}}";
    let config =
        one_route(COALESCE).replace("breaker: {failure_threshold: 1, reset_timeout: 60s}", more);
    on_stage(
        &config,
        slow(200, &[("cache-control", "no-store")]),
        async |stage| {
            let mut calls = Vec::new();
            for _ in 0..5 {
                calls.push(calling(&stage, Request::get("/r/a")).await);
            }
            assert!(all(calls).await.iter().all(|said| said.status == 200));
            let view = stage.route("r").breaker.view(now());
            assert_eq!((view.state(), view.statistics.slow), (State::Closed, 0));
            let lines = stage.lines();
            for line in &lines[1..] {
                let time = |name: &str| line[name].as_f64().unwrap();
                assert!((990.0..1010.0).contains(&time("upstreamMs")), "{line}");
                assert!((990.0..1010.0).contains(&time("heldMs")), "{line}");
            }
        },
    );
}

#[test]
fn answers_that_vary_are_shared_among_those_whom_they_fit() {
    on_stage(
        &one_route(COALESCE),
        slow(200, &[("vary", "Accept")]),
        async |stage| {
            let mut calls = Vec::new();
            for accept in ["a", "a", "b", "a"] {
                let request = Request::get("/r/a").header("accept", accept);
                calls.push(calling(&stage, request).await);
            }
            assert!(all(calls).await.iter().all(|said| said.status == 200));
            assert_eq!(stage.origin.calls(), 2);
        },
    );
}

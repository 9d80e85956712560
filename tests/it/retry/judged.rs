//! What the line says of a call whose first attempt has been judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::Duration;

use http::Request;
use http::header::{HeaderValue, RETRY_AFTER};
use sidefuse::net::Phase;
use sidefuse::resilience::{ForceRequest, Order};
use sidefuse::time::now;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};

use super::{GET, config, pass, retries};
use crate::support::memory::{Said, Script, Stage, always, on_stage, silent};
use crate::support::recorder::{Recorder, Turn, answer};

#[test]
fn what_an_attempt_before_the_last_said_of_our_settings_is_not_said_of_the_call() {
    let settings = "attempt_timeout: 1s, retry: {attempts: 2}, classify: [{error: timeout, as: ignored, config_error: true}]";
    let calls = AtomicUsize::new(0);
    let script: Script = Arc::new(move |request| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            silent()(request)
        } else {
            always(200)(request)
        }
    });
    on_stage(&config(settings), script, async |stage| {
        assert_eq!(stage.get("/r/x").await.status, 200);
        let line = stage.lines().pop().unwrap();
        assert_eq!(line["outcome"], "success", "{line}");
        assert!(line.get("configError").is_none(), "{line}");
    });
}

#[test]
fn a_caller_that_leaves_between_two_attempts_ends_the_call_and_the_upstream_only_the_attempt() {
    let settings = "timeout: 60s, retry: {attempts: 2, base: 20s, max: 20s}";
    on_stage(&config(settings), always(200), async |stage| {
        stage.origin.refuses();
        let mut stream = stage.pipe();
        stream.write_all(GET.as_bytes()).await.unwrap();
        pass(Duration::from_millis(1)).await;
        drop(stream);
        pass(Duration::from_secs(60)).await;
        let metrics = stage.metrics();
        let count = |series: &str| metrics.contains(&format!("{series} 1\n"));
        assert!(count(
            "sidefuse_attempt_failures_total{route=\"r\",reason=\"connect\"}"
        ));
        assert!(count(
            "sidefuse_requests_total{route=\"r\",method=\"GET\",code_class=\"none\",outcome=\"ignored\"}"
        ));
        let view = stage.snapshot.route("r").unwrap().breaker.view(now());
        assert_eq!(view.statistics.failures, 1);
        let line = stage.lines().pop().unwrap();
        assert_eq!(
            (&line["reason"], &line["outcome"], &line["clientGone"]),
            (&"client_gone".into(), &"ignored".into(), &true.into())
        );
        assert_eq!(
            (&line["attempts"], &line["level"]),
            (&1.into(), &"info".into())
        );
    });
}

#[test]
fn an_attempt_whose_caller_leaves_in_its_middle_counts_as_abandoned() {
    let settings = "timeout: 60s, retry: {attempts: 3}";
    on_stage(&config(settings), always(200), async |stage| {
        let recorder = Recorder::on(&stage, |place, _| match place {
            0 => answer(503, "", ""),
            _ => Turn::Silence,
        });
        let mut stream = stage.pipe();
        stream.write_all(GET.as_bytes()).await.unwrap();
        pass(Duration::from_secs(1)).await;
        drop(stream);
        pass(Duration::from_secs(1)).await;
        let numbers: Vec<_> = recorder
            .all()
            .iter()
            .map(|one| one.header("x-attempt").is_some())
            .collect();
        assert_eq!(numbers, [false, true]);
        let metrics = stage.metrics();
        let counted = ["answered", "failed", "abandoned"].map(|result| retries(&metrics, result));
        assert_eq!(counted, [0, 0, 1]);
        assert_eq!(stage.lines()[0]["attempts"], 2);
    });
}

#[test]
fn an_attempt_that_reached_the_upstream_counts_even_if_the_breaker_forbids_to_make_it_again() {
    let settings = "timeout: 60s, retry: {attempts: 2}";
    on_stage(&config(settings), always(200), async |stage| {
        let route = stage.route("r");
        let breaker = Arc::clone(&route.breaker);
        let recorder = Recorder::on(&stage, move |place, _| match place {
            0 | 1 => answer(200, "", ""),
            2 => answer(503, "", ""),
            _ => {
                let request = ForceRequest {
                    order: Order::Open { until: None },
                    by: "sre".to_owned(),
                    reason: None,
                };
                assert!(breaker.force(request, now()));
                Turn::Close
            }
        });
        // Two connections, one of which is unused when the second attempt wants one.
        let _ = tokio::join!(stage.get("/r/x"), stage.get("/r/x"));
        let said = stage.get("/r/x").await;
        let metrics = stage.metrics();
        let counted = ["answered", "failed", "refused"].map(|result| retries(&metrics, result));
        let line = stage.lines().pop().unwrap();
        let view = route.breaker.view(now()).statistics;
        assert_eq!(
            (recorder.all().len(), counted, view.failures, said.status),
            (4, [0, 1, 1], 2, 502),
            "{line}"
        );
    });
}

/// A call that has begun.
async fn begun(stage: &Stage) -> JoinHandle<Said> {
    let mut caller = stage.caller().await;
    let call = spawn_local(async move { caller.ask(Request::get("/r/x"), "").await });
    pass(Duration::from_millis(1)).await;
    call
}

/// The first call is answered so, all others are not.
fn first(status: Option<u16>) -> Script {
    let calls = AtomicUsize::new(0);
    Arc::new(move |request| {
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        match status.filter(|_| is_first) {
            Some(status) => always(status)(request),
            None => silent()(request),
        }
    })
}

#[test]
fn who_waits_to_go_again_when_the_breaker_opens_gets_what_the_upstream_said_before() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, pool: {max: 1}}, timeout: 60s, attempt_timeout: 20s, breaker: {failure_threshold: 1000}, retry: {attempts: 2, base: 1s, max: 1s}}}\n";
    for (answer, told) in [(Some(503), (503, "", "{}")), (None, (504, "timeout", ""))] {
        on_stage(config, first(answer), async |stage| {
            let (call, _other) = (begun(&stage).await, begun(&stage).await);
            // The other call has the one connection by now, and this one waits for it.
            let time = if answer.is_some() { 2 } else { 22 };
            pass(Duration::from_secs(time)).await;
            assert_eq!(stage.origin.calls(), 2);
            assert_eq!(stage.route("r").upstream.statistics().waiting, 1);
            let order = ForceRequest {
                order: Order::Open { until: None },
                by: "sre".to_owned(),
                reason: None,
            };
            stage.route("r").breaker.force(order, now());
            let said = call.await.unwrap();
            assert_eq!(
                (said.status, said.header("x-sidefuse-reason")),
                (told.0, told.1)
            );
            assert!(
                told.2.is_empty() || said.text() == told.2,
                "{}",
                said.text()
            );
            let counted = stage.route("r").breaker.view(now()).statistics;
            assert_eq!((counted.failures, counted.rejected), (1, 1));
            assert_eq!(retries(&stage.metrics(), "refused"), 1);
            let line = &stage.lines()[0];
            assert_eq!(
                (&line["attempts"], &line["outcome"], &line["breakerState"]),
                (&1.into(), &"failure".into(), &"open".into()),
                "{line}"
            );
        });
    }
}

#[test]
fn who_has_queued_to_go_again_when_the_drain_ends_gets_what_the_upstream_said_before() {
    let settings = "timeout: 60s, breaker: {failure_threshold: 1000}, retry: {attempts: 2, retry_on: [500], max_retry_after: 10s}";
    let pool = "upstream: {url: http://origin, pool: {max: 1}}";
    let bulkhead =
        "upstream: http://origin, limits: {concurrency: {max: 1, queue: 5, queue_timeout: 30s}}";
    for queue in [pool, bulkhead] {
        let config = format!("version: 1\nroutes: {{r: {{{queue}, {settings}}}}}\n");
        let calls = AtomicUsize::new(0);
        let script: Script = Arc::new(move |request| {
            if calls.fetch_add(1, Ordering::Relaxed) > 0 {
                return silent()(request);
            }
            Box::pin(async move {
                let mut answer = always(500)(request).await;
                let wait = HeaderValue::from_static("10");
                answer.headers_mut().insert(RETRY_AFTER, wait);
                answer
            })
        });
        on_stage(&config, script, async |stage| {
            let (call, other) = (begun(&stage).await, begun(&stage).await);
            // The other call is out by now, never to be answered, and this one waits for it.
            pass(Duration::from_secs(11)).await;
            stage.worker.shared().phases.advance(Phase::Closing);
            let said = call.await.unwrap();
            assert_eq!(
                (said.status, said.header("x-sidefuse-reason"), said.text()),
                (500, "", "{}"),
                "{queue}"
            );
            let other = other.await.unwrap();
            assert_eq!(other.header("x-sidefuse-reason"), "draining", "{queue}");
            assert_eq!(retries(&stage.metrics(), "refused"), 1, "{queue}");
            let lines = stage.lines();
            let line = lines.iter().find(|line| line["statusCode"] == 500).unwrap();
            assert_eq!(
                (&line["attempts"], &line["outcome"], line.get("reason")),
                (&1.into(), &"failure".into(), None),
                "{line}"
            );
            let held = line["heldMs"].as_f64().unwrap();
            assert!((10_990.0..11_300.0).contains(&held), "{line}");
        });
    }
}

#[test]
fn who_waits_to_go_again_when_the_drain_ends_gets_what_the_upstream_said_before() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, pool: {max: 1}}, timeout: 60s, breaker: {failure_threshold: 1000}, retry: {attempts: 2, retry_on: [500], max_retry_after: 10s}}}\n";
    for has_waited in [false, true] {
        let (calls, release) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let released = Arc::clone(&release);
        let script: Script = Arc::new(move |request| {
            if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                return Box::pin(async move {
                    let mut answer = always(500)(request).await;
                    let wait = HeaderValue::from_static("10");
                    answer.headers_mut().insert(RETRY_AFTER, wait);
                    answer
                });
            }
            let released = Arc::clone(&released);
            Box::pin(async move {
                released.notified().await;
                always(200)(request).await
            })
        });
        on_stage(config, script, async |stage| {
            let (call, _other) = (begun(&stage).await, begun(&stage).await);
            if has_waited {
                // The other call has the one connection by now, and this one waits for it.
                pass(Duration::from_secs(11)).await;
                assert_eq!(stage.route("r").upstream.statistics().waiting, 1);
            }
            stage.worker.shared().phases.advance(Phase::Closing);
            if has_waited {
                release.notify_one();
            }
            let said = call.await.unwrap();
            assert_eq!(
                (said.status, said.header("x-sidefuse-reason"), said.text()),
                (500, "", "{}")
            );
            // The other call has had the connection since the first answer was read.
            assert_eq!(stage.origin.calls(), 2);
            assert_eq!(retries(&stage.metrics(), "refused"), 1);
            let lines = stage.lines();
            let line = lines.iter().find(|line| line["statusCode"] == 500).unwrap();
            assert_eq!(
                (&line["attempts"], &line["outcome"], line.get("reason")),
                (&1.into(), &"failure".into(), None),
                "{line}"
            );
        });
    }
}

#[test]
fn a_probe_that_is_to_be_made_again_gives_its_permit_back_first() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 60s, breaker: {failure_threshold: 1, reset_timeout: 1s, half_open_max: 1}, retry: {attempts: 2, base: 3s, max: 3s, retry_on: [409]}}}\n";
    on_stage(config, always(200), async |stage| {
        let _recorder = Recorder::on(&stage, |n, _| answer([500, 409, 200, 200][n], "", "body"));
        assert_eq!(stage.get("/r/x").await.status, 500);
        pass(Duration::from_secs(2)).await;
        let call = begun(&stage).await;
        pass(Duration::from_secs(1)).await;
        let meanwhile = stage.get("/r/x").await.status;
        assert_eq!((call.await.unwrap().status, meanwhile), (200, 200));
        assert_eq!(retries(&stage.metrics(), "answered"), 1);
    });
}

#[test]
fn a_call_that_waits_to_go_again_leaves_its_connection_to_others() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, pool: {max: 1}}, timeout: 60s, throttle: off, breaker: {failure_threshold: 1000}, retry: {attempts: 2}}}\n";
    for body in ["", "body"] {
        on_stage(config, always(200), async |stage| {
            let _recorder = Recorder::on(&stage, |n, _| match n {
                0 => answer(503, "retry-after: 9\r\n", body),
                _ => answer(200, "", ""),
            });
            let call = begun(&stage).await;
            pass(Duration::from_secs(1)).await;
            let begin = now();
            assert_eq!(stage.get("/r/x").await.status, 200);
            assert_eq!(now().duration_since(begin), Duration::ZERO);
            assert_eq!(call.await.unwrap().status, 200);
        });
    }
}

#[test]
fn an_answer_too_long_to_be_kept_reaches_the_caller_when_it_may_not_go_again() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 60s, breaker: {failure_threshold: 1}, retry: {attempts: 2, base: 1s, max: 1s}}}\n";
    on_stage(config, always(200), async |stage| {
        let long = "long".repeat(50_000);
        let text = long.clone();
        let recorder = Recorder::on(&stage, move |_, _| answer(503, "", &text));
        let mut caller = stage.caller().await;
        let got = caller.ask(Request::get("/r/x"), "").await;
        assert_eq!((got.status, recorder.count()), (503, 1));
        assert!(got.text() == long, "{} bytes", got.text().len());
        assert_eq!(retries(&stage.metrics(), "refused"), 1);
    });
}

//! Each queue by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use sidefuse::resilience::State;
use sidefuse::time::now;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{as_asked, begin, counted, is_about, line, metric, pass, pausing};
use crate::support::memory::{Script, always, on_stage, on_stage_with, silent};

fn config(settings: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: http://origin, timeout: 2s, breaker: {{failure_threshold: 1}}, {settings}}}}}\n"
    )
}

const BUSY: &str = "limits: {concurrency: {max: 1, queue: 9, queue_timeout: 2s}}";

#[test]
fn a_call_that_the_bulkhead_left_too_little_time_is_cut_short_and_proves_nothing() {
    on_stage(&config(BUSY), as_asked(), async |stage| {
        let first = begin(&stage, "/r/1800").await;
        let second = begin(&stage, "/r/300").await;
        assert_eq!(first.await.unwrap().status, 200);
        let got = second.await.unwrap();
        assert_eq!(
            (got.status, got.reason.as_deref()),
            (504, Some("cut_short"))
        );
        assert_eq!(counted(&stage), (0, 1));
        let reached = stage.route("r").breaker.in_force(now()).0;
        assert_eq!(reached, State::Closed);
        assert_eq!(
            metric(
                &stage,
                "sidefuse_attempt_failures_total{route=\"r\",reason=\"timeout\"}"
            ),
            0
        );
        let line = line(&stage.lines(), "/r/300");
        assert_eq!(line["outcome"], "ignored");
        assert_eq!(line["reason"], "cut_short");
        assert_eq!(line["heldBy"], "limits.concurrency");
        assert!(is_about(&line["heldMs"], 1_800.0), "{line}");
        assert!(is_about(&line["upstreamMs"], 200.0), "{line}");
        assert_eq!(line["attempts"], 1);
    });
}

#[test]
fn the_queue_of_the_pool_is_no_time_of_the_upstreams() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, pool: {max: 1}}, timeout: 2s, breaker: {failure_threshold: 1}}}\n";
    on_stage(config, as_asked(), async |stage| {
        let first = begin(&stage, "/r/1000").await;
        let second = begin(&stage, "/r/800").await;
        let third = begin(&stage, "/r/300").await;
        assert_eq!(first.await.unwrap().status, 200);
        assert_eq!(second.await.unwrap().status, 200);
        let got = third.await.unwrap();
        assert_eq!(
            (got.status, got.reason.as_deref()),
            (504, Some("cut_short"))
        );
        assert_eq!(counted(&stage), (0, 1));
        let lines = stage.lines();
        let served = line(&lines, "/r/800");
        assert!(is_about(&served["upstreamMs"], 800.0), "{served}");
        assert!(is_about(&served["heldMs"], 1_000.0), "{served}");
        assert_eq!(served["heldBy"], "upstream.pool");
        let cut = line(&lines, "/r/300");
        assert!(is_about(&cut["upstreamMs"], 200.0), "{cut}");
        assert_eq!(cut["outcome"], "ignored");
    });
}

#[test]
fn a_turn_that_comes_too_late_in_doubt_names_the_queue_that_took_the_time() {
    on_stage(&config(BUSY), as_asked(), async |stage| {
        begin(&stage, "/r/1800").await;
        begin(&stage, "/r/1000").await;
        pass(100).await;
        let mut caller = stage.caller().await;
        let late = caller.ask(http::Request::get("/r/1"), "").await;
        assert_eq!(
            (late.status, late.header("x-sidefuse-reason")),
            (503, "overloaded")
        );
        let detail = late.text();
        let cause = "most of it by `limits.concurrency`";
        assert!(detail.contains(cause), "{detail}");
        assert_eq!(stage.origin.calls(), 2);
    });
}

#[test]
fn a_call_that_waited_out_a_pause_with_too_little_time_left_proves_nothing() {
    let config = config("throttle: {wait: 1200ms}").replace("timeout: 2s", "timeout: 1200ms");
    on_stage(&config, pausing(), async |stage| {
        assert_eq!(stage.get("/r/300").await.status, 429);
        let got = stage.get("/r/300").await;
        assert_eq!(
            (got.status, got.reason.as_deref()),
            (504, Some("cut_short"))
        );
        assert_eq!(counted(&stage), (0, 1));
        let throttle = stage.route("r").limits.throttle.view(now());
        assert!(throttle.is_throttled(), "nor is it a proof of health");
        assert_eq!(
            stage.get("/r/300").await.status,
            200,
            "with all of its time"
        );
        assert_eq!(line(&stage.lines()[1..], "/r/300")["heldBy"], "throttle");
    });
}

#[test]
fn a_half_open_probe_that_waited_with_us_decides_nothing() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 1200ms, throttle: {wait: 1200ms}, breaker: {failure_threshold: 1, reset_timeout: 1s, success_threshold: 1}}}\n";
    on_stage(config, always(500), async |stage| {
        stage.get("/r/300").await;
        pass(1_000).await;
        stage.origin.becomes(pausing());
        assert_eq!(stage.get("/r/300").await.status, 429);
        let got = stage.get("/r/300").await;
        assert_eq!(got.reason.as_deref(), Some("cut_short"));
        let route = stage.route("r");
        assert_eq!(route.breaker.in_force(now()).0, State::HalfOpen);
        assert_eq!(stage.get("/r/300").await.status, 200);
        assert_eq!(route.breaker.in_force(now()).0, State::Closed);
    });
}

#[test]
fn an_attempt_that_a_back_off_left_too_little_time_proves_nothing_case_99() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 1s, breaker: {failure_threshold: 99}, retry: {attempts: 2, base: 990ms, max: 990ms}}}\n";
    let refuse_first: Script = Arc::new(|request| {
        if request.headers().contains_key("x-attempt") {
            silent()(request)
        } else {
            always(502)(request)
        }
    });
    on_stage(config, refuse_first, async |stage| {
        for _ in 0..20 {
            assert_eq!(stage.get("/r/x").await.status, 504);
        }
        let (failures, ignored) = counted(&stage);
        let lines = stage.lines();
        let (cut, late): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| line["reason"] == "cut_short");
        for line in &cut {
            assert!(
                line["heldMs"].as_f64() > line["upstreamMs"].as_f64(),
                "{line}"
            );
            assert_eq!(
                (&line["heldBy"], &line["attempts"]),
                (&"retry".into(), &2.into())
            );
        }
        for line in &late {
            assert_eq!(line["reason"], "timeout");
            assert!(
                line["heldMs"].as_f64() <= line["upstreamMs"].as_f64(),
                "{line}"
            );
        }
        assert!(!cut.is_empty() && !late.is_empty());
        assert_eq!(ignored, cut.len() as u64);
        assert_eq!(failures, 20 + late.len() as u64);
    });
}

#[test]
fn no_endpoint_is_ejected_for_what_our_queue_took() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, endpoints: [\"a:80\", \"b:80\"]}, timeout: 2s, limits: {concurrency: {max: 1, queue: 99, queue_timeout: 2s}}}}\n";
    let others = [("a:80", as_asked()), ("b:80", as_asked())];
    on_stage_with(config, silent(), &others, async |stage| {
        for _ in 0..30 {
            let first = begin(&stage, "/r/1900").await;
            let second = begin(&stage, "/r/300").await;
            first.await.unwrap();
            assert_eq!(second.await.unwrap().reason.as_deref(), Some("cut_short"));
        }
        let endpoints = stage.route("r").upstream.endpoints().view();
        assert_eq!(endpoints.len(), 2);
        for endpoint in endpoints {
            assert_eq!(endpoint.consecutive_failures, 0, "{endpoint:?}");
        }
        assert_eq!(counted(&stage).0, 0);
    });
}

#[test]
fn a_connect_that_a_queue_left_too_little_time_proves_nothing() {
    let closing: Script = Arc::new(|_| {
        Box::pin(async {
            pass(1_900).await;
            let answer = Response::builder().header("connection", "close");
            answer.body(Full::new(Bytes::new())).unwrap()
        })
    });
    on_stage(&config(BUSY), closing, async |stage| {
        let first = begin(&stage, "/r/x").await;
        let second = begin(&stage, "/r/y").await;
        stage.origin.becomes_a_black_hole();
        assert_eq!(first.await.unwrap().status, 200);
        let got = second.await.unwrap();
        assert_eq!(
            (got.status, got.reason.as_deref()),
            (504, Some("cut_short"))
        );
        assert_eq!(counted(&stage), (0, 1));
        let endpoint = &stage.route("r").upstream.endpoints().view()[0];
        assert_eq!(endpoint.consecutive_failures, 0);
    });
}

#[test]
fn an_upstream_that_had_its_share_has_failed_whatever_the_queue_took() {
    on_stage(&config(BUSY), as_asked(), async |stage| {
        let first = begin(&stage, "/r/900").await;
        let second = begin(&stage, "/r/never").await;
        assert_eq!(first.await.unwrap().status, 200);
        let got = second.await.unwrap();
        assert_eq!((got.status, got.reason.as_deref()), (504, Some("timeout")));
        assert_eq!(counted(&stage), (1, 0));
    });
}

#[test]
fn an_attempts_own_time_begins_when_the_pool_lets_it_go() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, pool: {max: 1}}, timeout: 9s, attempt_timeout: 1s}}\n";
    on_stage(config, as_asked(), async |stage| {
        let first = begin(&stage, "/r/900").await;
        let second = begin(&stage, "/r/900").await;
        assert_eq!(first.await.unwrap().status, 200);
        assert_eq!(second.await.unwrap().status, 200);
        let first = begin(&stage, "/r/900").await;
        let begun = now();
        let second = begin(&stage, "/r/never").await;
        assert_eq!(first.await.unwrap().status, 200);
        let got = second.await.unwrap();
        assert_eq!(got.reason.as_deref(), Some("timeout"));
        let took = (got.at - begun).as_millis();
        assert!((1_895..=1_910).contains(&took), "{took}");
    });
}

#[test]
fn an_attempt_that_used_up_its_own_time_is_the_upstreams_whatever_a_queue_took_before() {
    let config =
        config(&format!("attempt_timeout: 1s, {BUSY}")).replace("timeout: 2s", "timeout: 9s");
    let connections = AtomicUsize::new(0);
    on_stage(&config, silent(), async |stage| {
        // The second call loses the kept-alive connection in the middle of its time, and is made again within it.
        stage.origin.speaks(Arc::new(move |mut stream| {
            let is_first = connections.fetch_add(1, Ordering::Relaxed) == 0;
            Box::pin(async move {
                assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
                if !is_first {
                    return std::future::pending().await;
                }
                pass(900).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
                pass(600).await;
            })
        }));
        let first = begin(&stage, "/r/x").await;
        let second = begin(&stage, "/r/y").await;
        assert_eq!(first.await.unwrap().status, 200);
        let got = second.await.unwrap();
        assert_eq!((got.status, got.reason.as_deref()), (504, Some("timeout")));
        assert_eq!(counted(&stage), (1, 0));
        let line = line(&stage.lines(), "/r/y");
        assert!(is_about(&line["heldMs"], 900.0), "{line}");
        assert!(is_about(&line["upstreamMs"], 1_000.0), "{line}");
        assert_eq!(stage.origin.connections(), 2);
    });
}

#[test]
fn an_active_probe_that_waited_for_a_connection_does_not_fail() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, pool: {max: 1}}, timeout: 9s, probe: {path: /900, every: 10s, timeout: 2s}}}\n";
    on_stage(config, as_asked(), async |stage| {
        for _ in 0..60 {
            let call = begin(&stage, "/r/1950").await;
            assert_eq!(call.await.unwrap().status, 200);
        }
        let failed = "sidefuse_probes_total{route=\"r\",result=\"failure\"}";
        let skipped = "sidefuse_probes_total{route=\"r\",result=\"skipped\"}";
        assert_eq!(metric(&stage, failed), 0);
        assert!(metric(&stage, skipped) > 0);
    });
}

//! Pauses that an upstream asks for, and what else happens meanwhile: the whole data path on a paused clock, and what a real process
//! tells of it.

mod keys;
mod reload;
mod told;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use sidefuse::resilience::{ForceRequest, Order};
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::task::{JoinHandle, spawn_local};

use crate::support::memory::{Said, Script, Stage, always, on_stage, silent};
use crate::support::raw::at_once;

async fn pass(millis: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(millis))).await;
}

fn answer(status: u16, fields: &[(&str, &str)], body: &'static str) -> Response<Full<Bytes>> {
    let builder = Response::builder().status(status);
    let builder = fields.iter().fold(builder, |b, (n, v)| b.header(*n, *v));
    builder.body(Full::new(body.into())).unwrap()
}

/// An origin that asks for a pause of 20 s; calls of `/r/late` fail, but only after 2 s.
fn busy_and_failing() -> Script {
    Arc::new(|request| {
        let is_late = request.uri().path() == "/late";
        Box::pin(async move {
            if is_late {
                pass(2_000).await;
                return answer(500, &[], "");
            }
            answer(429, &[("retry-after", "20")], "")
        })
    })
}

/// A call that is under way.
async fn calling(stage: &Stage, request: http::request::Builder) -> JoinHandle<Said> {
    let mut caller = stage.caller().await;
    let call = spawn_local(async move { caller.ask(request, "").await });
    pass(1).await;
    call
}

fn told(said: &Said) -> (u16, &str) {
    (said.status, said.header("x-sidefuse-reason"))
}

/// Seconds since then, rounded down.
fn seconds(at: Instant, begin: Instant) -> u64 {
    at.saturating_duration_since(begin).as_secs()
}

#[test]
fn who_waits_out_a_pause_hears_at_once_that_the_breaker_has_opened() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 60s, throttle: {wait: 30s}, breaker: {failure_threshold: 1}}}\n";
    on_stage(config, busy_and_failing(), async |stage| {
        let begin = now();
        let late = calling(&stage, Request::get("/r/late")).await;
        stage.get("/r/x").await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(calling(&stage, Request::get("/r/x")).await);
        }
        assert_eq!(late.await.unwrap().status, 500);
        for call in waiting {
            let said = call.await.unwrap();
            assert_eq!(told(&said), (503, "circuit_open"));
            assert_eq!(seconds(said.at, begin), 2);
        }
        assert_eq!(stage.route("r").limits.throttle.view(now()).waiting, 0);
    });
}

#[test]
fn who_waits_out_a_pause_hears_at_once_that_an_operator_has_opened_the_breaker() {
    let config =
        "version: 1\nroutes: {r: {upstream: http://origin, timeout: 60s, throttle: {wait: 30s}}}\n";
    on_stage(config, busy_and_failing(), async |stage| {
        stage.get("/r/x").await;
        let waiting = calling(&stage, Request::get("/r/x")).await;
        let request = ForceRequest {
            order: Order::Open { until: None },
            by: "sre".to_owned(),
            reason: None,
        };
        let begin = now();
        assert!(stage.route("r").breaker.force(request, begin));
        let said = waiting.await.unwrap();
        assert_eq!(told(&said), (503, "forced_open"));
        assert_eq!(said.at, begin);
    });
}

#[test]
fn a_grpc_upstream_that_is_exhausted_in_its_trailers_is_left_alone() {
    let config =
        "version: 1\nroutes: {r: {upstream: http://origin, breaker: {failure_threshold: 1}}}\n";
    on_stage(config, silent(), async |stage| {
        stage.origin.says(at_once(
            &[
                "HTTP/1.1 200 OK",
                "content-type: application/grpc",
                "transfer-encoding: chunked",
                "trailer: grpc-status",
            ],
            b"5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 8\r\n\r\n",
        ));
        let call = || Request::post("/r/x").header("te", "trailers");
        assert_eq!(stage.ask(call()).await.status, 200);
        let said = stage.ask(call()).await;
        assert_eq!(told(&said), (429, "throttled"));
        assert_eq!(said.header("retry-after"), "1", "it did not say how long");
        assert_eq!(stage.origin.connections(), 1);
        let route = stage.route("r");
        let statistics = route.breaker.view(now()).statistics;
        assert_eq!((statistics.throttled, statistics.failures), (1, 0));

        // Who is let out to try decides at the headers, since a stream may go on for hours; the next one's trailers are heard again.
        pass(1_000).await;
        assert_eq!(stage.ask(call()).await.status, 200);
        assert!(!route.limits.throttle.view(now()).is_throttled());
        assert_eq!(stage.ask(call()).await.status, 200);
        assert!(route.limits.throttle.view(now()).is_throttled());
        let line = &stage.lines()[0];
        assert_eq!(line["outcome"], "throttled");
    });
}

//! Answers whose body the upstream breaks off.

use std::sync::Arc;

use sidefuse::resilience::State;
use sidefuse::time::now;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{metric, pass};
use crate::support::memory::{Speech, Stage, always, on_stage};

const ROUTE: &str = "version: 1\nroutes: {r: {upstream: http://origin, breaker: {failure_threshold: 3, reset_timeout: 1s, success_threshold: 1}}}\n";
const TRUNCATED: &str = "sidefuse_attempt_failures_total{route=\"r\",reason=\"truncated\"}";

/// Says this to the first call on each connection, and closes it.
fn breaks_off(answer: &'static str) -> Speech {
    Arc::new(move |mut stream| {
        Box::pin(async move {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.unwrap_or(0) > 0 {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        })
    })
}

async fn status(stage: &Stage) -> u16 {
    stage.caller().await.try_get("/r/x").await.0
}

#[test]
fn a_4xx_whose_body_breaks_off_is_a_failure_case_132() {
    on_stage(ROUTE, always(200), async |stage| {
        stage.origin.speaks(breaks_off(
            "HTTP/1.1 400 Bad\r\ncontent-length: 50\r\n\r\nabc",
        ));
        for _ in 0..3 {
            assert_eq!(status(&stage).await, 400);
        }
        let view = stage.route("r").breaker.view(now());
        assert_eq!(view.state(), State::Open);
        assert_eq!((view.statistics.failures, view.statistics.alive), (3, 0));
        assert_eq!(metric(&stage, TRUNCATED), 3);
        let line = &stage.lines()[0];
        assert_eq!(
            (&line["statusCode"], &line["outcome"], &line["reason"]),
            (&400.into(), &"failure".into(), &"truncated".into())
        );
    });
}

#[test]
fn a_4xx_with_all_of_its_body_is_alive_and_closes_a_half_open_breaker_case_131() {
    on_stage(ROUTE, always(500), async |stage| {
        for _ in 0..2 {
            status(&stage).await;
        }
        stage.origin.becomes(always(404));
        status(&stage).await;
        let view = stage.route("r").breaker.view(now());
        assert_eq!(
            (view.statistics.alive, view.statistics.consecutive_failures),
            (1, 2)
        );
        stage.origin.becomes(always(500));
        status(&stage).await;
        pass(1_000).await;
        stage.origin.becomes(always(404));
        assert_eq!(status(&stage).await, 404);
        assert_eq!(stage.route("r").breaker.in_force(now()).0, State::Closed);
    });
}

#[test]
fn an_event_stream_that_the_upstream_breaks_off_is_counted_and_its_verdict_stands() {
    on_stage(ROUTE, always(200), async |stage| {
        stage.origin.speaks(breaks_off(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ));
        for _ in 0..4 {
            assert_eq!(status(&stage).await, 200);
        }
        let counts = stage.route("r").breaker.view(now()).statistics;
        assert_eq!((counts.successes, counts.failures), (4, 0));
        assert_eq!(metric(&stage, TRUNCATED), 4);
        let line = &stage.lines()[0];
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&"success".into(), &"truncated".into())
        );
    });
}

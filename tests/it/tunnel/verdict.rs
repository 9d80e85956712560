//! What a tunnel proves about its upstream, on a paused clock: exactly one verdict, and what comes later is told and does not count.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidefuse::resilience::{State, Statistics};
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::memory::{Stage, always, on_stage};

const TARGET: &str = "origin:80";

/// A stage whose route has these settings and whose origin does this with each connection.
fn on<S, F>(
    settings: &str,
    speech: impl Fn(DuplexStream) -> S + Send + Sync + 'static,
    test: impl FnOnce(Rc<Stage>) -> F,
) where
    S: Future<Output = ()> + 'static,
    F: Future<Output = ()>,
{
    let config = format!("version: 1\nroutes: {{r: {{upstream: http://origin, {settings}}}}}\n");
    on_stage(&config, always(200), |stage| {
        stage
            .origin
            .speaks(Arc::new(move |stream| Box::pin(speech(stream))));
        test(stage)
    });
}

async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

/// The status of the answer to a CONNECT, its head read.
async fn ask(stage: &Stage) -> (u16, DuplexStream) {
    let mut caller = stage.pipe();
    let asked = format!("CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
    caller.write_all(asked.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(caller.read_u8().await.unwrap());
    }
    let status = std::str::from_utf8(&head[9..12]).unwrap();
    (status.parse().unwrap(), caller)
}

async fn tunnel(stage: &Stage) -> DuplexStream {
    let (status, caller) = ask(stage).await;
    assert_eq!(status, 200);
    caller
}

async fn rest(mut of: DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    of.read_to_end(&mut bytes).await.unwrap();
    bytes
}

fn statistics(stage: &Stage) -> Statistics {
    stage.route("r").breaker.view(now()).statistics
}

/// Successes and failures.
fn counts(stage: &Stage) -> (u64, u64) {
    let statistics = statistics(stage);
    (statistics.successes, statistics.failures)
}

/// Outcome, reason and message of the only line.
fn told(stage: &Stage) -> [String; 3] {
    let lines = stage.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let text = |key: &str| {
        lines[0]
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned()
    };
    ["outcome", "reason", "msg"].map(text)
}

async fn echo(stream: DuplexStream) {
    let (mut from, mut to) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Reads to the end and says nothing.
async fn mute(mut stream: DuplexStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Closes as soon as something came.
async fn hang_up(mut stream: DuplexStream) {
    let _ = stream.read_u8().await;
}

#[test]
fn the_first_byte_from_the_upstream_is_the_success_and_not_the_connection() {
    on("timeout: 30s", echo, async |stage| {
        let mut caller = tunnel(&stage).await;
        pass(1).await;
        assert_eq!(counts(&stage), (0, 0), "to accept is not to work");
        caller.write_all(b"x").await.unwrap();
        caller.read_u8().await.unwrap();
        assert_eq!(counts(&stage), (1, 0));
        for _ in 0..9 {
            caller.write_all(b"more").await.unwrap();
            pass(20).await;
        }
        drop(caller);
        pass(1).await;
        assert_eq!(counts(&stage), (1, 0), "one verdict");
        assert_eq!(told(&stage), ["success", "-", "Request completed"]);
    });
}

#[test]
fn an_upstream_that_hangs_up_before_its_first_byte_has_failed_by_reset() {
    let breaker = "timeout: 30s, breaker: {failure_threshold: 1, reset_timeout: 10s}";
    on(breaker, hang_up, async |stage| {
        let mut caller = tunnel(&stage).await;
        caller.write_all(b"hello").await.unwrap();
        assert_eq!(rest(caller).await, b"");
        pass(1).await;
        assert_eq!(counts(&stage), (0, 1));
        assert_eq!(stage.route("r").breaker.in_force(now()).0, State::Open);
        assert_eq!(ask(&stage).await.0, 503);
        assert!(
            stage
                .metrics()
                .contains("sidefuse_attempt_failures_total{route=\"r\",reason=\"reset\"} 1")
        );
        let line = &stage.lines()[0];
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&"failure".into(), &"reset".into())
        );
        assert_eq!(line["msg"], "Request failed");
    });
}

#[test]
fn one_that_hangs_up_before_its_caller_speaks_has_failed_once_he_does() {
    on(
        "timeout: 30s",
        async |stream| drop(stream),
        async |stage| {
            let mut caller = tunnel(&stage).await;
            pass(1).await;
            assert_eq!(
                counts(&stage),
                (0, 0),
                "a server may close what nobody uses"
            );
            let _ = caller.write_all(b"hello").await;
            pass(1).await;
            assert_eq!(counts(&stage), (0, 1));
            assert_eq!(told(&stage), ["failure", "reset", "Request failed"]);
        },
    );
    on(
        "timeout: 30s",
        async |stream| drop(stream),
        async |stage| {
            assert_eq!(rest(tunnel(&stage).await).await, b"");
            pass(1).await;
            assert_eq!(counts(&stage), (0, 0));
            assert_eq!(told(&stage), ["ignored", "reset", "Request cut off"]);
        },
    );
}

#[test]
fn an_upstream_that_never_speaks_has_failed_by_timeout_and_the_tunnel_is_cut() {
    on("timeout: 10s, idle_timeout: 60s", mute, async |stage| {
        let begin = now();
        let mut caller = tunnel(&stage).await;
        caller.write_all(b"hello").await.unwrap();
        assert_eq!(rest(caller).await, b"");
        let took = now() - begin;
        assert!(
            took >= Duration::from_secs(10) && took <= Duration::from_secs(12),
            "{took:?}"
        );
        assert_eq!(counts(&stage), (0, 1));
        assert_eq!(told(&stage), ["failure", "timeout", "Request failed"]);
    });
}

#[test]
fn a_tunnel_in_which_nobody_speaks_is_cut_and_blames_nobody() {
    on("timeout: 10s, idle_timeout: 60s", mute, async |stage| {
        assert_eq!(rest(tunnel(&stage).await).await, b"");
        assert_eq!(counts(&stage), (0, 0));
        assert_eq!(told(&stage), ["ignored", "idle_timeout", "Request cut off"]);
    });
}

#[test]
fn a_tunnel_that_has_worked_is_cut_after_the_idle_timeout_and_has_worked_all_the_same() {
    on("timeout: 10s, idle_timeout: 60s", echo, async |stage| {
        let mut caller = tunnel(&stage).await;
        for _ in 0..4 {
            caller.write_all(b"x").await.unwrap();
            caller.read_u8().await.unwrap();
            pass(50).await;
        }
        let last = now();
        assert_eq!(rest(caller).await, b"");
        let took = now() - last;
        assert!(
            took >= Duration::from_secs(10) && took <= Duration::from_secs(17),
            "{took:?}"
        );
        assert_eq!(counts(&stage), (1, 0));
        assert_eq!(told(&stage), ["success", "idle_timeout", "Request cut off"]);
    });
}

#[test]
fn a_tunnel_ends_at_the_max_duration_and_blames_nobody() {
    on("timeout: 10s, max_duration: 20s", mute, async |stage| {
        let mut caller = tunnel(&stage).await;
        let begin = now();
        while caller.write_all(b"x").await.is_ok() {
            pass(5).await;
        }
        assert!(now() - begin <= Duration::from_secs(25));
        assert_eq!(counts(&stage), (0, 0));
        assert_eq!(told(&stage), ["ignored", "max_duration", "Request cut off"]);
    });
}

#[test]
fn a_caller_that_leaves_before_the_first_byte_blames_nobody() {
    for says_something in [false, true] {
        on("timeout: 30s", mute, async move |stage| {
            let mut caller = tunnel(&stage).await;
            if says_something {
                caller.write_all(b"hello").await.unwrap();
            }
            drop(caller);
            pass(1).await;
            assert_eq!(counts(&stage), (0, 0));
            assert_eq!(
                told(&stage),
                ["ignored", "client_gone", "Request abandoned"]
            );
        });
    }
}

#[test]
fn a_caller_that_leaves_while_the_upstream_is_dialled_blames_nobody() {
    on("timeout: 30s", mute, async |stage| {
        stage.origin.becomes_a_black_hole();
        let mut caller = stage.pipe();
        let asked = format!("CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
        caller.write_all(asked.as_bytes()).await.unwrap();
        pass(1).await;
        drop(caller);
        pass(1).await;
        assert_eq!(counts(&stage), (0, 0));
        assert_eq!(stage.route("r").upstream.statistics().size, 0);
        assert_eq!(
            told(&stage),
            ["ignored", "client_gone", "Request abandoned"]
        );
    });
}

#[test]
fn a_dial_that_takes_too_long_is_504_and_counts() {
    on("timeout: 30s", mute, async |stage| {
        stage.origin.becomes_a_black_hole();
        let begin = now();
        let (status, caller) = ask(&stage).await;
        assert_eq!((status, (now() - begin).as_secs()), (504, 3));
        assert_eq!(counts(&stage), (0, 1));
        drop(caller);
        assert_eq!(
            told(&stage),
            ["failure", "connect_timeout", "Request failed"]
        );
    });
}

#[test]
fn a_probe_through_a_tunnel_closes_the_breaker_at_the_first_byte_and_holds_no_place_for_longer_than_a_call()
 {
    let breaker = "timeout: 10s, breaker: {failure_threshold: 1, success_threshold: 1, half_open_max: 1, reset_timeout: 5s, probe_timeout: 2s}";
    on(breaker, hang_up, async |stage| {
        let mut caller = tunnel(&stage).await;
        caller.write_all(b"x").await.unwrap();
        rest(caller).await;
        stage
            .origin
            .speaks(Arc::new(|stream| Box::pin(mute(stream))));
        pass(5).await;
        let silent = tunnel(&stage).await;
        assert_eq!(ask(&stage).await.0, 503, "the probe is out");
        pass(3).await;
        assert_eq!(
            rest(silent).await,
            b"",
            "a caller who does not speak is no probe"
        );
        assert_eq!(counts(&stage).1, 1);
        stage
            .origin
            .speaks(Arc::new(|stream| Box::pin(echo(stream))));
        let mut probe = tunnel(&stage).await;
        probe.write_all(b"x").await.unwrap();
        probe.read_u8().await.unwrap();
        assert_eq!(stage.route("r").breaker.in_force(now()).0, State::Closed);
        assert_eq!(tunnel(&stage).await.write(b"x").await.unwrap(), 1);
    });
}

#[test]
fn a_slow_first_byte_is_a_slow_call() {
    let breaker = "timeout: 30s, breaker: {slow_after: 2s, slow_ratio: 50%, min_calls: 10}";
    on(
        breaker,
        async |mut stream: DuplexStream| {
            stream.read_u8().await.unwrap();
            pass(3).await;
            let _ = stream.write_all(b"x").await;
        },
        async |stage| {
            let mut caller = tunnel(&stage).await;
            pass(5).await;
            caller.write_all(b"x").await.unwrap();
            caller.read_u8().await.unwrap();
            assert_eq!(statistics(&stage).slow, 1);
        },
    );
    on(breaker, echo, async |stage| {
        let mut caller = tunnel(&stage).await;
        pass(5).await;
        caller.write_all(b"x").await.unwrap();
        caller.read_u8().await.unwrap();
        assert_eq!(statistics(&stage).slow, 0, "the caller may take its time");
    });
}

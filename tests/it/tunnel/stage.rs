//! A tunnel on a stage, whose clock stands still until everybody waits.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidefuse::resilience::Statistics;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::memory::{Stage, always, on_stage};

pub(super) const TARGET: &str = "origin:80";

/// A stage whose route has these settings and whose origin does this with each connection.
pub(super) fn on<S, F>(
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

pub(super) async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

/// The status of the answer to a CONNECT, its head read.
pub(super) async fn ask(stage: &Stage) -> (u16, DuplexStream) {
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

pub(super) async fn tunnel(stage: &Stage) -> DuplexStream {
    let (status, caller) = ask(stage).await;
    assert_eq!(status, 200);
    caller
}

pub(super) async fn rest(mut of: DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    of.read_to_end(&mut bytes).await.unwrap();
    bytes
}

pub(super) fn statistics(stage: &Stage) -> Statistics {
    stage.route("r").breaker.view(now()).statistics
}

/// Successes and failures.
pub(super) fn counts(stage: &Stage) -> (u64, u64) {
    let statistics = statistics(stage);
    (statistics.successes, statistics.failures)
}

/// Outcome, reason and message of the only line.
pub(super) fn told(stage: &Stage) -> [String; 3] {
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

pub(super) async fn echo(stream: DuplexStream) {
    let (mut from, mut to) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Reads to the end and says nothing.
pub(super) async fn mute(mut stream: DuplexStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// Closes as soon as something came.
pub(super) async fn hang_up(mut stream: DuplexStream) {
    let _ = stream.read_u8().await;
}

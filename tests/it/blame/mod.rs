//! Whose time it was: what our own queues take of a call's time is not the upstream's doing, on the whole data path and a still clock.

mod bodies;
mod callers;
mod counts;
mod uploads;

mod order;
mod queues;
mod silence;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde_json::Value;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::task::{JoinHandle, spawn_local};

use crate::support::memory::{Got, Script, Stage};

/// An origin that takes as many milliseconds as the last part of the path says, and for ever where that is no number.
fn as_asked() -> Script {
    Arc::new(|request| {
        let millis = request.uri().path().rsplit('/').next().unwrap().parse();
        Box::pin(async move {
            match millis {
                Ok(millis) => pass(millis).await,
                Err(_) => std::future::pending().await,
            }
            Response::new(Full::new(Bytes::new()))
        })
    })
}

/// Asks for a pause of a second once, then does as it is asked.
fn pausing() -> Script {
    let (has_asked, then) = (AtomicBool::new(false), as_asked());
    Arc::new(move |request| {
        if has_asked.swap(true, Ordering::Relaxed) {
            return then(request);
        }
        let answer = Response::builder().status(429).header("retry-after", "1");
        let answer = answer.body(Full::new(Bytes::new())).unwrap();
        Box::pin(std::future::ready(answer))
    })
}

/// An origin that fails after so many milliseconds.
fn failing(millis: u64) -> Script {
    Arc::new(move |_| {
        Box::pin(async move {
            pass(millis).await;
            let answer = Response::builder().status(500);
            answer.body(Full::new(Bytes::new())).unwrap()
        })
    })
}

async fn pass(millis: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(millis))).await;
}

/// Begins a call over a connection of its own.
async fn begin(stage: &Rc<Stage>, path: &'static str) -> JoinHandle<Got> {
    let mut caller = stage.caller().await;
    let call = spawn_local(async move { caller.get(path).await });
    pass(1).await;
    call
}

/// What the breaker has counted: failures, ignored calls.
fn counted(stage: &Stage) -> (u64, u64) {
    let counts = stage.route("r").breaker.view(now()).statistics;
    (counts.failures, counts.ignored)
}

/// The access line of the call to that path.
fn line(lines: &[Value], path: &str) -> Value {
    let mut found = lines.iter().filter(|line| line["requestPath"] == path);
    let line = found.next().unwrap_or_else(|| panic!("no line of {path}"));
    line.clone()
}

/// The value of that series.
fn metric(stage: &Stage, series: &str) -> u64 {
    let metrics = stage.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    let value = line.unwrap_or_else(|| panic!("no {series}"));
    value.trim().parse().unwrap()
}

fn is_about(millis: &Value, wanted: f64) -> bool {
    let millis = millis.as_f64().unwrap();
    (wanted - 4.0..=wanted + 4.0).contains(&millis)
}

//! Requests that are still on their way when the time of their call is over.

use std::sync::Arc;
use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;

use super::pass;
use crate::support::memory::{Speech, Stage, always, on_stage, silent};
use crate::support::recorder::status;

const ROUTE: &str = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 2s, breaker: {failure_threshold: 1}}}\n";
const SIZE: usize = 16 << 20;

/// Reads so often a second what fits, and never answers.
fn takes(pieces: usize, pause: Duration) -> Speech {
    Arc::new(move |mut stream| {
        Box::pin(async move {
            let mut piece = vec![0; 64 << 10];
            for _ in 0..pieces {
                if stream.read(&mut piece).await.unwrap_or(0) == 0 {
                    return;
                }
                sleep_until(Deadline::after(now(), pause)).await;
            }
            std::future::pending::<()>().await;
        })
    })
}

/// Uploads more than can be taken in time.
async fn upload(stage: &Stage) -> String {
    let (mut answer, mut request) = tokio::io::split(stage.pipe());
    let sending = spawn_local(async move {
        let head = format!(
            "POST /r/x HTTP/1.1\r\nhost: stage\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n"
        );
        let _ = request.write_all(head.as_bytes()).await;
        let _ = request.write_all(&vec![b'x'; SIZE]).await;
        request
    });
    let mut got = String::new();
    let _ = answer.read_to_string(&mut got).await;
    sending.abort();
    got
}

#[test]
fn an_upstream_that_takes_a_long_upload_steadily_has_not_failed_when_the_time_is_over() {
    on_stage(ROUTE, always(200), async |stage| {
        stage
            .origin
            .speaks(takes(usize::MAX, Duration::from_millis(20)));
        let got = upload(&stage).await;
        assert_eq!(status(&got), 504, "{got}");
        assert!(
            got.contains("the request took most of 2s to go up"),
            "{got}"
        );
        let line = &stage.lines()[0];
        assert_eq!(line["outcome"], "ignored", "{line}");
        let counts = stage.route("r").breaker.view(now()).statistics;
        assert_eq!((counts.failures, counts.ignored), (0, 1));
    });
}

#[test]
fn an_upstream_that_stops_to_take_an_upload_has_failed() {
    on_stage(ROUTE, always(200), async |stage| {
        stage.origin.speaks(takes(3, Duration::from_millis(20)));
        let got = upload(&stage).await;
        assert_eq!(status(&got), 504, "{got}");
        let line = &stage.lines()[0];
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&"failure".into(), &"timeout".into()),
            "{line}"
        );
    });
}

#[test]
fn a_caller_that_is_slow_with_its_upload_is_told_which_time_was_over() {
    on_stage(ROUTE, silent(), async |stage| {
        let mut caller = stage.pipe();
        let head = b"POST /r/x HTTP/1.1\r\nhost: stage\r\nconnection: close\r\ncontent-length: 100\r\n\r\n";
        caller.write_all(head).await.unwrap();
        for _ in 0..6 {
            let _ = caller.write_all(b"x").await;
            pass(400).await;
        }
        let mut got = String::new();
        let _ = caller.read_to_string(&mut got).await;
        assert_eq!(status(&got), 408, "{got}");
        assert!(
            got.contains("the request body was not whole within 2s"),
            "{got}"
        );
        assert_eq!(stage.lines()[0]["outcome"], "ignored");
    });
}

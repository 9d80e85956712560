//! HTTP/2 peers that send frames without use.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::memory::{always, on_stage};

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// `:status: 200` and no body.
fn fine(stream: u8) -> Vec<u8> {
    frame(HEADERS, 5, stream, &[0x88])
}

fn config() -> &'static str {
    "version: 1\nroutes: {r: {upstream: {url: http://origin, http: 2}, timeout: 20s, breaker: {failure_threshold: 3}}}\n"
}

/// Writes that for ever; done when the other side has closed.
async fn flood(stream: &mut DuplexStream, frame: &[u8]) {
    let many = frame.repeat(1_000);
    while stream.write_all(&many).await.is_ok() {}
}

#[test]
fn case_64_an_upstream_that_floods_a_connection_loses_it_and_gets_calls_over_another() {
    let frames = [
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(PING, 1, 0, &[0; 8]),
        frame(99, 0, 0, &[0; 10]),
    ];
    for flooding in frames {
        on_stage(config(), always(200), async |stage| {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            stage.origin.speaks(Arc::new(move |mut stream| {
                let (flooding, sender) = (flooding.clone(), sender.clone());
                Box::pin(async move {
                    stream.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
                    let settings = frame(SETTINGS, 0, 0, &[]);
                    stream.write_all(&settings).await.unwrap();
                    pass(10).await;
                    stream.write_all(&fine(1)).await.unwrap();
                    flood(&mut stream, &flooding).await;
                    sender.send(()).unwrap();
                })
            }));
            for _ in 0..2 {
                assert_eq!(stage.ask(Request::get("/r/x")).await.status, 200);
                receiver.recv().await.unwrap();
            }
            assert_eq!(stage.origin.connections(), 2);
        });
    }
}

#[test]
fn case_64_a_caller_that_floods_its_connection_loses_it_and_leaves_a_line() {
    for flooding in [
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
        frame(99, 0, 0, &[0; 10]),
    ] {
        on_stage(config(), always(200), async |stage| {
            let mut caller = stage.pipe();
            caller.write_all(PREFACE).await.unwrap();
            let settings = frame(SETTINGS, 0, 0, &[]);
            caller.write_all(&settings).await.unwrap();
            flood(&mut caller, &flooding).await;
            pass(10).await;
            let [line] = &stage.lines()[..] else {
                panic!("{:?}", stage.lines())
            };
            assert_eq!(line["reason"], "bad_request");
            let told = line["detail"].as_str().unwrap();
            assert!(told.contains("RFC 9113 §10.5"), "{line}");
        });
    }
}

async fn pass(millis: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(millis))).await;
}

//! HTTP/2 peers that answer with frames instead of statuses, and such that send frames without use.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::{JoinHandle, spawn_local};

use crate::support::memory::{Said, Speech, Stage, always, on_stage};
use crate::support::recorder::say;

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const PROTOCOL_ERROR: u8 = 1;
const INTERNAL_ERROR: u8 = 2;
const ENHANCE_YOUR_CALM: u8 = 11;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// `:status: 200` and no body.
fn fine(stream: u8) -> Vec<u8> {
    frame(HEADERS, 5, stream, &[0x88])
}

fn reset(stream: u8, code: u8) -> Vec<u8> {
    frame(RESET, 0, stream, &[0, 0, 0, code])
}

fn goaway(last: u8, code: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, code])
}

/// What an origin does at the head of a request.
enum Act {
    /// Says that, and goes on.
    Say(Vec<u8>),
    /// Says that, and closes the connection.
    End(Vec<u8>),
}

async fn serve(mut stream: DuplexStream, act: impl Fn(u8, usize) -> Act) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE.len()]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let mut head = [0; 9];
    loop {
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        stream.read_exact(&mut vec![0; length]).await?;
        if head[3] != HEADERS {
            continue;
        }
        match act(head[8], length) {
            Act::Say(bytes) => stream.write_all(&bytes).await?,
            Act::End(bytes) => return stream.write_all(&bytes).await,
        }
    }
}

/// An origin that acts by the number of a request's stream and the length of its head.
fn acting(act: impl Fn(u8, usize) -> Act + Send + Sync + 'static) -> Speech {
    let act = Arc::new(act);
    Arc::new(move |stream| {
        let act = Arc::clone(&act);
        Box::pin(async move { drop(serve(stream, &*act).await) })
    })
}

fn config() -> &'static str {
    "version: 1\nroutes: {r: {upstream: {url: http://origin, http: 2}, timeout: 20s, breaker: {failure_threshold: 3}}}\n"
}

fn large() -> http::request::Builder {
    Request::get("/r/large").header("cookie", "x".repeat(9_000))
}

fn told(said: &Said) -> (u16, &str) {
    (said.status, said.header("x-sidefuse-reason"))
}

fn failures(stage: &Stage) -> u64 {
    stage.route("r").breaker.view(now()).statistics.failures
}

async fn begin(stage: &Rc<Stage>, request: http::request::Builder) -> JoinHandle<Said> {
    let mut caller = stage.caller().await;
    spawn_local(async move { caller.ask(request, "").await })
}

#[test]
fn an_upstream_that_gives_up_a_large_head_has_not_failed_however_it_says_so_case_131() {
    // As Envoy, Node, HAProxy and nginx do.
    let ways: [fn(u8) -> Act; 4] = [
        |stream| Act::Say(reset(stream, INTERNAL_ERROR)),
        |stream| Act::Say(reset(stream, ENHANCE_YOUR_CALM)),
        |stream| Act::End(goaway(stream - 2, INTERNAL_ERROR)),
        |stream| Act::End(goaway(stream, ENHANCE_YOUR_CALM)),
    ];
    for (index, way) in ways.into_iter().enumerate() {
        on_stage(config(), always(200), async |stage| {
            // The first call of a connection is never answered.
            stage
                .origin
                .speaks(acting(move |stream, length| match stream {
                    1 => Act::Say(Vec::new()),
                    _ if length > 5_000 => way(stream),
                    _ => Act::Say(fine(stream)),
                }));
            for _ in 0..4 {
                let bystander = begin(&stage, Request::post("/r/bystander")).await;
                pass(10).await;
                let said = stage.ask(large()).await;
                assert_eq!(told(&said), (431, "headers_too_large"), "{index}");
                if index < 2 {
                    bystander.abort();
                    assert_eq!(stage.ask(Request::get("/r/usual")).await.status, 200);
                } else {
                    assert_eq!(told(&bystander.await.unwrap()), (502, "shared_loss"));
                }
            }
            assert_eq!(failures(&stage), 0, "{index}");
        });
    }
}

#[test]
fn a_stream_reset_as_malformed_is_the_callers_and_one_reset_in_error_the_upstreams() {
    on_stage(config(), always(200), async |stage| {
        for (code, expected, counted) in [
            (PROTOCOL_ERROR, (400, "bad_request"), 0),
            (INTERNAL_ERROR, (502, "reset"), 1),
            (ENHANCE_YOUR_CALM, (502, "reset"), 2),
        ] {
            let act = move |stream, _| Act::End(reset(stream, code));
            stage.origin.speaks(acting(act));
            let said = stage.ask(Request::get("/r/x")).await;
            assert_eq!(told(&said), expected);
            assert_eq!(failures(&stage), counted);
            pass(1).await;
        }
    });
}

#[test]
fn calls_that_die_with_a_connection_which_was_given_up_are_one_failure() {
    for last in [0, 99] {
        on_stage(config(), always(200), async |stage| {
            // Says GOAWAY at the fifth call on its first connection, and later at every one.
            stage.origin.speaks(acting(move |stream, _| match stream {
                9 => Act::End(goaway(last, PROTOCOL_ERROR)),
                _ => Act::Say(Vec::new()),
            }));
            let mut calls = Vec::new();
            for _ in 0..5 {
                calls.push(begin(&stage, Request::post("/r/x")).await);
                pass(1).await;
            }
            let mut reasons = Vec::new();
            for call in calls {
                reasons.push(told(&call.await.unwrap()).1.to_owned());
            }
            reasons.sort_unstable();
            let (first, rest) = reasons.split_first().unwrap();
            assert_eq!(first, "reset");
            assert!(rest.iter().all(|one| one == "shared_loss"), "{reasons:?}");
            assert_eq!(failures(&stage), 1, "{last}");
        });
    }
}

#[test]
fn answers_that_break_off_with_a_connection_which_was_given_up_are_one_failure() {
    on_stage(config(), always(200), async |stage| {
        stage.origin.speaks(acting(|stream, _| match stream {
            7 => Act::End(goaway(7, INTERNAL_ERROR)),
            _ => Act::Say(frame(HEADERS, 4, stream, &[0x88])),
        }));
        let mut calls = Vec::new();
        for _ in 0..4 {
            let stage = Rc::clone(&stage);
            let request = "POST /r/x HTTP/1.1\r\nhost: stage\r\nconnection: close\r\n\r\n";
            calls.push(spawn_local(async move { say(&stage, request).await }));
            pass(1).await;
        }
        for call in calls {
            let _ = call.await.unwrap();
        }
        assert_eq!(failures(&stage), 1);
        let lines = stage.lines();
        let broken = lines.iter().filter(|line| line["reason"] == "truncated");
        assert_eq!(broken.count(), 3, "{lines:?}");
    });
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

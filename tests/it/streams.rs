//! Calls that share HTTP/2 connections: what the peer allows at once, whose time the wait for that is, and what is surely unprocessed.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::{JoinHandle, spawn_local};

use crate::support::memory::{Said, Speech, Stage, always, on_stage};

pub(super) async fn pass(millis: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(millis))).await;
}

/// When calls came to an origin, and with which bodies.
#[derive(Default)]
struct Seen {
    at: Mutex<Vec<Instant>>,
    bodies: Mutex<Vec<Bytes>>,
}

impl Seen {
    fn calls(&self) -> usize {
        self.at.lock().unwrap().len()
    }
}

async fn answer(path: String, mut body: RecvStream, mut respond: SendResponse<Bytes>, seen: &Seen) {
    let mut whole = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        whole.extend_from_slice(&data);
    }
    seen.bodies.lock().unwrap().push(whole.into());
    let millis = path.rsplit('/').next().unwrap().parse();
    pass(millis.unwrap()).await;
    let _ = respond.send_response(Response::new(()), true);
}

async fn serve(stream: DuplexStream, most: u32, seen: Arc<Seen>) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(most);
    let Ok(mut serving) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = serving.accept().await {
        seen.at.lock().unwrap().push(now());
        let seen = Arc::clone(&seen);
        let (head, body) = request.into_parts();
        spawn_local(async move { answer(head.uri.path().to_owned(), body, respond, &seen).await });
    }
}

/// An origin that carries so many calls at once and takes as many milliseconds as the last part of the path says.
fn allowing(most: u32, seen: &Arc<Seen>) -> Speech {
    let seen = Arc::clone(seen);
    Arc::new(move |stream| Box::pin(serve(stream, most, Arc::clone(&seen))))
}

pub(super) async fn begin(stage: &Rc<Stage>, request: http::request::Builder) -> JoinHandle<Said> {
    let mut caller = stage.caller().await;
    spawn_local(async move { caller.ask(request, "body").await })
}

pub(super) fn told(said: &Said) -> (u16, &str) {
    (said.status, said.header("x-sidefuse-reason"))
}

pub(super) fn config(pool: &str, timeout: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: {{url: http://origin, http: 2, pool: {{{pool}}}}}, timeout: {timeout}, breaker: {{failure_threshold: 1}}}}}}\n"
    )
}

#[test]
fn the_wait_for_a_stream_is_ours_and_no_call_goes_out_after_its_time() {
    on_stage(&config("max: 1", "3s"), always(200), async |stage| {
        let seen = Arc::<Seen>::default();
        stage.origin.speaks(allowing(2, &seen));
        let warm = begin(&stage, Request::post("/r/1")).await;
        assert_eq!(warm.await.unwrap().status, 200);
        let begun = now();
        let mut calls = Vec::new();
        for _ in 0..6 {
            calls.push(begin(&stage, Request::post("/r/2000")).await);
        }
        pass(1_000).await;
        assert_eq!(stage.route("r").upstream.statistics().waiting, 4);
        let mut told_to = Vec::new();
        for call in calls {
            let said = call.await.unwrap();
            assert!(said.at - begun < Duration::from_millis(3_010));
            told_to.push((told(&said).0, told(&said).1.to_owned()));
        }
        let of = |status: u16, reason: &str| {
            let one = (status, reason.to_owned());
            told_to.iter().filter(|told| **told == one).count()
        };
        assert_eq!(of(200, ""), 2, "{told_to:?}");
        assert_eq!(of(504, "cut_short"), 2, "{told_to:?}");
        assert_eq!(of(503, "overloaded"), 2, "{told_to:?}");
        pass(5_000).await;
        assert_eq!(seen.calls(), 5);
        let late = Duration::from_millis(2_010);
        assert!(seen.at.lock().unwrap().iter().all(|at| *at < begun + late));
        let route = stage.route("r");
        assert_eq!(route.breaker.view(now()).statistics.failures, 0);
        assert_eq!(route.upstream.statistics().waiting, 0);
        let again = begin(&stage, Request::post("/r/1")).await;
        assert_eq!(again.await.unwrap().status, 200);
        let lines = stage.lines();
        let over = lines.iter().find(|line| line["reason"] == "overloaded");
        let over = over.unwrap();
        assert_eq!(over["heldBy"], "upstream.pool");
        assert!(over["heldMs"].as_f64().unwrap() > 2_990.0, "{over}");
    });
}

#[test]
fn an_upstream_that_allows_no_call_in_all_of_the_time_has_failed() {
    on_stage(&config("max: 1", "3s"), always(200), async |stage| {
        stage.origin.speaks(allowing(0, &Arc::default()));
        let begun = now();
        let said = begin(&stage, Request::post("/r/1")).await.await.unwrap();
        assert_eq!(told(&said), (504, "timeout"));
        assert!(said.at - begun < Duration::from_millis(3_010));
        let said = begin(&stage, Request::post("/r/1")).await.await.unwrap();
        assert_eq!(told(&said), (503, "circuit_open"));
        let lines = stage.lines();
        assert_eq!(lines[0]["outcome"], "failure");
        assert_eq!(lines[0].get("heldBy"), None);
    });
}

/// Allows one call at once, two after a second, and answers none.
async fn raise(stream: DuplexStream, seen: Arc<Seen>) {
    let allow = |most: u8| [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, most];
    let (mut from, mut to) = tokio::io::split(stream);
    to.write_all(&allow(1)).await.unwrap();
    spawn_local(async move {
        pass(1_000).await;
        to.write_all(&allow(2)).await.unwrap();
        pass(60_000).await;
    });
    let mut preface = [0; 24];
    from.read_exact(&mut preface).await.unwrap();
    let mut head = [0; 9];
    while from.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            seen.at.lock().unwrap().push(now());
        }
    }
}

#[test]
fn who_waits_for_a_stream_goes_as_soon_as_the_peer_allows_more() {
    on_stage(&config("max: 1", "9s"), always(200), async |stage| {
        let seen = Arc::<Seen>::default();
        let sight = Arc::clone(&seen);
        stage.origin.speaks(Arc::new(move |stream| {
            Box::pin(raise(stream, Arc::clone(&sight)))
        }));
        for _ in 0..3 {
            drop(begin(&stage, Request::post("/r/1")).await);
            pass(100).await;
        }
        let waiting = || stage.route("r").upstream.statistics().waiting;
        assert_eq!((seen.calls(), waiting()), (1, 2));
        pass(1_000).await;
        assert_eq!((seen.calls(), waiting()), (2, 1));
    });
}

#[test]
fn the_line_of_a_caller_that_leaves_while_it_waits_for_a_stream_says_how_long() {
    on_stage(&config("max: 1", "60s"), always(200), async |stage| {
        let seen = Arc::<Seen>::default();
        stage.origin.speaks(allowing(1, &seen));
        let warm = begin(&stage, Request::post("/r/1")).await;
        assert_eq!(warm.await.unwrap().status, 200);
        let out = begin(&stage, Request::post("/r/50000")).await;
        pass(10).await;
        let leaves = begin(&stage, Request::post("/r/1")).await;
        pass(4_000).await;
        leaves.abort();
        pass(10).await;
        out.abort();
        pass(10).await;
        let lines = stage.lines();
        assert_eq!(lines[1]["heldBy"], "upstream.pool");
        let held = lines[1]["heldMs"].as_f64().unwrap();
        assert!((3_990.0..4_010.0).contains(&held), "{}", lines[1]);
        assert!(lines[2].get("heldBy").is_none(), "{}", lines[2]);
    });
}

#[test]
fn where_all_streams_are_taken_another_connection_is_opened_and_goes_when_it_is_not_needed() {
    on_stage(&config("max: 9", "3s"), always(200), async |stage| {
        let seen = Arc::<Seen>::default();
        stage.origin.speaks(allowing(2, &seen));
        let warm = begin(&stage, Request::post("/r/1")).await;
        assert_eq!(warm.await.unwrap().status, 200);
        let mut calls = Vec::new();
        for _ in 0..6 {
            calls.push(begin(&stage, Request::post("/r/2000")).await);
        }
        for call in calls {
            assert_eq!(told(&call.await.unwrap()), (200, ""));
        }
        assert!((3..=6).contains(&stage.origin.connections()));
        pass(3_000).await;
        assert_eq!(stage.route("r").upstream.statistics().size, 1);
    });
}

#[test]
fn a_post_with_a_body_that_http2_refused_is_made_again_once_with_the_same_bytes_case_118() {
    let first = Arc::new(AtomicUsize::new(0));
    on_stage(&config("max: 1", "3s"), always(200), async |stage| {
        let seen = Arc::<Seen>::default();
        let (sight, count) = (Arc::clone(&seen), Arc::clone(&first));
        stage.origin.speaks(Arc::new(move |stream| {
            let (seen, count) = (Arc::clone(&sight), Arc::clone(&count));
            Box::pin(async move {
                let mut serving = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = serving.accept().await {
                    let seen = Arc::clone(&seen);
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    spawn_local(async move {
                        let mut body = request.into_body();
                        if number == 0 {
                            let _ = body.data().await;
                            respond.send_reset(h2::Reason::REFUSED_STREAM);
                        } else {
                            answer("/1".to_owned(), body, respond, &seen).await;
                        }
                    });
                }
            })
        }));
        let said = begin(&stage, Request::post("/r/1")).await.await.unwrap();
        assert_eq!(told(&said), (200, ""));
        assert_eq!(first.load(Ordering::Relaxed), 2);
        assert_eq!(*seen.bodies.lock().unwrap(), [Bytes::from_static(b"body")]);
        let counted = stage.route("r").breaker.view(now()).statistics;
        assert_eq!((counted.failures, counted.successes), (0, 1));
    });
}

/// Takes one call and then says GOAWAY as if it had seen none of it (RFC 9113 §6.8).
async fn leave(mut stream: DuplexStream) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        let (is_data, is_last) = (head[3] == 0, head[4] & 1 == 1);
        if is_data && is_last {
            break;
        }
    }
    let mut goaway = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
    goaway.extend_from_slice(&[0; 8]);
    stream.write_all(&goaway).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[test]
fn a_post_with_a_body_that_a_goaway_left_unprocessed_is_made_again_case_118() {
    on_stage(&config("max: 2", "3s"), always(200), async |stage| {
        let seen = Arc::<Seen>::default();
        let (sight, connections) = (Arc::clone(&seen), AtomicUsize::new(0));
        stage.origin.speaks(Arc::new(move |stream| {
            if connections.fetch_add(1, Ordering::Relaxed) == 0 {
                Box::pin(leave(stream))
            } else {
                Box::pin(serve(stream, 9, Arc::clone(&sight)))
            }
        }));
        let said = begin(&stage, Request::post("/r/1")).await.await.unwrap();
        assert_eq!(told(&said), (200, ""));
        assert_eq!(*seen.bodies.lock().unwrap(), [Bytes::from_static(b"body")]);
        let counted = stage.route("r").breaker.view(now()).statistics;
        assert_eq!((counted.failures, counted.successes), (0, 1));
    });
}

//! Calls over HTTP/2 of which one side takes less than there is, on the still clock.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;

use crate::support::http2::roomy_caller;
use crate::support::memory::{Speech, Stage, always, on_stage};

const CONFIG: &str =
    "version: 1\nroutes: {r: {upstream: http://origin, timeout: 60s, idle_timeout: 5s}}\n";

/// What a caller begins with (RFC 9113 §6.9.2), and takes without saying a word.
const WINDOW: usize = 65_535;

async fn pass(millis: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(millis))).await;
}

/// An origin that answers each head at once with so many bytes, and may read on.
fn answering(length: usize, reads_on: bool) -> Speech {
    std::sync::Arc::new(move |mut stream| {
        Box::pin(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            let answer = [head.as_bytes(), &vec![b'x'; length]].concat();
            stream.write_all(&answer).await.unwrap();
            while reads_on
                && stream
                    .read(&mut [0; 4096])
                    .await
                    .is_ok_and(|count| count > 0)
            {}
            std::future::pending::<()>().await;
        })
    })
}

/// An origin that answers once it has heard so many bytes behind the head.
fn hearing(length: usize) -> Speech {
    std::sync::Arc::new(move |mut stream| {
        Box::pin(async move {
            let mut heard = Vec::new();
            let head = loop {
                heard.push(stream.read_u8().await.unwrap());
                if heard.ends_with(b"\r\n\r\n") {
                    break heard.len();
                }
            };
            while heard.len() < head + length {
                stream.read_buf(&mut heard).await.unwrap();
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        })
    })
}

fn request() -> Request<()> {
    Request::post("http://stage/r/x").body(()).unwrap()
}

/// The lines of the calls, by their outcomes.
fn ends(stage: &Stage) -> Vec<(Value, Value, Value)> {
    let lines = stage.lines();
    let ends = lines.iter().map(|line| {
        let part = |key: &str| line[key].clone();
        (part("statusCode"), part("outcome"), part("reason"))
    });
    ends.collect()
}

#[test]
fn who_takes_all_that_there_is_without_another_word_has_a_whole_answer() {
    for length in [1, WINDOW - 1, WINDOW] {
        on_stage(CONFIG, always(500), async |stage| {
            stage.origin.speaks(answering(length, false));
            let mut sender = roomy_caller(&stage).await;
            let (answer, _) = sender.send_request(request(), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            let mut got = 0;
            while let Some(data) = body.data().await {
                got += data.unwrap().len();
            }
            assert_eq!(got, length);
            assert_eq!(ends(&stage), [(200.into(), "success".into(), Value::Null)]);
        });
    }
}

#[test]
fn who_takes_no_more_is_cut_after_the_idle_timeout_though_other_calls_go_on_case_93() {
    for length in [WINDOW + 1, 4 * WINDOW] {
        on_stage(CONFIG, always(500), async |stage| {
            stage.origin.speaks(answering(length, false));
            let mut sender = roomy_caller(&stage).await;
            let (answer, mut upload) = sender.send_request(request(), false).unwrap();
            let answer: Response<_> = answer.await.unwrap();
            let begin = now();
            // More than we take of an upload that goes nowhere.
            upload.reserve_capacity(1 << 20);
            upload
                .send_data(Bytes::from(vec![b'y'; 1 << 20]), false)
                .unwrap();
            stage.origin.speaks(answering(2, false));
            let others = spawn_local(async move {
                for _ in 0..10 {
                    let (other, _) = sender.send_request(request(), true).unwrap();
                    assert_eq!(other.await.unwrap().status(), 200);
                    pass(1_000).await;
                    sender = sender.ready().await.unwrap();
                }
            });
            let reset = std::future::poll_fn(|cx| upload.poll_reset(cx)).await;
            assert_eq!(reset.unwrap(), h2::Reason::CANCEL, "{length}");
            let took = (now() - begin).as_millis();
            assert!((5_000..=6_000).contains(&took), "{took}");
            drop(answer);
            others.await.unwrap();
            assert_eq!(stage.worker.load().in_flight.load(Ordering::Relaxed), 0);
            let ends = ends(&stage);
            let gone = ends.iter().filter(|end| end.2 == "client_gone");
            // Of the shorter one all was handed on.
            let expected = usize::from(length > 2 * WINDOW);
            assert_eq!((ends.len(), gone.count()), (11, expected));
        });
    }
}

#[test]
fn who_takes_nothing_while_its_upload_moves_is_not_cut() {
    on_stage(CONFIG, always(500), async |stage| {
        stage.origin.speaks(answering(4 * WINDOW, true));
        let mut sender = roomy_caller(&stage).await;
        let (answer, mut upload) = sender.send_request(request(), false).unwrap();
        let mut body = answer.await.unwrap().into_body();
        for _ in 0..10 {
            pass(2_000).await;
            upload.send_data(Bytes::from_static(b"y"), false).unwrap();
        }
        upload.send_data(Bytes::new(), true).unwrap();
        let mut got = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            got += data.len();
        }
        assert_eq!(got, 4 * WINDOW);
        assert_eq!(ends(&stage), [(200.into(), "success".into(), Value::Null)]);
    });
}

#[test]
fn callers_who_take_nothing_hold_up_no_other_answer_of_the_same_upstreams_connection_case_93() {
    const LENGTH: usize = 1 << 20;
    let config = CONFIG.replace("http://origin", "{url: http://origin, http: 2}");
    on_stage(&config, always(500), async |stage| {
        stage.origin.becomes(std::sync::Arc::new(|_| {
            let body = Full::new(vec![b'x'; LENGTH].into());
            Box::pin(std::future::ready(Response::new(body)))
        }));
        let begin = now();
        let mut slow = Vec::new();
        for _ in 0..20 {
            let mut caller = stage.pipe();
            let request = b"GET /r/x HTTP/1.1\r\nhost: stage\r\n\r\n";
            caller.write_all(request).await.unwrap();
            caller.read_u8().await.unwrap();
            slow.push(caller);
        }
        let (status, body) = stage.caller().await.try_get("/r/x").await;
        assert_eq!((status, body.map(|body| body.len())), (200, Some(LENGTH)));
        assert_eq!(now(), begin);
        assert_eq!(stage.origin.connections(), 1);
    });
}

#[test]
fn uploads_that_nobody_takes_hold_up_no_other_of_the_same_callers_connection() {
    on_stage(CONFIG, always(500), async |stage| {
        stage.origin.speaks(std::sync::Arc::new(|stream| {
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(stream);
            })
        }));
        let begin = now();
        let mut sender = roomy_caller(&stage).await;
        let body = Bytes::from(vec![b'y'; 1 << 20]);
        let mut stuck = Vec::new();
        for _ in 0..20 {
            let (answer, mut upload) = sender.send_request(request(), false).unwrap();
            upload.send_data(body.clone(), true).unwrap();
            stuck.push((answer, upload));
            sender = sender.ready().await.unwrap();
        }
        while stage.worker.load().in_flight.load(Ordering::Relaxed) < stuck.len() {
            tokio::task::yield_now().await;
        }
        stage.origin.speaks(hearing(body.len()));
        let (answer, mut upload) = sender.send_request(request(), false).unwrap();
        upload.send_data(body, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        assert_eq!(now(), begin);
    });
}

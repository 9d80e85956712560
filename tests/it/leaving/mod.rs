//! One call, one line: whatever becomes of its caller, and whenever.

mod ends;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::memory::{Stage, always, on_stage, silent};

const ROUTE: &str = "version: 1\nroutes: {r: {upstream: http://origin}}\n";

/// HTTP/2's preface, our settings, and `GET /r/x` as the one call of its stream.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x00\x04\x00\x00\x00\x00\x00\
    \x00\x00\x0b\x01\x05\x00\x00\x00\x01\x82\x86\x04\x04/r/x\x01\x01h";

const GET: &[u8] = b"GET /r/x HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &[u8] = b"POST /r/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";

async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

/// Until nothing moves any more that takes no time.
async fn settle() {
    sleep_until(Deadline::after(now(), Duration::from_millis(50))).await;
}

/// The one line, after every count has been held to it.
fn the_line(stage: &Stage) -> Value {
    let metrics = stage.metrics();
    let sum = |name: &str| -> f64 {
        let series = metrics.lines().filter(|line| line.starts_with(name));
        let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    };
    assert_eq!(sum("sidefuse_requests_total{"), 1.0, "{metrics}");
    assert_eq!(sum("sidefuse_in_flight_requests{"), 0.0, "{metrics}");
    let lines = stage.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap()
}

#[test]
fn a_call_whose_end_of_stream_comes_with_it_is_one_line_all_the_same_case_188() {
    for call in [GET, POST, HTTP2] {
        on_stage(ROUTE, always(200), async |stage| {
            let mut caller = stage.pipe();
            caller.write_all(call).await.unwrap();
            // Not dropped: a socket still takes what is written to a caller that has just gone.
            caller.shutdown().await.unwrap();
            settle().await;
            let line = the_line(&stage);
            // Over HTTP/2 he may still get an answer that is there at once.
            let is_answered = call == HTTP2 && line["statusCode"] == 200;
            assert!(
                is_answered || line["reason"] == "client_gone" && line["clientGone"] == true,
                "{line}"
            );
            assert_eq!(stage.connections(), 0);
        });
    }
}

#[test]
fn the_line_of_a_caller_that_leaves_the_queue_for_a_connection_says_how_long_it_waited() {
    let route = ROUTE.replace(
        "http://origin",
        "{url: http://origin, pool: {max: 1}}, timeout: 60s",
    );
    on_stage(&route, silent(), async |stage| {
        let mut out = stage.pipe();
        out.write_all(GET).await.unwrap();
        pass(1).await;
        let mut waits = stage.pipe();
        waits.write_all(GET).await.unwrap();
        pass(3).await;
        drop(waits);
        settle().await;
        drop(out);
        settle().await;
        let lines = stage.lines();
        assert_eq!(lines[0]["heldBy"], "upstream.pool");
        let held = lines[0]["heldMs"].as_f64().unwrap();
        assert!((2_990.0..3_010.0).contains(&held), "{}", lines[0]);
        assert!(lines[1].get("heldBy").is_none(), "{}", lines[1]);
    });
}

/// That the caller of HTTP/2's first stream wants no more of it.
const CANCEL: &[u8] = b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08";

#[test]
fn case_75_a_stream_that_its_caller_resets_ends_at_the_upstream_too_and_is_nobodys_failure() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"] {
        on_stage(ROUTE, silent(), async |stage| {
            let end = Arc::new(Mutex::new(None));
            let told = Arc::clone(&end);
            stage.origin.speaks(Arc::new(move |mut stream| {
                let told = Arc::clone(&told);
                Box::pin(async move {
                    let mut call = Vec::new();
                    while !call.ends_with(b"\r\n\r\n") {
                        call.push(stream.read_u8().await.unwrap());
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    let _ = stream.read_to_end(&mut call).await;
                    *told.lock().unwrap() = Some(now());
                })
            }));
            let mut caller = stage.pipe();
            caller.write_all(HTTP2).await.unwrap();
            pass(1).await;
            let begin = now();
            caller.write_all(CANCEL).await.unwrap();
            settle().await;
            let took = end.lock().unwrap().expect("the upstream is let go") - begin;
            assert!(took <= Duration::from_millis(100), "{took:?}");
            let line = the_line(&stage);
            assert_eq!(
                (&line["reason"], &line["outcome"], &line["clientGone"]),
                (&"client_gone".into(), &"ignored".into(), &true.into()),
                "{line}"
            );
            let counted = stage.route("r").breaker.view(now()).statistics;
            assert_eq!((counted.failures, counted.ignored), (0, 1));
            assert_eq!(stage.connections(), 1, "its other streams go on");
        });
    }
}

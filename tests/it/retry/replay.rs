//! The body of a call that is made again.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{config, pass, retries};
use crate::support::memory::{always, on_stage};
use crate::support::recorder::{Recorder, Turn, answer, message, say, status};

const POLICY: &str = "retry: {attempts: 3}";

fn put(fields: &str, body: &str) -> String {
    format!("PUT /r/x HTTP/1.1\r\nhost: stage\r\nconnection: close\r\n{fields}\r\n{body}")
}

#[test]
fn case_121_a_body_goes_up_again_byte_by_byte_the_same_in_the_same_framing() {
    let length = put("content-length: 11\r\n", "\u{0}ab\r\n0\r\n\r\nz");
    let chunked = put(
        "transfer-encoding: chunked\r\ntrailer: x-sum\r\nte: trailers\r\n",
        "3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-sum: 42\r\n\r\n",
    );
    for request in [length, chunked] {
        on_stage(&config(POLICY), always(200), async |stage| {
            let recorder = Recorder::on(&stage, |n, _| answer([503, 503, 200][n], "", ""));
            assert_eq!(status(&say(&stage, &request).await), 200);
            let seen = recorder.all();
            assert_eq!(seen.len(), 3);
            let plain = |body: &str| {
                // Pieces may be cut elsewhere; what they hold may not differ.
                body.replace("3\r\nabc\r\n4\r\ndefg\r\n", "7\r\nabcdefg\r\n")
            };
            for again in &seen[1..] {
                assert_eq!(plain(&again.body), plain(&seen[0].body));
                let without = |head: &str| {
                    let lines = head.lines().filter(|line| !line.starts_with("x-attempt"));
                    lines.collect::<Vec<_>>().join("\n")
                };
                assert_eq!(without(&again.head), without(&seen[0].head));
            }
            assert_eq!(stage.lines()[0]["attempts"], 3);
        });
    }
}

#[test]
fn the_bytes_of_a_body_count_once_however_often_they_go_up() {
    on_stage(&config(POLICY), always(200), async |stage| {
        let _recorder = Recorder::on(&stage, |n, _| answer([503, 503, 200][n], "", ""));
        say(&stage, &put("content-length: 11\r\n", "hello world")).await;
        assert_eq!(stage.lines()[0]["bytesIn"], 11);
    });
}

#[test]
fn case_120_a_body_beyond_64_kib_goes_up_once_and_its_failure_is_the_callers() {
    let body = "x".repeat(64 * 1024);
    let chunk = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = |body: &str| put(&format!("content-length: {}\r\n", body.len()), body);
    let chunked = |body: &str| put("transfer-encoding: chunked\r\n", &chunk(body));
    let more = format!("{body}x");
    for (request, attempts) in [
        (length(&body), 3),
        (length(&more), 1),
        (chunked(&body), 3),
        (chunked(&more), 1),
    ] {
        on_stage(&config(POLICY), always(200), async |stage| {
            let recorder = Recorder::on(&stage, |_, _| answer(503, "", "no"));
            let got = say(&stage, &request).await;
            assert_eq!(status(&got), 503);
            assert!(got.ends_with("no"));
            assert_eq!(recorder.count(), attempts);
            let told = retries(&stage.metrics(), "body_too_long");
            assert_eq!(told, u64::from(attempts == 1));
        });
    }
}

#[test]
fn case_120_a_body_that_breaks_off_is_not_sent_again_by_half() {
    on_stage(&config(POLICY), always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| Turn::Silence);
        let mut stream = stage.pipe();
        let half = put("content-length: 11\r\n", "hello");
        stream.write_all(half.as_bytes()).await.unwrap();
        pass(Duration::from_millis(100)).await;
        drop(stream);
        pass(Duration::from_secs(60)).await;
        assert_eq!(recorder.count(), 1);
        let lines = stage.lines();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["clientGone"], true);
        assert_eq!(retries(&stage.metrics(), "failed"), 0);
    });
}

#[test]
fn an_attempt_that_failed_in_the_middle_of_the_upload_is_made_again_with_all_of_it() {
    on_stage(&config(POLICY), always(200), async |stage| {
        let recorder = Recorder::on(&stage, |n, _| match n {
            0 => Turn::Early(message(503, "connection: close\r\n", "")),
            _ => answer(200, "", "done"),
        });
        let mut stream = stage.pipe();
        let half = put("content-length: 11\r\n", "hello");
        stream.write_all(half.as_bytes()).await.unwrap();
        pass(Duration::from_secs(2)).await;
        stream.write_all(b" world").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), 200, "{answer}");
        let seen = recorder.all();
        assert_eq!(seen.last().unwrap().body, "hello world");
        assert_eq!(seen.len(), 2);
        assert_eq!(stage.lines()[0]["bytesIn"], 11);
    });
}

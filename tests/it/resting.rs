//! A connection that has been idle for a second gives back its buffers; its caller must not be able to tell.

use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until, timeout_at};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::memory::{always, on_stage, silent as silent_origin};

const CONFIG: &str = "version: 1\nroutes: {r: {upstream: http://origin}}\n";
const GET: &[u8] = b"GET /r/x HTTP/1.1\r\nHost: x\r\n\r\n";

async fn pass(milliseconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_millis(milliseconds))).await;
}

/// Reads until nothing comes for a while, and says how each answer begins.
async fn answers(pipe: &mut DuplexStream) -> Vec<String> {
    let mut text = Vec::new();
    loop {
        let patience = Deadline::after(now(), Duration::from_millis(100));
        let read = timeout_at(patience, pipe.read_buf(&mut text)).await;
        if !matches!(read, Ok(Ok(1..))) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text);
    let heads = text.match_indices("HTTP/1.1 ");
    heads.map(|(at, _)| text[at..at + 12].to_owned()).collect()
}

#[test]
fn after_a_rest_a_call_is_served_whole_in_pieces_or_with_the_next_behind_it() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipe = stage.pipe();
        pipe.write_all(GET).await.unwrap();
        assert_eq!(answers(&mut pipe).await, ["HTTP/1.1 200"]);
        pass(5_000).await;
        for piece in GET.chunks(7) {
            pipe.write_all(piece).await.unwrap();
            pass(400).await;
        }
        assert_eq!(answers(&mut pipe).await, ["HTTP/1.1 200"]);
        pass(5_000).await;
        pipe.write_all(&[GET, GET, GET].concat()).await.unwrap();
        assert_eq!(answers(&mut pipe).await, ["HTTP/1.1 200"; 3]);
        pass(5_000).await;
        let long = format!(
            "GET /r/x HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
            "x".repeat(9_000)
        );
        pipe.write_all(long.as_bytes()).await.unwrap();
        assert_eq!(answers(&mut pipe).await, ["HTTP/1.1 200"]);
        pass(5_000).await;
        let post = b"POST /r/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
        pipe.write_all(post).await.unwrap();
        assert_eq!(answers(&mut pipe).await, ["HTTP/1.1 200"]);
        assert_eq!(stage.origin.calls(), 7);
        let bytes: Vec<u64> = stage
            .lines()
            .iter()
            .map(|line| line["bytesIn"].as_u64().unwrap())
            .collect();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 5]);
    });
}

#[test]
fn what_is_no_request_is_refused_after_a_rest_as_ever() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipe = stage.pipe();
        pipe.write_all(GET).await.unwrap();
        answers(&mut pipe).await;
        pass(5_000).await;
        pipe.write_all(b"nonsense\r\n\r\n").await.unwrap();
        assert_eq!(answers(&mut pipe).await, ["HTTP/1.1 400"]);
        let lines = stage.lines();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["reason"], "bad_request");
    });
}

#[test]
fn a_rest_ends_with_its_caller_or_with_keep_alive() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipe = stage.pipe();
        pipe.write_all(GET).await.unwrap();
        answers(&mut pipe).await;
        let mut other = stage.pipe();
        other.write_all(GET).await.unwrap();
        answers(&mut other).await;
        pass(5_000).await;
        assert_eq!(stage.connections(), 2);
        drop(pipe);
        pass(2_000).await;
        assert_eq!(stage.connections(), 1);
        pass(65_000).await;
        assert_eq!(stage.connections(), 1, "75 s are not over");
        let mut rest = Vec::new();
        let begin = now();
        other.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        assert!(
            now() - begin < Duration::from_secs(6),
            "{:?}",
            now() - begin
        );
        drop(other);
        pass(2_000).await;
        assert_eq!(stage.connections(), 0);
        assert_eq!(stage.lines().len(), 2);
    });
}

#[test]
fn a_connection_whose_last_answer_is_given_does_not_rest_but_ends() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipe = stage.pipe();
        let last = b"GET /r/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        pipe.write_all(last).await.unwrap();
        assert_eq!(answers(&mut pipe).await, ["HTTP/1.1 200"]);
        pass(6_000).await;
        assert_eq!(stage.connections(), 0);
        pipe.write_all(GET).await.unwrap_err();
    });
}

#[test]
fn who_has_been_waited_for_longest_makes_way_and_who_has_begun_a_request_last_of_all_case_164() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut begun = stage.pipe();
        begun.write_all(b"GET /r/x HT").await.unwrap();
        let mut first = stage.pipe();
        first.write_all(GET).await.unwrap();
        assert_eq!(answers(&mut first).await, ["HTTP/1.1 200"]);
        assert!(!stage.worker.make_way(), "nobody rests for a second");
        pass(900).await;
        let mut silent = stage.pipe();
        pass(2_000).await;
        let mut busy = stage.pipe();
        stage.origin.becomes(silent_origin());
        busy.write_all(GET).await.unwrap();
        pass(2_000).await;
        for pipe in [&mut first, &mut silent, &mut begun] {
            let mut byte = [0];
            let open =
                timeout_at(Deadline::after(now(), Duration::ZERO), pipe.read(&mut byte)).await;
            assert!(open.is_err(), "it is open until its turn comes");
            assert!(stage.worker.make_way());
            assert_eq!(pipe.read(&mut byte).await.unwrap(), 0);
        }
        assert!(!stage.worker.make_way(), "a call is under way");
        let lines = stage.lines();
        let reasons: Vec<_> = lines
            .iter()
            .filter_map(|line| line["reason"].as_str())
            .collect();
        assert_eq!(reasons, ["request_timeout"]);
    });
}

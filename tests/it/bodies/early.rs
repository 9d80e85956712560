//! Answers that come before the upload has ended: nothing of it may outlive its exchange.

use super::*;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until, timeout_at};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::config::route_to;
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::memory::{always, on_stage};

/// More than all sockets on its way can hold.
const MUCH: usize = 32 * 1024 * 1024;

/// Sends it all, reads the answer's status, and waits for the connection to end.
fn upload(sidefuse: &Sidefuse, path: &str) -> u16 {
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("POST", path, &[], vec![b'x'; MUCH]);
    assert_eq!(client.read_to_end(), b"");
    response.status()
}

#[test]
fn a_caller_told_of_an_open_breaker_can_finish_its_upload_and_read_why() {
    let origin = Origin::start(|_| Answer::status(500, &[], ""));
    let sidefuse = sidefuse_to(&origin, "breaker: {failure_threshold: 1}");
    Client::connect(sidefuse.proxy()).get("/r/x");
    assert_eq!(upload(&sidefuse, "/r/upload"), 503);
    assert_eq!(sidefuse.access_line("/r/upload")["reason"], "circuit_open");
}

#[test]
fn an_upstream_that_answers_without_reading_holds_neither_caller_nor_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sidefuse = Sidefuse::start(&config(&[route("r", &url, "timeout: 30s")]));
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| upload(&sidefuse, "/r/upload"));
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        stream.get_mut().set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        let answer = b"HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(answer).unwrap();
        assert_eq!(caller.join().unwrap(), 413);
        let mut rest = Vec::new();
        // An end or a reset, but an end.
        let ended = stream.read_to_end(&mut rest);
        let is_end = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.map_or_else(is_end, |_| true), "it was let go");
        assert!(rest.len() < MUCH, "the rest was not sent");
    });
    let line = sidefuse.access_line("/r/upload");
    assert_eq!(ending(&line), "413 alive - 1 there");
}

#[test]
fn an_http2_upstream_that_answers_without_reading_holds_neither_caller_nor_connection() {
    let unread = Mutex::new(Vec::new());
    let origin = Http2Origin::start(move |stream| {
        http2::ok(stream.respond, "fine");
        unread.lock().unwrap().push(stream.body);
        Then::Serve
    });
    let settings = "timeout: 30s";
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        "http: 2",
        settings,
    )]));
    assert_eq!(upload(&sidefuse, "/r/upload"), 200);
    let after = Client::connect(sidefuse.proxy()).get("/r/after");
    assert_eq!(after.text(), "fine");
    assert_eq!(origin.connections(), 2, "the stuck one takes no more calls");
    origin.wait_for_an_end();
}

#[test]
fn case_44_who_expects_to_be_told_to_go_on_is_refused_without_that() {
    let origin = Origin::start(|_| Answer::status(500, &[], ""));
    let sidefuse = sidefuse_to(&origin, "timeout: 30s, breaker: {failure_threshold: 1}");
    Client::connect(sidefuse.proxy()).get("/r/fails");
    let mut client = Client::connect(sidefuse.proxy());
    client
        .send("POST /r/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let all = String::from_utf8(client.read_to_end()).unwrap();
    assert!(all.starts_with("HTTP/1.1 503 "), "{all}");
    assert!(all.contains("x-sidefuse-reason: circuit_open"), "{all}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_caller_can_send_all_before_it_reads_anything_of_an_answer_that_came_early() {
    /// More than the buffers on the way hold.
    const LENGTH: usize = 4 * 1024 * 1024;
    let config = "version: 1\nroutes: {r: {upstream: http://origin}}\n";
    on_stage(config, always(200), async |stage| {
        stage.origin.speaks(Arc::new(|stream| {
            Box::pin(async move {
                let (mut reading, mut writing) = tokio::io::split(stream);
                let answer = async {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
                    writing.write_all(head.as_bytes()).await.unwrap();
                    writing.write_all(&vec![b'~'; LENGTH]).await.unwrap();
                };
                let upload = all_of(b'!', LENGTH, &mut reading);
                tokio::join!(answer, upload);
            })
        }));
        let mut pipe = stage.pipe();
        let head = format!("POST /r/x HTTP/1.1\r\nhost: stage\r\ncontent-length: {LENGTH}\r\n\r\n");
        pipe.write_all(head.as_bytes()).await.unwrap();
        pipe.write_all(&vec![b'!'; LENGTH]).await.unwrap();
        all_of(b'~', LENGTH, &mut pipe).await;
    });
}

#[test]
fn what_we_hold_of_a_request_goes_up_while_its_caller_reads_nothing_of_an_early_answer() {
    /// More than the pipes hold, less than the library takes before it has written any.
    const LENGTH: usize = 300 * 1024;
    let config = "version: 1\nroutes: {r: {upstream: http://origin}}\n";
    on_stage(config, always(200), async |stage| {
        let (all_of_it_came, mut all_of_it) = watch::channel(false);
        stage.origin.speaks(Arc::new(move |stream| {
            let all_of_it_came = all_of_it_came.clone();
            Box::pin(async move {
                let (mut reading, mut writing) = tokio::io::split(stream);
                let answer = async {
                    sleep_until(Deadline::after(now(), Duration::from_secs(1))).await;
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
                    writing.write_all(head.as_bytes()).await.unwrap();
                    let _ = writing.write_all(&vec![b'~'; MUCH]).await;
                };
                let upload = async {
                    sleep_until(Deadline::after(now(), Duration::from_secs(2))).await;
                    all_of(b'!', LENGTH, &mut reading).await;
                    all_of_it_came.send_replace(true);
                };
                tokio::join!(answer, upload);
            })
        }));
        let mut pipe = stage.pipe();
        let head = format!("POST /r/x HTTP/1.1\r\nhost: stage\r\ncontent-length: {LENGTH}\r\n\r\n");
        pipe.write_all(head.as_bytes()).await.unwrap();
        pipe.write_all(&vec![b'!'; LENGTH]).await.unwrap();
        let patience = Deadline::after(now(), Duration::from_secs(5));
        let came = timeout_at(patience, all_of_it.wait_for(|came| *came)).await;
        assert!(came.is_ok(), "some of it is held back");
    });
}

/// Reads until so many of that byte have come.
async fn all_of(byte: u8, count: usize, stream: &mut (impl AsyncRead + Unpin)) {
    let (mut left, mut piece) = (count, vec![0; 64 * 1024]);
    while left > 0 {
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "cut with {left} to come");
        left -= piece[..length].iter().filter(|each| **each == byte).count();
    }
}

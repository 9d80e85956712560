//! Bodies that break off, from either side.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};

use super::{bytes, ending, sidefuse_to};
use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::origin::Origin;

#[test]
fn case_105_and_132_a_body_that_breaks_off_is_seen_by_the_caller_and_counts_once() {
    let origin = Origin::start(|request| {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        match request.head.target() {
            "/length-close" => Answer::script().send(length).close(),
            "/length-reset" => Answer::script().send(length).reset(),
            "/chunked-close" => Answer::script().send(chunked).close(),
            "/chunked-garbage" => Answer::script().send(format!("{chunked}zz\r\n")),
            _ => Answer::ok("fine"),
        }
    });
    let breaker = "timeout: 30s, breaker: {failure_threshold: 4}";
    let sidefuse = sidefuse_to(&origin, breaker);
    let mut opened = Vec::new();
    for (path, reason) in [
        ("/r/length-close", "truncated"),
        ("/r/length-reset", "truncated"),
        ("/r/chunked-close", "truncated"),
        ("/r/chunked-garbage", "protocol"),
    ] {
        let mut client = Client::connect(sidefuse.proxy());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(client.try_read().is_err(), "{path} must not end well");
        let line = sidefuse.access_line(path);
        assert_eq!(ending(&line), format!("200 failure {reason} 1 there"));
        assert_eq!(bytes(&line), (0, 3), "{path}");
        opened.push(path);
    }
    let event = sidefuse.event("Circuit breaker opened");
    assert_eq!(event["observed"], "4", "each counted once: {event}");
    assert_eq!(event["failures"], "3 truncated, 1 protocol");
}

#[test]
fn case_105_what_came_before_a_body_broke_off_reaches_the_caller_however_soon_it_did() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let origin = Origin::start(move |request| {
        let body = match request.head.target() {
            "/first" => "zz\r\n",
            _ => "3\r\nabc\r\nzz\r\n",
        };
        Answer::script().send(format!("{chunked}{body}")).close()
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 30s, breaker: {enforcement: off}");
    for (path, seen) in [("/r/first", "\r\n\r\n"), ("/r/second", "3\r\nabc\r\n")] {
        let mut client = Client::connect(sidefuse.proxy());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let all = String::from_utf8(client.read_to_end()).unwrap();
        assert!(
            all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with(seen),
            "{path}: {all}"
        );
        let line = sidefuse.access_line(path);
        assert_eq!(ending(&line), "200 failure protocol 1 there");
    }
}

#[test]
fn case_131_and_188_a_caller_that_leaves_is_one_line_and_nobodys_failure() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| match request.head.target() {
        "/wait" => Answer::script().until_gone(),
        "/body" => Answer::script()
            .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            .until_gone(),
        _ => Answer::ok("fine").pass(&held),
    });
    let breaker = "timeout: 30s, breaker: {failure_threshold: 1}";
    let sidefuse = sidefuse_to(&origin, breaker);

    let mut client = Client::connect(sidefuse.proxy());
    client.send("POST /r/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    origin.wait_for_requests(1);
    drop(client);
    let line = sidefuse.access_line("/r/wait");
    assert_eq!(ending(&line), "499 ignored client_gone 1 gone");
    assert_eq!(bytes(&line), (2, 0));
    origin.wait_for_ended_connections(1);

    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/body HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_head().unwrap();
    assert_eq!(client.read_bytes(3), b"abc");
    drop(client);
    let line = sidefuse.access_line("/r/body");
    assert_eq!(ending(&line), "200 ignored client_gone 1 gone");
    assert_eq!(bytes(&line), (0, 3));
    origin.wait_for_ended_connections(2);

    // The origin's script begins only with the whole body, so this upload is cut in its middle.
    let mut stream = TcpStream::connect(sidefuse.proxy()).unwrap();
    stream
        .write_all(b"POST /r/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789")
        .unwrap();
    origin.wait_for_connections(3);
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    let line = sidefuse.access_line("/r/upload");
    assert_eq!(ending(&line), "499 ignored client_gone 1 gone");
    assert_eq!(bytes(&line), (10, 0));
    origin.wait_for_ended_connections(3);

    gate.open();
    assert_eq!(
        Client::connect(sidefuse.proxy()).get("/r/after").text(),
        "fine"
    );
}

#[test]
fn an_upload_that_is_no_chunked_coding_is_a_bad_request() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let settings = "timeout: 30s, breaker: {failure_threshold: 1}";
    let sidefuse = sidefuse_to(&origin, settings);
    let mut client = Client::connect(sidefuse.proxy());
    client.send("POST /r/bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.read().json()["reason"], "bad_request");
    let line = sidefuse.access_line("/r/bad");
    assert_eq!(ending(&line), "400 ignored bad_request 1 there");
    assert!(origin.requests().is_empty(), "it never got a whole request");
    assert_eq!(
        Client::connect(sidefuse.proxy()).get("/r/after").text(),
        "fine"
    );
}

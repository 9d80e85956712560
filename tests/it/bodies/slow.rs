//! Bodies that pause: which clock runs, and whom it blames.

use std::io::Write as _;
use std::time::Duration;

use super::{bytes, ending, sidefuse_to, upstream_of_one};
use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::config::{config, route};
use crate::support::gate::{Gate, let_pass};
use crate::support::message::{self, Framing};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

#[test]
fn case_97_late_headers_hit_the_timeout_and_a_body_that_stalls_the_idle_timeout_once_each() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| match request.head.target() {
        "/late" => Answer::script().pass(&held),
        _ => Answer::script()
            .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
            .pass(&held),
    });
    let settings = "timeout: 300ms, idle_timeout: 200ms, breaker: {failure_threshold: 2}";
    let sidefuse = sidefuse_to(&origin, settings);
    let late = crate::support::client::get(sidefuse.proxy(), "/r/late");
    assert_eq!(late.status(), 504);
    assert_eq!(late.header("x-sidefuse-reason"), Some("timeout"));
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/stall HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.try_read().is_err());
    assert_eq!(
        ending(&sidefuse.access_line("/r/late")),
        "504 failure timeout 1 there"
    );
    assert_eq!(
        ending(&sidefuse.access_line("/r/stall")),
        "200 failure idle_timeout 1 there"
    );
    let event = sidefuse.event("Circuit breaker opened");
    assert_eq!(event["failures"], "1 timeout, 1 idle_timeout", "{event}");
    gate.open();
}

#[test]
fn case_103_a_body_that_trickles_outlives_the_timeout() {
    let gates: Vec<Gate> = (0..4).map(|_| Gate::closed()).collect();
    let held = gates.clone();
    let origin = Origin::start(move |_| {
        held.iter().fold(
            Answer::script().send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
            |answer, gate| answer.pass(gate).send("x"),
        )
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 1s, idle_timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/trickle HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 200);
    for gate in &gates {
        let_pass(Duration::from_millis(300));
        gate.open();
        assert_eq!(client.read_bytes(1), b"x");
    }
    let line = sidefuse.access_line("/r/trickle");
    assert_eq!(ending(&line), "200 success - 1 there");
    assert!(line["durationMs"].as_f64().unwrap() > 150.0);
}

#[test]
fn a_caller_that_stalls_its_upload_is_told_408_and_nobody_else_is_to_blame() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let settings = "timeout: 30s, idle_timeout: 200ms, breaker: {failure_threshold: 1}";
    let sidefuse = sidefuse_to(&origin, settings);
    let mut client = Client::connect(sidefuse.proxy());
    client.send("POST /r/stall HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789");
    let response = client.read();
    assert_eq!(response.status(), 408);
    assert_eq!(response.json()["reason"], "request_timeout");
    let line = sidefuse.access_line("/r/stall");
    assert_eq!(ending(&line), "408 ignored request_timeout 1 there");
    assert_eq!(bytes(&line).0, 10);
    assert_eq!(
        Client::connect(sidefuse.proxy()).get("/r/after").text(),
        "fine"
    );
}

#[test]
fn an_answer_may_pause_while_its_upload_still_moves() {
    let url = upstream_of_one(|mut reader, mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            .unwrap();
        message::read_body(&mut reader, Framing::Length(8)).unwrap();
        stream.write_all(b"b").unwrap();
    });
    let settings = "timeout: 30s, idle_timeout: 1s";
    let sidefuse = Sidefuse::start(&config(&[route("r", &url, settings)]));
    let mut client = Client::connect(sidefuse.proxy());
    client.send("POST /r/both HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 200);
    assert_eq!(client.read_bytes(1), b"a");
    for _ in 0..8 {
        let_pass(Duration::from_millis(250));
        client.send("x");
    }
    assert_eq!(client.read_bytes(1), b"b");
    assert_eq!(bytes(&sidefuse.access_line("/r/both")), (8, 2));
}

#[test]
fn an_upload_may_pause_while_its_answer_still_moves() {
    let url = upstream_of_one(|mut reader, mut stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
            .unwrap();
        for _ in 0..8 {
            let_pass(Duration::from_millis(250));
            stream.write_all(b"x").unwrap();
        }
        message::read_body(&mut reader, Framing::Length(2)).unwrap();
        stream.write_all(b".").unwrap();
    });
    let sidefuse = Sidefuse::start(&config(&[route(
        "r",
        &url,
        "timeout: 30s, idle_timeout: 1s",
    )]));
    let mut client = Client::connect(sidefuse.proxy());
    client.send("POST /r/both HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1");
    assert_eq!(client.read_head().unwrap().status(), 200);
    assert_eq!(client.read_bytes(8), b"xxxxxxxx");
    client.send("2");
    assert_eq!(client.read_bytes(1), b".");
    assert_eq!(bytes(&sidefuse.access_line("/r/both")), (2, 9));
}

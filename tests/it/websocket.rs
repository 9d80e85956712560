//! Switched protocols (case 57): transparent both ways, one verdict at the 101, one line at the end.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, route, route_to};
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::message::Head;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

fn echoing() -> Origin {
    Origin::start(|request| match request.head.target() {
        "/refuse" => Answer::status(426, &[], "no"),
        "/greet" => Answer::script().send(format!("{SWITCHED}hello")).close(),
        "/http" => Answer::ok("http"),
        _ => Answer::script().send(SWITCHED).echo(),
    })
}

fn switch(sidefuse: &Sidefuse, path: &str, more: &str) -> Client {
    let mut client = Client::connect(sidefuse.proxy());
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: k\r\n\r\n{more}"
    ));
    client
}

fn numbers(line: &Value) -> (u64, u64, u64, u64) {
    let number = |key: &str| line[key].as_u64().unwrap();
    (
        number("statusCode"),
        number("attempts"),
        number("bytesIn"),
        number("bytesOut"),
    )
}

#[test]
fn case_57_bytes_pass_both_ways_and_a_half_close_keeps_the_other_half() {
    let origin = echoing();
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "timeout: 30s")]));
    let mut client = switch(&sidefuse, "/r/ws", "early");
    let answer = client.read();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("sec-websocket-accept"), Some("x"));
    assert!(answer.header("x-correlation-id").is_some());
    assert_eq!(client.read_bytes(5), b"early");
    client.send("ping");
    assert_eq!(client.read_bytes(4), b"ping");
    client.send("last");
    client.finish();
    assert_eq!(
        client.read_to_end(),
        b"last",
        "what was on its way still comes"
    );
    let line = sidefuse.access_line("/r/ws");
    assert_eq!(numbers(&line), (101, 1, 13, 13));
    assert_eq!(
        (line["outcome"].as_str(), line["reason"].as_str()),
        (Some("success"), None)
    );
    let head = &origin.requests()[0].head;
    assert_eq!(head.header("sec-websocket-key"), Some("k"));
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(head.header("connection"), Some("upgrade"));
}

#[test]
fn case_57_a_megabyte_passes_unchanged_both_ways_at_once() {
    let origin = echoing();
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "timeout: 30s")]));
    let mut stream = TcpStream::connect(sidefuse.proxy()).unwrap();
    stream
        .write_all(
            b"GET /r/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
        .unwrap();
    let sent: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let (mut writer, bytes) = (stream.try_clone().unwrap(), sent.clone());
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut reader = std::io::BufReader::new(stream);
    assert_eq!(Head::read(&mut reader).unwrap().unwrap().status(), 101);
    let mut got = Vec::new();
    reader.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    let line = sidefuse.access_line("/r/ws");
    assert_eq!(numbers(&line), (101, 1, 1 << 20, 1 << 20));
}

#[test]
fn bytes_that_come_with_the_101_are_not_lost_and_the_upstreams_close_reaches_the_caller() {
    let origin = echoing();
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "timeout: 30s")]));
    let mut client = switch(&sidefuse, "/r/greet", "");
    assert_eq!(client.read().status(), 101);
    assert_eq!(client.read_bytes(5), b"hello");
    client.finish();
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(numbers(&sidefuse.access_line("/r/greet")), (101, 1, 0, 5));
}

#[test]
fn case_54_an_upgrade_that_the_upstream_refuses_stays_http() {
    let origin = echoing();
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "timeout: 30s")]));
    let mut client = switch(&sidefuse, "/r/refuse", "");
    let answer = client.read();
    assert_eq!((answer.status(), answer.text()), (426, "no"));
    assert_eq!(client.get("/r/http").text(), "http");
}

#[test]
fn case_57_the_verdict_is_given_at_the_101_and_the_breaker_goes_on() {
    let origin = Origin::start(|request| match request.head.target() {
        "/fail" => Answer::status(500, &[], ""),
        _ => Answer::script().send(SWITCHED).echo(),
    });
    let breaker = "timeout: 30s, breaker: {failure_threshold: 1, success_threshold: 1, half_open_max: 1, reset_timeout: 50ms}";
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), breaker)]));
    assert_eq!(client::get(sidefuse.proxy(), "/r/fail").status(), 500);
    sidefuse.event("Circuit breaker opened");
    // The first call after the reset time is the probe; it stays open as a tunnel and must not hold the probe's place.
    let mut tunnel = loop {
        let mut client = switch(&sidefuse, "/r/ws", "");
        if client.read().status() == 101 {
            break client;
        }
    };
    sidefuse.event("Circuit breaker closed");
    tunnel.send("still here");
    assert_eq!(tunnel.read_bytes(10), b"still here");
}

#[test]
fn a_tunnel_counts_among_the_upstreams_connections_until_it_ends() {
    let origin = echoing();
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        "pool: {max: 1, acquire_timeout: 100ms}",
        "timeout: 30s",
    )]));
    let mut tunnel = switch(&sidefuse, "/r/ws", "");
    assert_eq!(tunnel.read().status(), 101);
    assert_eq!(client::get(sidefuse.proxy(), "/r/http").status(), 503);
    drop(tunnel);
    sidefuse.access_line("/r/ws");
    assert_eq!(client::get(sidefuse.proxy(), "/r/http").text(), "http");
}

#[test]
fn case_188_a_tunnel_that_is_silent_for_the_idle_timeout_ends_and_says_so() {
    let origin = echoing();
    let sidefuse = Sidefuse::start(&config(&[route(
        "r",
        &origin.url(),
        "timeout: 30s, idle_timeout: 100ms, breaker: {failure_threshold: 1}",
    )]));
    let mut client = switch(&sidefuse, "/r/ws", "ab");
    assert_eq!(client.read().status(), 101);
    assert_eq!(client.read_to_end(), b"ab");
    let line = sidefuse.access_line("/r/ws");
    assert_eq!(numbers(&line), (101, 1, 2, 2));
    assert_eq!(
        (line["outcome"].as_str(), line["reason"].as_str()),
        (Some("success"), Some("idle_timeout"))
    );
    origin.wait_for_ended_connections(1);
    assert_eq!(
        client::get(sidefuse.proxy(), "/r/http").text(),
        "http",
        "it is not the upstream's failure"
    );
}

#[test]
fn of_several_protocols_the_caller_is_told_the_one_that_the_upstream_chose() {
    let origin = Origin::start(|_| Answer::script().send(SWITCHED).echo());
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "timeout: 30s")]));
    let mut client = Client::connect(sidefuse.proxy());
    client.send(
        "GET /r/ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat/2, websocket\r\n\r\n",
    );
    let head = client.read_head().unwrap();
    assert_eq!(
        (head.status(), head.header("upgrade")),
        (101, Some("websocket"))
    );
}

#[test]
fn a_switch_to_what_nobody_asked_for_is_the_upstreams_failure_and_no_tunnel() {
    let origin = Origin::start(|request| {
        let to = match request.head.target() {
            "/other" => "Upgrade: chat\r\n",
            _ => "",
        };
        Answer::script()
            .send(format!("HTTP/1.1 101 X\r\n{to}Connection: upgrade\r\n\r\n"))
            .echo()
    });
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "timeout: 30s")]));
    for path in ["/r/other", "/r/none"] {
        let head = switch(&sidefuse, path, "").read_head().unwrap();
        assert_eq!(
            (head.status(), head.header("x-sidefuse-reason")),
            (502, Some("protocol")),
            "{path}"
        );
        assert_eq!(sidefuse.access_line(path)["outcome"], "failure");
    }
}

#[test]
fn an_upstream_that_speaks_http2_alone_gets_the_call_without_the_wish_and_has_not_failed() {
    let origin = Http2Origin::start_tls(|stream| {
        http2::ok(stream.respond, "plain");
        Then::Serve
    });
    let upstream = format!("tls: {{ca_file: {}}}", origin.ca_file().display());
    let settings = "timeout: 30s, breaker: {failure_threshold: 1}";
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        &upstream,
        settings,
    )]));
    for index in 0..3 {
        let path = format!("/r/{index}");
        let answer = switch(&sidefuse, &path, "").read();
        assert_eq!((answer.status(), answer.text()), (200, "plain"));
        let line = sidefuse.access_line(&path);
        assert_eq!(
            (&line["outcome"], &line["attempts"]),
            (&"success".into(), &1.into())
        );
    }
    let breaker: Value = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    assert_eq!(breaker["statistics"]["failures"], 0);
}

#[test]
fn a_wish_that_http2_cannot_follow_is_there_again_for_a_fallback_that_can() {
    let origin = echoing();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let fallback = "timeout: 30s, fallback: {route: other, on_failure: true}";
    let sidefuse = Sidefuse::start(&config(&[
        route_to("r", &url, "http: 2", fallback),
        route("other", &origin.url(), "timeout: 30s"),
    ]));
    let mut client = switch(&sidefuse, "/r/ws", "early");
    let answer = client.read();
    assert_eq!(
        (answer.status(), answer.header("x-sidefuse-fallback")),
        (101, Some("route"))
    );
    assert_eq!(client.read_bytes(5), b"early");
}

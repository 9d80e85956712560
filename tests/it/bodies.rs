//! Bodies: streamed both ways, counted to the byte, ended once however they end.

use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::config::{config, route};
use crate::support::gate::{Gate, let_pass};
use crate::support::message::{self, Framing, Head};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// How an access line tells an ending: status, outcome, reason, attempts, whether the caller was gone.
fn ending(line: &Value) -> String {
    format!(
        "{} {} {} {} {}",
        line["statusCode"],
        line["outcome"].as_str().unwrap_or("-"),
        line["reason"].as_str().unwrap_or("-"),
        line["attempts"],
        if line["clientGone"] == true {
            "gone"
        } else {
            "there"
        },
    )
}

fn bytes(line: &Value) -> (u64, u64) {
    (
        line["bytesIn"].as_u64().unwrap(),
        line["bytesOut"].as_u64().unwrap(),
    )
}

fn sidefuse_to(origin: &Origin, settings: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route("r", &origin.url(), settings)]))
}

#[test]
fn bodies_of_both_framings_pass_both_ways_and_are_counted_to_the_byte() {
    let origin = Origin::start(|request| {
        let body = request.body.len();
        match request.head.target() {
            "/chunked" => Answer::script().send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.to_string().len()
            )),
            _ => Answer::ok(&format!("abc{body}")),
        }
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("POST", "/r/length", &[], "x".repeat(100_000));
    assert_eq!(response.text(), "abc100000");
    assert_eq!(response.header("content-length"), Some("9"));
    client.send("POST /r/chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
    let response = client.read();
    assert_eq!(response.text(), "abc6");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(bytes(&sidefuse.access_line("/r/length")), (100_000, 9));
    assert_eq!(bytes(&sidefuse.access_line("/r/chunked")), (6, 4));
    assert_eq!(origin.requests()[1].body, b"hello!");
    assert_eq!(origin.connections(), 1, "both framings keep the connection");
}

#[test]
fn case_48_answers_without_a_body_leave_the_connection_clean() {
    let origin = Origin::start(|request| match request.head.target() {
        "/204" => Answer::script().send("HTTP/1.1 204 No Content\r\n\r\n"),
        "/304" => Answer::script().send("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        "/head" => Answer::script().send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        _ => Answer::ok("next"),
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    assert_eq!(client.get("/r/204").status(), 204);
    assert_eq!(client.get("/r/304").status(), 304);
    let head = client.request("HEAD", "/r/head", &[], "");
    assert_eq!(
        (head.status(), head.header("content-length")),
        (200, Some("7"))
    );
    assert_eq!(client.get("/r/next").text(), "next");
    for path in ["/r/204", "/r/304", "/r/head"] {
        let line = sidefuse.access_line(path);
        assert_eq!(bytes(&line), (0, 0), "{path}");
        assert!(ending(&line).ends_with("success - 1 there"), "{line}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_answer_of_our_own_to_head_has_headers_only_and_is_no_abandoned_call() {
    let origin = Origin::start(|_| Answer::ok(""));
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    let head = client.request("HEAD", "/nowhere", &[], "");
    assert_eq!(head.status(), 404);
    assert_ne!(
        head.header("content-length"),
        Some("0"),
        "it is what GET would have"
    );
    assert_eq!(
        client.get("/nowhere-else").status(),
        404,
        "the connection is clean"
    );
    let line = sidefuse.access_line("/nowhere");
    assert_eq!(ending(&line), "404 ignored no_route 0 there");
    assert_eq!(bytes(&line), (0, 0));
}

#[test]
fn trailers_pass_when_the_caller_takes_them() {
    let origin = Origin::start(|_| {
        Answer::script().send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
        )
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/ HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n");
    let bytes = String::from_utf8(client.read_to_end()).unwrap();
    assert!(bytes.ends_with("0\r\nx-sum: 42\r\n\r\n"), "{bytes}");
}

#[test]
fn case_101_a_slow_reader_holds_the_upstream_back() {
    const SIZE: usize = 64 << 20;
    let (finished, wait) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        Head::read(&mut std::io::BufReader::new(stream.try_clone().unwrap())).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut sent = 0;
        let block = vec![b'x'; 64 << 10];
        stream
            .set_write_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        // Blocked for so long means held back: nobody reads at the other end. From then on it must go through to the end.
        let mut was_held = false;
        while sent < SIZE {
            match stream.write(&block[..block.len().min(SIZE - sent)]) {
                Ok(count) => sent += count,
                Err(_) if !was_held => {
                    was_held = true;
                    finished.send(sent).unwrap();
                }
                Err(_) => {}
            }
        }
    });
    let sidefuse = Sidefuse::start(&config(&[route("r", &url, "timeout: 30s")]));
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/large HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 200);
    let held_at = wait.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(
        held_at < SIZE / 2,
        "{held_at} bytes left the upstream unread"
    );
    assert_eq!(client.read_bytes(SIZE).len(), SIZE);
    assert_eq!(bytes(&sidefuse.access_line("/r/large")), (0, SIZE as u64));
}

#[test]
fn case_102_a_slow_upstream_holds_the_uploader_back() {
    const SIZE: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (gate, read_on) = (Gate::closed(), Gate::closed());
    let opened = gate.clone();
    let reading = read_on.clone();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        Head::read(&mut reader).unwrap();
        opened.open();
        reading.pass();
        message::read_body(&mut reader, Framing::Length(SIZE)).unwrap();
        let mut stream = stream;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let sidefuse = Sidefuse::start(&config(&[route("r", &url, "timeout: 60s")]));
    let mut stream = TcpStream::connect(sidefuse.proxy()).unwrap();
    write!(
        stream,
        "POST /r/up HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    .unwrap();
    gate.pass();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let block = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while let Ok(count) = stream.write(&block[..block.len().min(SIZE - sent)]) {
        sent += count;
        assert!(sent < SIZE / 2, "{sent} bytes were taken that nobody reads");
    }
    read_on.open();
    stream.set_write_timeout(None).unwrap();
    while sent < SIZE {
        sent += stream
            .write(&block[..block.len().min(SIZE - sent)])
            .unwrap();
    }
    let head = Head::read(&mut std::io::BufReader::new(stream)).unwrap();
    assert_eq!(head.unwrap().status(), 200);
    assert_eq!(bytes(&sidefuse.access_line("/r/up")), (SIZE as u64, 0));
}

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
    let sidefuse = sidefuse_to(&origin, "timeout: 150ms, idle_timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/trickle HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 200);
    for gate in &gates {
        let_pass(Duration::from_millis(60));
        gate.open();
        assert_eq!(client.read_bytes(1), b"x");
    }
    let line = sidefuse.access_line("/r/trickle");
    assert_eq!(ending(&line), "200 success - 1 there");
    assert!(line["durationMs"].as_f64().unwrap() > 150.0);
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

#[test]
fn an_answer_before_the_upload_is_done_reaches_the_caller() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                Head::read(&mut std::io::BufReader::new(stream.try_clone().unwrap())).unwrap();
                let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    let sidefuse = Sidefuse::start(&config(&[route("r", &url, "timeout: 30s")]));
    let mut client = Client::connect(sidefuse.proxy());
    client.send("POST /r/early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin");
    let response = client.read();
    assert_eq!((response.status(), response.text()), (413, "no"));
    drop(client);
    assert_eq!(
        ending(&sidefuse.access_line("/r/early")),
        "413 alive - 1 there"
    );
    // A half-sent connection must not be used again.
    let mut client = Client::connect(sidefuse.proxy());
    assert_eq!(client.get("/r/again").status(), 413);
}

#[test]
fn an_answer_may_pause_while_its_upload_still_moves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        Head::read(&mut reader).unwrap();
        let mut stream = stream;
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        Head::read(&mut reader).unwrap();
        let mut stream = stream;
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

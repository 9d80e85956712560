//! Bodies that arrive: framing, back-pressure, trailers.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{bytes, ending, sidefuse_to, upstream_of_one};
use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::config::{config, route};
use crate::support::gate::Gate;
use crate::support::message::{self, Framing, Head};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// Half of it is more than a socket holds that grew while it was read from: 32 MiB is a usual maximum (`tcp_rmem`).
const SIZE: usize = 128 << 20;

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
fn case_42_a_body_goes_up_with_whatever_method_and_nothing_of_it_is_a_call() {
    let origin = Origin::start(|_| Answer::status(200, &[], ""));
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    let methods = ["GET", "HEAD", "DELETE", "OPTIONS"];
    for method in methods {
        for framing in [
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "Content-Length: 5\r\n\r\nhello",
        ] {
            client.send(format!("{method} /r/x HTTP/1.1\r\nHost: x\r\n{framing}"));
            assert_eq!(client.read().status(), 200, "{method}");
        }
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 2 * methods.len());
    for request in requests {
        assert_eq!(request.body, b"hello", "{}", request.head.first_line());
    }
}

#[test]
fn case_48_answers_without_a_body_leave_the_connection_clean() {
    let origin = Origin::start(|request| match request.head.target() {
        "/204" => Answer::script().send("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        "/304" => Answer::script().send("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        "/head" => Answer::script().send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        _ => Answer::ok("next"),
    });
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    let mut client = Client::connect(sidefuse.proxy());
    let nothing = client.get("/r/204");
    // RFC 9110 §8.6: a 204 has no length.
    assert_eq!(
        (nothing.status(), nothing.header("content-length")),
        (204, None)
    );
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
    let (finished, wait) = mpsc::channel();
    let url = upstream_of_one(move |_, mut stream| {
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
    let (gate, read_on) = (Gate::closed(), Gate::closed());
    let opened = gate.clone();
    let reading = read_on.clone();
    let url = upstream_of_one(move |mut reader, mut stream| {
        opened.open();
        reading.pass();
        message::read_body(&mut reader, Framing::Length(SIZE)).unwrap();
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

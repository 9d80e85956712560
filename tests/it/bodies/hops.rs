//! What one side's HTTP/1.1 allows and the other side's HTTP/2 does not, or the reverse, is nobody's failure.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde_json::Value;

use super::{ending, sidefuse_to};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config_with, route_to};
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

fn to_http2(origin: &Http2Origin) -> Sidefuse {
    to_http2_with("", origin)
}

fn to_http2_with(top: &str, origin: &Http2Origin) -> Sidefuse {
    let settings = "timeout: 30s, breaker: {failure_threshold: 1}";
    let route = route_to("r", &origin.url(), "http: 2", settings);
    Sidefuse::start(&config_with(top, &[route]))
}

fn is_closed(sidefuse: &Sidefuse) -> bool {
    let breaker: Value = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    breaker["state"] == "closed"
}

/// An origin that keeps the trailers of each call.
fn hearing() -> (Http2Origin, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let origin = Http2Origin::start(move |stream| {
        let heard = Arc::clone(&heard);
        let (mut body, respond) = (stream.body, stream.respond);
        tokio::spawn(async move {
            while let Some(data) = body.data().await {
                let length = data.unwrap().len();
                let _ = body.flow_control().release_capacity(length);
            }
            let trailers = body.trailers().await.unwrap();
            heard.lock().unwrap().push(trailers.unwrap_or_default());
            http2::ok(respond, "fine");
        });
        Then::Serve
    });
    (origin, seen)
}

#[test]
fn trailers_of_a_caller_that_http2_forbids_reach_no_upstream_and_move_no_breaker() {
    let (origin, seen) = hearing();
    let sidefuse = to_http2(&origin);
    let mut caller = Client::connect(sidefuse.proxy());
    caller.send(
        "POST /r/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Connection\r\n\r\n3\r\nabc\r\n0\r\n\
         Connection: close\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\nX-Correlation-ID: forged\r\nX-Checksum: 1\r\n\r\n",
    );
    assert_eq!(caller.read().text(), "fine");
    let line = sidefuse.access_line("/r/x");
    assert_eq!(ending(&line), "200 success - 1 there");
    let seen = seen.lock().unwrap();
    let names: Vec<&str> = seen[0].keys().map(http::HeaderName::as_str).collect();
    assert!(names.iter().all(|name| *name == "x-checksum"), "{names:?}");
    assert!(is_closed(&sidefuse));
}

#[test]
fn a_trailer_of_a_caller_does_not_pass_for_the_configured_correlation_header() {
    let (origin, seen) = hearing();
    let sidefuse = to_http2_with("correlation: {header: X-Trace-No}", &origin);
    let mut caller = Client::connect(sidefuse.proxy());
    caller.send(
        "POST /r/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trace-No, X-Sum\r\n\r\n\
         0\r\nX-Trace-No: forged\r\nX-Sum: 42\r\n\r\n",
    );
    assert_eq!(caller.read().text(), "fine");
    let seen = seen.lock().unwrap();
    assert_eq!(
        (seen[0].get("x-trace-no"), &seen[0]["x-sum"]),
        (None, &"42".parse().unwrap())
    );
}

#[test]
fn a_head_and_trailers_pass_from_http2_that_are_as_large_as_over_http1() {
    let origin = Http2Origin::start(|mut stream| {
        let answer = Response::builder()
            .header("trailer", "x-sum, x-last")
            .header("x-large", "h".repeat(100_000));
        let answer = answer.body(()).unwrap();
        let mut body = stream.respond.send_response(answer, false).unwrap();
        body.send_data(Bytes::from_static(b"abc"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "t".repeat(100_000).parse().unwrap());
        trailers.insert("x-last", "1".parse().unwrap());
        body.send_trailers(trailers).unwrap();
        Then::Serve
    });
    let sidefuse = to_http2(&origin);
    let mut caller = Client::connect(sidefuse.proxy());
    caller.send("GET /r/x HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
    let answer = String::from_utf8(caller.read_to_end()).unwrap();
    for (letter, count) in [('h', 100_000), ('t', 100_000)] {
        let run = letter.to_string().repeat(count);
        assert!(answer.contains(&run), "{letter}");
    }
    assert!(
        answer.ends_with("x-last: 1\r\n\r\n"),
        "{}",
        &answer[answer.len() - 50..]
    );
    assert_eq!(
        ending(&sidefuse.access_line("/r/x")),
        "200 success - 1 there"
    );
}

#[test]
fn an_answer_without_a_body_is_whole_however_http2_ends_it() {
    let origin = Http2Origin::start(|stream| {
        let number = stream.number;
        let mut respond = stream.respond;
        let answer = Response::builder()
            .status(if number == 3 { 204 } else { 200 })
            .body(())
            .unwrap();
        let mut body = respond.send_response(answer, false).unwrap();
        if number == 2 {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", "1".parse().unwrap());
            body.send_trailers(trailers).unwrap();
        } else {
            body.send_data(Bytes::new(), true).unwrap();
        }
        Then::Serve
    });
    let sidefuse = to_http2(&origin);
    let mut caller = Client::connect(sidefuse.proxy());
    for (method, path, status) in [
        ("HEAD", "/r/data", 200),
        ("HEAD", "/r/trailers", 200),
        ("GET", "/r/nothing", 204),
    ] {
        caller.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(caller.read_head().unwrap().status(), status, "{path}");
        let line = sidefuse.access_line(path);
        assert_eq!(ending(&line), format!("{status} success - 1 there"));
    }
}

#[test]
fn an_answer_that_has_no_body_ends_with_its_head_although_http2_leaves_the_stream_open() {
    let open = Mutex::new(Vec::new());
    let origin = Http2Origin::start(move |mut stream| {
        let answer = Response::builder().header("content-length", "0");
        let answer = answer.body(()).unwrap();
        let body = stream.respond.send_response(answer, false).unwrap();
        open.lock().unwrap().push(body);
        Then::Serve
    });
    let sidefuse = to_http2(&origin);
    let mut caller = Client::connect(sidefuse.proxy());
    for (method, path) in [("GET", "/r/empty"), ("HEAD", "/r/head")] {
        let answer = caller.request(method, path, &[], "");
        assert_eq!(answer.header("content-length"), Some("0"), "{path}");
        let line = sidefuse.access_line(path);
        assert_eq!(ending(&line), "200 success - 1 there");
    }
    let head = http::Request::head(format!("http://{}/r/h2", sidefuse.proxy()));
    let answers = http2::calls(sidefuse.proxy(), &[head.body(()).unwrap()]);
    assert_eq!(answers[0].0.status.as_u16(), 200);
    let line = sidefuse.access_line("/r/h2");
    assert_eq!(ending(&line), "200 success - 1 there");
}

#[test]
fn an_answer_is_whole_with_the_last_byte_of_its_length_although_http2_leaves_the_stream_open() {
    let open = Mutex::new(Vec::new());
    let origin = Http2Origin::start(move |mut stream| {
        let answer = Response::builder().header("content-length", "5");
        let answer = answer.body(()).unwrap();
        let mut body = stream.respond.send_response(answer, false).unwrap();
        body.send_data(Bytes::from_static(b"hello"), false).unwrap();
        open.lock().unwrap().push(body);
        Then::Serve
    });
    let sidefuse = to_http2(&origin);
    let mut caller = Client::connect(sidefuse.proxy());
    for path in ["/r/first", "/r/second"] {
        assert_eq!(caller.get(path).text(), "hello");
        let line = sidefuse.access_line(path);
        assert_eq!(ending(&line), "200 success - 1 there");
    }
    let breaker: Value = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    assert_eq!(breaker["statistics"]["successes"], 2);
}

#[test]
fn an_upload_is_whole_with_the_last_byte_of_its_length_although_http2_leaves_the_stream_open() {
    let origin = Origin::start(|request| Answer::ok(&format!("{}", request.body.len())));
    let sidefuse = sidefuse_to(&origin, "timeout: 30s");
    http2::runtime().block_on(async {
        let socket = tokio::net::TcpStream::connect(sidefuse.proxy());
        let (mut sender, connection) = h2::client::handshake(socket.await.unwrap()).await.unwrap();
        let connection = tokio::spawn(connection);
        for _ in 0..3 {
            let request = Request::post(format!("http://{}/r/up", sidefuse.proxy()));
            let request = request.header("content-length", "5").body(()).unwrap();
            let mut ready = sender.ready().await.unwrap();
            let (answer, mut body) = ready.send_request(request, false).unwrap();
            body.send_data(Bytes::from_static(b"hello"), false).unwrap();
            let mut answer = answer.await.unwrap().into_body();
            assert_eq!(&*answer.data().await.unwrap().unwrap(), b"5");
            assert!(answer.data().await.is_none());
            sender = ready;
        }
        connection.abort();
    });
    assert_eq!(origin.connections(), 1, "each is free for the next call");
}

#[test]
fn a_wish_to_switch_protocols_is_not_passed_to_an_upstream_that_speaks_http2() {
    let origin = Http2Origin::start(|stream| {
        http2::ok(stream.respond, "fine");
        Then::Serve
    });
    let sidefuse = to_http2(&origin);
    let mut caller = Client::connect(sidefuse.proxy());
    caller
        .send("GET /r/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(caller.read().text(), "fine");
    assert!(is_closed(&sidefuse));
}

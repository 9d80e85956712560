//! Streams of HTTP/2 that are reset without an error: what they brought is no whole message unless it had ended before.

use std::io::Read as _;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::header::CONTENT_LENGTH;
use http::{Request, Response};

use super::{bytes, ending, upstream_of_one};
use crate::support::client::Client;
use crate::support::config::{config, route, route_to};
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::process::Sidefuse;

/// An origin that begins each answer with `hello`, the second with its length; and the streams of these answers.
fn beginning() -> (Http2Origin, Receiver<SendStream<Bytes>>) {
    let (begun, streams) = channel();
    let origin = Http2Origin::start(move |mut stream| {
        let mut head = Response::new(());
        if stream.number == 2 {
            head.headers_mut().insert(CONTENT_LENGTH, 10.into());
        }
        let mut body = stream.respond.send_response(head, false).unwrap();
        body.send_data(Bytes::from_static(b"hello"), false).unwrap();
        begun.send(body).unwrap();
        Then::Serve
    });
    (origin, streams)
}

fn to_http2(origin: &Http2Origin) -> Sidefuse {
    let settings = "timeout: 30s, breaker: {enforcement: off}";
    Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        "http: 2",
        settings,
    )]))
}

#[test]
fn an_answer_that_http2_resets_without_an_error_is_truncated_case_52() {
    let (origin, begun) = beginning();
    let sidefuse = to_http2(&origin);
    for (path, head) in [
        ("/r/chunked", "GET /r/chunked HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("/r/length", "GET /r/length HTTP/1.1\r\nHost: x\r\n\r\n"),
        (
            "/r/post",
            "POST /r/post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "/r/half",
            "POST /r/half HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nh",
        ),
    ] {
        let mut caller = Client::connect(sidefuse.proxy());
        caller.send(head);
        let mut answer = begun.recv().unwrap();
        assert_eq!(caller.read_head().unwrap().status(), 200);
        // A chunk's size goes before it.
        let before = if path == "/r/length" { "" } else { "5\r\n" };
        let came = caller.read_bytes(before.len() + 5);
        assert_eq!(came, format!("{before}hello").as_bytes(), "{path}");
        answer.send_reset(Reason::NO_ERROR);
        let rest = caller.read_to_end();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{path} ended well");
        let line = sidefuse.access_line(path);
        assert_eq!(ending(&line), "200 failure truncated 1 there", "{path}");
    }
}

#[test]
fn a_whole_answer_behind_which_http2_wants_no_more_of_the_upload_is_whole() {
    // It lets go of the upload, which is a reset without an error behind the answer's end.
    let origin = Http2Origin::start(http2::answer_ok);
    let sidefuse = to_http2(&origin);
    let mut caller = Client::connect(sidefuse.proxy());
    caller.send("POST /r/early HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbegin");
    assert_eq!(caller.read().text(), "ok");
    let line = sidefuse.access_line("/r/early");
    assert_eq!(ending(&line), "200 success - 1 there");
}

#[test]
fn an_upload_that_its_caller_resets_without_an_error_never_looks_whole() {
    let (tell, told) = channel();
    let (begun, begins) = channel();
    let url = upstream_of_one(move |mut reader, _stream| {
        let mut came = vec![0; b"5\r\nhello\r\n".len()];
        reader.read_exact(&mut came).unwrap();
        begun.send(()).unwrap();
        reader.read_to_end(&mut came).unwrap();
        tell.send(came).unwrap();
    });
    let sidefuse = Sidefuse::start(&config(&[route("r", &url, "timeout: 30s")]));
    http2::runtime().block_on(async {
        let socket = tokio::net::TcpStream::connect(sidefuse.proxy());
        let (sender, connection) = h2::client::handshake(socket.await.unwrap()).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::post(format!("http://{}/r/up", sidefuse.proxy()));
        let mut ready = sender.ready().await.unwrap();
        let (answer, mut body) = ready
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        body.send_data(Bytes::from_static(b"hello"), false).unwrap();
        tokio::task::spawn_blocking(move || begins.recv().unwrap())
            .await
            .unwrap();
        body.send_reset(Reason::NO_ERROR);
        assert!(answer.await.is_err());
        drop(ready);
        connection.abort();
    });
    assert_eq!(told.recv().unwrap(), b"5\r\nhello\r\n");
    let line = sidefuse.access_line("/r/up");
    assert_eq!(ending(&line), "499 ignored client_gone 1 gone");
    assert_eq!(bytes(&line), (5, 0));
}

//! The caller's side: versions, connections, limits, and requests that are none.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use http::Request;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::config::{config, config_with, route};
use crate::support::http2;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

fn telling() -> Origin {
    Origin::start(|request| match request.head.target() {
        "/chunked" => Answer::script()
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        target => Answer::ok(target),
    })
}

fn sidefuse_to(origin: &Origin, top: &str) -> Sidefuse {
    Sidefuse::start(&config_with(
        top,
        &[route("r", &origin.url(), "timeout: 30s")],
    ))
}

#[test]
fn case_53_http_1_0_is_answered_without_chunks_and_closed_unless_kept_alive() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "");
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/chunked HTTP/1.0\r\n\r\n");
    let bytes = String::from_utf8(client.read_to_end()).unwrap();
    assert!(
        bytes.ends_with("\r\n\r\nhi") && !bytes.to_lowercase().contains("chunked"),
        "{bytes}"
    );
    let mut client = Client::connect(sidefuse.proxy());
    for _ in 0..2 {
        client.send("GET /r/kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.read().text(), "/kept");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order_over_one_connection() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "");
    let mut client = Client::connect(sidefuse.proxy());
    let requests: String = (0..50)
        .map(|index| {
            format!("GET /r/{index} HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: id-{index}\r\n\r\n")
        })
        .collect();
    client.send(requests);
    for index in 0..50 {
        let response = client.read();
        assert_eq!(response.text(), format!("/{index}"));
        assert_eq!(
            response.header("x-correlation-id"),
            Some(&*format!("id-{index}"))
        );
    }
    assert_eq!(sidefuse.access_lines().len(), 50);
}

#[test]
fn case_40_a_malformed_request_behind_good_ones_is_refused_after_their_answers_and_the_connection_closed()
 {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "");
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /r/2 HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\nGET /r/3 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read().text(), "/1");
    assert_eq!(client.read().text(), "/2");
    let refused = client.read();
    assert_eq!(
        (refused.status(), refused.header("connection")),
        (400, Some("close"))
    );
    assert_eq!(client.read_to_end(), b"");
    let lines = sidefuse.access_lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[2]["correlationId"],
        refused.header("x-correlation-id").unwrap()
    );
}

#[test]
fn case_26_what_the_http_library_refuses_has_an_id_a_problem_and_a_line_all_the_same() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "http: {max_header_bytes: 8KiB, max_headers: 20}");
    let many: String = (0..30).map(|index| format!("X-{index}: y\r\n")).collect();
    let cases = [
        (
            "GET /r/ HTTP/1.1\r\nHost x\r\n\r\n".to_owned(),
            400,
            "bad_request",
        ),
        (
            "GET /r/ HTTP/9.1\r\nHost: x\r\n\r\n".to_owned(),
            400,
            "bad_request",
        ),
        (
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}tls-hello".to_owned(),
            400,
            "bad_request",
        ),
        (
            "GET /r/ HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n".to_owned(),
            400,
            "bad_request",
        ),
        (
            "GET /r/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
            400,
            "bad_request",
        ),
        (
            format!(
                "GET /r/ HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
                "y".repeat(20_000)
            ),
            431,
            "headers_too_large",
        ),
        (
            format!("GET /r/ HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
            431,
            "headers_too_large",
        ),
        (
            format!("GET /r/{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(70_000)),
            431,
            "headers_too_large",
        ),
    ];
    for (index, (bytes, status, reason)) in cases.iter().enumerate() {
        let mut client = Client::connect(sidefuse.proxy());
        client.send(bytes);
        let response = client.read();
        assert_eq!(
            (response.status(), response.header("x-sidefuse-reason")),
            (*status, Some(*reason)),
            "{index}"
        );
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json")
        );
        let id = response.header("x-correlation-id").unwrap();
        assert_eq!(
            (
                response.header("x-request-id"),
                response.json()["correlationId"].as_str()
            ),
            (Some(id), Some(id))
        );
        let lines = sidefuse.access_lines();
        assert_eq!(lines.len(), index + 1, "one line each");
        let line = lines.last().unwrap();
        assert_eq!(
            (
                line["correlationId"].as_str(),
                line["statusCode"].as_u64(),
                line["reason"].as_str()
            ),
            (Some(id), Some(u64::from(*status)), Some(*reason))
        );
        assert_eq!(line["outcome"], "ignored");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_target_beyond_the_limit_is_414() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "http: {max_header_bytes: 1MiB}");
    let mut client = Client::connect(sidefuse.proxy());
    client.send(format!(
        "GET /r/{} HTTP/1.1\r\nHost: x\r\n\r\n",
        "y".repeat(70_000)
    ));
    let response = client.read();
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (414, Some("uri_too_long"))
    );
}

#[test]
fn http2_with_prior_knowledge_carries_calls_at_once_and_each_has_its_line() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "");
    let address = sidefuse.proxy();
    let mut requests: Vec<Request<()>> = (0..20)
        .map(|index| {
            Request::get(format!("http://{address}/r/{index}"))
                .header("x-correlation-id", format!("id-{index}"))
                .body(())
                .unwrap()
        })
        .collect();
    requests.push(
        Request::head(format!("http://{address}/nowhere"))
            .body(())
            .unwrap(),
    );
    requests.push(
        Request::get(format!("http://{address}/nowhere"))
            .body(())
            .unwrap(),
    );
    requests.push(
        Request::get(format!("http://{}/by-authority", origin.address()))
            .body(())
            .unwrap(),
    );
    let answers = http2::calls(address, &requests);
    for (index, (head, body)) in answers[..20].iter().enumerate() {
        assert_eq!(head.status, 200);
        assert_eq!(body, format!("/{index}").as_bytes());
        assert_eq!(head.headers["x-correlation-id"], format!("id-{index}"));
        assert!(!head.headers.contains_key("connection"));
    }
    let (head, body) = &answers[20];
    assert_eq!(
        (head.status.as_u16(), body.len()),
        (404, 0),
        "HEAD has no body over HTTP/2 either"
    );
    assert_eq!(answers[21].0.status, 404);
    assert_eq!(answers[21].0.headers["x-sidefuse-reason"], "no_route");
    assert_eq!(answers[22].1, b"/by-authority");
    let lines = sidefuse.access_lines();
    assert_eq!(lines.len(), 23);
    assert!(
        lines.iter().all(|line| line.get("clientGone").is_none()),
        "{lines:?}"
    );
}

#[test]
fn case_9_equal_lengths_over_http2_go_on_as_one_and_others_are_refused() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "");
    let address = sidefuse.proxy();
    let request = |lengths: [&'static str; 2]| {
        let request = Request::get(format!("http://{address}/r/x"));
        let request = lengths.into_iter().fold(request, |request, length| {
            request.header("content-length", length)
        });
        request.body(()).unwrap()
    };
    // What differs by its value, the library resets by itself.
    let answers = http2::calls(address, &[request(["0", "0"]), request(["0", "00"])]);
    let statuses = [0, 1].map(|index| answers[index].0.status.as_u16());
    assert_eq!(statuses, [200, 400]);
    assert_eq!(answers[1].0.headers["x-sidefuse-reason"], "bad_request");
    let requests = origin.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].head.all("content-length"), ["0"]);
}

#[test]
fn case_93_a_silent_connection_and_half_a_request_are_closed_after_first_request_timeout() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "http: {first_request_timeout: 200ms}");
    for begun in [
        "",
        "PRI * HTTP/2.0\r\n\r\nS",
        "GET /r/ HT",
        "GET /r/ HTTP/1.1\r\nHost: x\r\nX-A",
    ] {
        let mut stream = TcpStream::connect(sidefuse.proxy()).unwrap();
        stream
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream
            .read_to_end(&mut bytes)
            .inspect_err(|error| assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset));
        assert!(
            bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4"),
            "{begun:?}: {bytes:?}"
        );
    }
}

#[test]
fn a_connection_without_a_call_is_closed_after_keep_alive() {
    let origin = telling();
    let sidefuse = sidefuse_to(&origin, "http: {keep_alive: 100ms}");
    let mut client = Client::connect(sidefuse.proxy());
    assert_eq!(client.get("/r/x").text(), "/x");
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(sidefuse.access_lines().len(), 1);
}

#[test]
fn a_caller_that_stops_reading_is_let_go_and_is_nobodys_failure() {
    let origin = Origin::start(|_| Answer::ok(&"x".repeat(64 << 20)));
    let settings = "timeout: 30s, idle_timeout: 200ms, breaker: {failure_threshold: 1}";
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), settings)]));
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/deaf HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_head().unwrap();
    let line = sidefuse.access_line("/r/deaf");
    assert_eq!(
        (line["outcome"].as_str(), line["reason"].as_str()),
        (Some("ignored"), Some("client_gone"))
    );
    origin.wait_for_ended_connections(1);
}

#[test]
fn as_many_fields_as_the_configuration_says_are_taken_and_not_one_more() {
    let origin = telling();
    for (http, most) in [
        ("", 100),
        ("http: {max_headers: 99}", 99),
        ("http: {max_headers: 101}", 101),
    ] {
        let sidefuse = sidefuse_to(&origin, http);
        for (count, status) in [(most, 200), (most + 1, 431)] {
            let others: String = (1..count)
                .map(|index| format!("X-{index}: y\r\n"))
                .collect();
            let mut caller = Client::connect(sidefuse.proxy());
            caller.send(format!("GET /r/ HTTP/1.1\r\nHost: x\r\n{others}\r\n"));
            assert_eq!(caller.read().status(), status, "{http} {count}");
        }
    }
}

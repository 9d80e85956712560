//! What goes wrong before the response headers, and what is made again.

use super::{refusing, sidefuse_to, text};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, route};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

#[test]
fn case_49_105_and_108_each_fault_before_the_headers_has_its_name_and_its_status() {
    let origin = Origin::start(|request| {
        match request.head.target() {
        "/reset" => Answer::script().reset(),
        "/close" => Answer::script().close(),
        "/reset-mid-header" => Answer::script().send("HTTP/1.1 200 OK\r\nX-A").reset(),
        "/close-mid-header" => Answer::script().send("HTTP/1.1 200 OK\r\nX-A").close(),
        "/garbage" => Answer::script()
            .send("\0\0\u{1}\u{2}garbage\r\n\r\n")
            .close(),
        "/ssh" => Answer::script().send("SSH-2.0-OpenSSH_9.7\r\n").close(),
        "/status-000" => Answer::script().send("HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"),
        "/status-600" => Answer::status(600, &[], "none of HTTP's"),
        "/status-999" => Answer::status(999, &[], "none of HTTP's"),
        "/unasked-101" => Answer::script()
            .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "/lengths" => Answer::script()
            .send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        "/length-and-coding" => Answer::script().send(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        "/coding" => Answer::script()
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello")
            .close(),
        "/headers" => Answer::script().send(format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "X-A: b\r\n".repeat(10_000)
        )),
        "/stall" => Answer::script().until_gone(),
        _ => Answer::ok("fine"),
    }
    });
    let sidefuse = Sidefuse::start(&config(&[
        route(
            "r",
            &origin.url(),
            "timeout: 500ms, breaker: {enforcement: off}",
        ),
        route("refused", &refusing(), "timeout: 10s"),
        route("nowhere", "http://no-such-host.invalid", "timeout: 10s"),
    ]));
    for (path, status, reason, attempts) in [
        ("/refused/x", 502, "connect", 1),
        ("/nowhere/x", 502, "dns", 1),
        ("/r/reset", 502, "reset", 1),
        ("/r/close", 502, "reset", 1),
        ("/r/reset-mid-header", 502, "reset", 1),
        ("/r/close-mid-header", 502, "reset", 1),
        ("/r/garbage", 502, "protocol", 1),
        ("/r/ssh", 502, "protocol", 1),
        ("/r/status-000", 502, "protocol", 1),
        ("/r/status-600", 502, "protocol", 1),
        ("/r/status-999", 502, "protocol", 1),
        ("/r/unasked-101", 502, "protocol", 1),
        ("/r/lengths", 502, "protocol", 1),
        ("/r/length-and-coding", 502, "protocol", 1),
        ("/r/coding", 502, "protocol", 1),
        ("/r/headers", 502, "protocol", 1),
        ("/r/stall", 504, "timeout", 1),
    ] {
        let response = client::get(sidefuse.proxy(), path);
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.header("x-sidefuse-reason"), Some(reason), "{path}");
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let problem = response.json();
        assert_eq!(problem["reason"], reason);
        let line = sidefuse.access_line(path);
        assert_eq!(problem["correlationId"], line["correlationId"]);
        assert_eq!(line["statusCode"], status, "{line}");
        assert_eq!(text(&line, "reason"), reason, "{line}");
        assert_eq!(text(&line, "outcome"), "failure", "{line}");
        assert_eq!(line["attempts"], attempts, "{line}");
        assert_eq!(line["level"], "error", "{line}");
    }
    assert_eq!(client::get(sidefuse.proxy(), "/r/fine").text(), "fine");
    assert_eq!(origin.requests().len(), 16, "each fault was asked for once");
}

#[test]
fn case_106_a_get_on_a_kept_connection_that_closes_is_made_again_once_on_a_new_one() {
    // The first connection answers one call and closes at the second without a byte of an answer.
    let origin = Origin::start(
        |request| match (request.connection, request.head.target()) {
            (_, "/first") => Answer::ok("first"),
            (1, _) => Answer::script().close(),
            _ => Answer::ok("again"),
        },
    );
    let sidefuse = sidefuse_to(
        &origin.url(),
        "http: 1",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    );
    let mut caller = Client::connect(sidefuse.proxy());
    assert_eq!(caller.get("/r/first").text(), "first");
    assert_eq!(caller.get("/r/second").text(), "again");
    let line = sidefuse.access_line("/r/second");
    assert_eq!(
        (text(&line, "outcome"), text(&line, "reason")),
        ("success".into(), "-".into())
    );
    let arrived = origin
        .requests()
        .iter()
        .filter(|request| request.head.target() == "/second")
        .count();
    assert_eq!(
        line["attempts"], arrived,
        "attempts at the origin are those of the line"
    );
}

#[test]
fn case_106_a_second_loss_is_a_failure_and_no_third_try() {
    let origin = Origin::start(|request| match request.head.target() {
        "/first" => Answer::ok("first"),
        _ => Answer::script().close(),
    });
    let sidefuse = sidefuse_to(&origin.url(), "http: 1", "timeout: 30s");
    let mut caller = Client::connect(sidefuse.proxy());
    caller.get("/r/first");
    let response = caller.get("/r/second");
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (502, Some("reset"))
    );
    assert_eq!(sidefuse.access_line("/r/second")["attempts"], 2);
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn case_117_a_post_is_never_made_again_once_bytes_were_sent() {
    let origin = Origin::start(|request| match request.head.target() {
        "/first" => Answer::ok("first"),
        _ => Answer::script().close(),
    });
    let sidefuse = sidefuse_to(&origin.url(), "http: 1", "timeout: 30s");
    for (method, body) in [("POST", "pay"), ("POST", ""), ("PATCH", "x"), ("PUT", "x")] {
        let mut caller = Client::connect(sidefuse.proxy());
        assert_eq!(caller.get("/r/first").text(), "first");
        let before = origin.requests().len();
        let target = format!("/r/{method}{}", body.len());
        let response = caller.request(method, &target, &[], body);
        assert_eq!(
            (response.status(), response.header("x-sidefuse-reason")),
            (502, Some("reset"))
        );
        assert_eq!(sidefuse.access_line(&target)["attempts"], 1, "{target}");
        assert_eq!(origin.requests().len(), before + 1, "{target}");
    }
}

#[test]
fn case_118_a_call_that_was_never_sent_is_made_again_whatever_its_method() {
    // Closes its connection with the answer, without saying so: what comes next finds it closed before a byte is sent.
    let origin = Origin::start(|_| Answer::ok("fine").close());
    let sidefuse = sidefuse_to(
        &origin.url(),
        "http: 1",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    );
    let mut caller = Client::connect(sidefuse.proxy());
    for round in 1..=5 {
        let target = format!("/r/{round}");
        assert_eq!(caller.request("POST", &target, &[], "pay").text(), "fine");
        origin.wait_for_ended_connections(round);
        assert_eq!(sidefuse.access_line(&target)["attempts"], 1);
    }
    assert_eq!(origin.requests().len(), 5);
}

#[test]
fn case_49_no_length_that_is_unclear_goes_on_to_the_caller_body_or_not() {
    let origin = Origin::start(|request| {
        let (status, lengths) = match request.head.target() {
            "/304-twice" => ("304 Not Modified", "3\r\nContent-Length: 4"),
            "/204-list" => ("204 No Content", "3, 3"),
            "/200-sign" => ("200 OK", "+3"),
            _ => ("200 OK", "3"),
        };
        Answer::script().send(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {lengths}\r\n\r\n"
        ))
    });
    let sidefuse = sidefuse_to(&origin.url(), "http: 1", "breaker: {enforcement: off}");
    for (path, status) in [
        ("/r/304-twice", 502),
        ("/r/204-list", 502),
        ("/r/200-sign", 502),
        ("/r/clear", 200),
    ] {
        let mut caller = Client::connect(sidefuse.proxy());
        caller.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = caller.read_head().unwrap();
        assert_eq!(head.status(), status, "{path}");
        let line = sidefuse.access_line(path);
        let reason = if status == 200 { "-" } else { "protocol" };
        assert_eq!(text(&line, "reason"), reason, "{line}");
    }
}

//! The upstream's side: what its faults are called, what is tried again, how connections are kept.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, config_with, route, route_to};
use crate::support::gate::{Gate, let_pass};
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// A loopback address that refuses connections.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap_or("-").to_owned()
}

fn sidefuse_to(origin: &Origin, upstream: &str, settings: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route_to("r", &origin.url(), upstream, settings)]))
}

/// Sends a `GET` and reads only later.
fn begin(sidefuse: &Sidefuse, path: &str) -> Client {
    let mut client = Client::connect(sidefuse.proxy());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client
}

#[test]
fn case_105_and_108_each_fault_before_the_headers_has_its_name_and_its_status() {
    let origin = Origin::start(|request| match request.head.target() {
        "/reset" => Answer::script().reset(),
        "/close" => Answer::script().close(),
        "/reset-mid-header" => Answer::script().send("HTTP/1.1 200 OK\r\nX-A").reset(),
        "/close-mid-header" => Answer::script().send("HTTP/1.1 200 OK\r\nX-A").close(),
        "/garbage" => Answer::script()
            .send("\0\0\u{1}\u{2}garbage\r\n\r\n")
            .close(),
        "/ssh" => Answer::script().send("SSH-2.0-OpenSSH_9.7\r\n").close(),
        "/status-000" => Answer::script().send("HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"),
        "/unasked-101" => Answer::script()
            .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "/lengths" => Answer::script()
            .send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        "/headers" => Answer::script().send(format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "X-A: b\r\n".repeat(10_000)
        )),
        "/stall" => Answer::script().until_gone(),
        _ => Answer::ok("fine"),
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
        ("/r/unasked-101", 502, "protocol", 1),
        ("/r/lengths", 502, "protocol", 1),
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
    assert_eq!(origin.requests().len(), 12, "each fault was asked for once");
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
        &origin,
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
    let sidefuse = sidefuse_to(&origin, "http: 1", "timeout: 30s");
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
    let sidefuse = sidefuse_to(&origin, "http: 1", "timeout: 30s");
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
        &origin,
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
fn the_connection_used_last_is_used_first() {
    let gates: Vec<Gate> = (0..3).map(|_| Gate::closed()).collect();
    let held = gates.clone();
    let origin = Origin::start(
        move |request| match request.head.target().strip_prefix("/hold") {
            Some(index) => Answer::script()
                .pass(&held[index.parse::<usize>().unwrap()])
                .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            None => Answer::ok(""),
        },
    );
    let sidefuse = sidefuse_to(&origin, "http: 1", "timeout: 30s");
    let mut callers: Vec<Client> = (0..3)
        .map(|index| {
            let caller = begin(&sidefuse, &format!("/r/hold{index}"));
            origin.wait_for_requests(index + 1);
            caller
        })
        .collect();
    for index in [0, 2, 1] {
        gates[index].open();
        assert_eq!(callers[index].read().status(), 200);
        sidefuse.access_line(&format!("/r/hold{index}"));
    }
    for _ in 0..3 {
        client::get(sidefuse.proxy(), "/r/next");
    }
    let requests = origin.requests();
    assert!(
        requests[3..].iter().all(|request| request.connection == 2),
        "the last to come back was the second"
    );
    assert_eq!(origin.connections(), 3);
}

#[test]
fn max_is_exact_over_the_workers_and_who_waits_gets_a_connection_in_turn() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let routes = [route_to(
        "r",
        &origin.url(),
        "pool: {max: 2}",
        "timeout: 30s",
    )];
    let sidefuse = Sidefuse::start(&config_with("workers: 2", &routes));
    let mut callers: Vec<Client> = (0..12)
        .map(|index| begin(&sidefuse, &format!("/r/{index}")))
        .collect();
    origin.wait_for_requests(2);
    // All twelve have been read by the proxy once a thirteenth on each worker is answered.
    for _ in 0..4 {
        client::get(sidefuse.proxy(), "/nowhere");
    }
    assert_eq!((origin.requests().len(), origin.connections()), (2, 2));
    gate.open();
    for caller in &mut callers {
        assert_eq!(caller.read().status(), 200);
    }
    assert_eq!(origin.requests().len(), 12);
}

#[test]
fn a_connection_that_closes_as_it_is_handed_over_costs_who_waited_nothing() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .close()
    });
    let sidefuse = sidefuse_to(
        &origin,
        "pool: {max: 1}",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    );
    let mut callers: Vec<Client> = (0..8)
        .map(|index| begin(&sidefuse, &format!("/r/{index}")))
        .collect();
    origin.wait_for_requests(1);
    client::get(sidefuse.proxy(), "/nowhere");
    gate.open();
    for caller in &mut callers {
        assert_eq!(caller.read().text(), "ok");
    }
    for index in 0..8 {
        assert_eq!(sidefuse.access_line(&format!("/r/{index}"))["attempts"], 1);
    }
}

#[test]
fn a_call_that_waits_too_long_for_a_connection_is_refused_as_overloaded_and_blames_nobody() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let sidefuse = sidefuse_to(
        &origin,
        "pool: {max: 1, acquire_timeout: 100ms}",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    );
    let mut first = begin(&sidefuse, "/r/first");
    origin.wait_for_requests(1);
    let response = client::get(sidefuse.proxy(), "/r/second");
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (503, Some("overloaded"))
    );
    let line = sidefuse.access_line("/r/second");
    assert_eq!(
        (text(&line, "outcome"), text(&line, "level")),
        ("ignored".into(), "warn".into())
    );
    assert_eq!(line["attempts"], 0, "none was made: {line}");
    gate.open();
    assert_eq!(first.read().status(), 200);
    assert_eq!(client::get(sidefuse.proxy(), "/r/third").status(), 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn min_connections_are_open_before_the_first_call() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let sidefuse = sidefuse_to(&origin, "pool: {min: 3}", "timeout: 30s");
    origin.wait_for_connections(3);
    assert_eq!(client::get(sidefuse.proxy(), "/r/").text(), "fine");
    assert_eq!(origin.connections(), 3);
}

#[test]
fn connections_in_use_count_towards_min() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let sidefuse = sidefuse_to(&origin, "pool: {min: 1, evict_every: 20ms}", "timeout: 30s");
    let mut caller = begin(&sidefuse, "/r/held");
    origin.wait_for_requests(1);
    let before = origin.connections();
    // Time for many a look, in which nothing may be opened. The caller may have come before the connection that was opened ahead.
    let_pass(std::time::Duration::from_millis(300));
    assert_eq!(origin.connections(), before);
    assert!(before <= 2, "{before}");
    gate.open();
    assert_eq!(caller.read().status(), 200);
}

#[test]
fn connections_that_are_idle_or_old_are_closed() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let idle = route_to(
        "idle",
        &origin.url(),
        "pool: {idle_timeout: 50ms, evict_every: 50ms}",
        "timeout: 30s",
    );
    let old = route_to(
        "old",
        &origin.url(),
        "pool: {max_lifetime: 50ms, evict_every: 50ms}",
        "timeout: 30s",
    );
    let sidefuse = Sidefuse::start(&config(&[idle, old]));
    client::get(sidefuse.proxy(), "/idle/");
    origin.wait_for_ended_connections(1);
    client::get(sidefuse.proxy(), "/old/");
    origin.wait_for_ended_connections(2);
}

#[test]
fn case_79_an_https_upstream_is_trusted_through_its_ca_file_and_only_so() {
    let (origin, other) = (
        Origin::start_tls(|_| Answer::ok("secret")),
        Origin::start_tls(|_| Answer::ok("")),
    );
    let trusting = |ca: &std::path::Path| format!("tls: {{ca_file: {}}}", ca.display());
    let sidefuse = Sidefuse::start(&config(&[
        route_to(
            "right",
            &origin.url(),
            &trusting(origin.ca_file()),
            "timeout: 30s",
        ),
        route_to(
            "wrong",
            &origin.url(),
            &trusting(other.ca_file()),
            "timeout: 30s",
        ),
        route_to(
            "named",
            &origin.url().replace("localhost", "127.0.0.2"),
            &trusting(origin.ca_file()),
            "timeout: 30s",
        ),
    ]));
    assert_eq!(client::get(sidefuse.proxy(), "/right/x").text(), "secret");
    let response = client::get(sidefuse.proxy(), "/wrong/x");
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (502, Some("tls"))
    );
    assert_eq!(
        text(&sidefuse.access_line("/wrong/x"), "outcome"),
        "failure"
    );
    assert_eq!(
        origin.requests().len(),
        1,
        "nothing was sent where the certificate is not trusted"
    );
    let host = origin.requests()[0].head.header("host").map(str::to_owned);
    assert_eq!(host.as_deref(), origin.url().strip_prefix("https://"));
    let by_name = client::get(sidefuse.proxy(), "/named/x");
    assert_eq!(by_name.status(), 502);
}

#[test]
fn an_http2_upstream_in_clear_carries_calls_on_one_connection() {
    let origin = Http2Origin::start(|stream| {
        http2::ok(stream.respond, "two");
        Then::Serve
    });
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        "http: 2",
        "timeout: 30s",
    )]));
    for index in 0..10 {
        assert_eq!(
            client::get(sidefuse.proxy(), &format!("/r/{index}")).text(),
            "two"
        );
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.targets()[3], format!("{}/3", origin.url()));
}

#[test]
fn an_https_upstream_that_agrees_on_http2_gets_it_and_calls_share_a_connection() {
    let origin = Http2Origin::start_tls(|stream| {
        http2::ok(stream.respond, "two");
        Then::Serve
    });
    let trust = format!("tls: {{ca_file: {}}}", origin.ca_file().display());
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        &trust,
        "timeout: 30s",
    )]));
    for index in 0..10 {
        let response = client::get(sidefuse.proxy(), &format!("/r/{index}"));
        assert_eq!(response.text(), "two");
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.targets()[9], format!("{}/9", origin.url()));
}

#[test]
fn case_118_a_stream_that_http2_refused_is_made_again_once() {
    let origin = Http2Origin::start(|mut stream| {
        match stream.number {
            1 => http2::ok(stream.respond, "first"),
            2 => stream.respond.send_reset(h2::Reason::REFUSED_STREAM),
            _ => http2::ok(stream.respond, "again"),
        }
        Then::Serve
    });
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        "http: 2",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    )]));
    assert_eq!(client::get(sidefuse.proxy(), "/r/first").text(), "first");
    assert_eq!(client::get(sidefuse.proxy(), "/r/second").text(), "again");
    assert_eq!(origin.targets().len(), 3);
    assert_eq!(sidefuse.access_line("/r/second")["reason"], Value::Null);
}

#[test]
fn case_118_calls_go_to_a_new_connection_when_http2_says_goaway() {
    let origin = Http2Origin::start(|stream| {
        http2::ok(stream.respond, "fine");
        Then::Leave
    });
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        "http: 2",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    )]));
    for index in 0..20 {
        let method = if index % 2 == 0 { "GET" } else { "POST" };
        let response =
            Client::connect(sidefuse.proxy()).request(method, &format!("/r/{index}"), &[], "");
        assert_eq!(
            (response.status(), response.text()),
            (200, "fine"),
            "{index}"
        );
    }
}

//! TLS and HTTP/2 towards upstreams.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use super::{sidefuse_to, text};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, route_to};
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

#[test]
fn case_79_an_https_upstream_is_trusted_through_its_ca_file_and_only_so() {
    let (origin, other) = (
        Origin::start_tls(|_| Answer::ok("secret")),
        Origin::start_tls(|_| Answer::ok("")),
    );
    let port = origin.url().rsplit(':').next().unwrap().to_owned();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_url = format!("https://localhost:{}", plain.local_addr().unwrap().port());
    thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    let trusting = |ca: &std::path::Path| format!("tls: {{ca_file: {}}}", ca.display());
    let mut sidefuse = Sidefuse::start(&config(&[
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
            &format!("https://other.example:{port}"),
            &format!(
                "endpoints: [\"127.0.0.1:{port}\"], {}",
                trusting(origin.ca_file())
            ),
            "timeout: 30s",
        ),
        route_to(
            "plain",
            &plain_url,
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
    for path in ["/named/x", "/plain/x"] {
        let response = client::get(sidefuse.proxy(), path);
        assert_eq!(response.header("x-sidefuse-reason"), Some("tls"), "{path}");
    }
    assert_eq!(origin.requests().len(), 1);
    // The log says what is wrong, and what to do.
    for (remedy, error) in [
        ("`upstream.tls.ca_file`", "BadSignature"),
        ("that its certificate names", "not valid for name"),
        ("`http://`", "corrupt message"),
    ] {
        let told = sidefuse.process().wait_for_line(|line| {
            line["msg"] == "No TLS with an upstream; calls to it fail"
                && text(line, "remedy").contains(remedy)
        });
        assert!(text(&told, "error").contains(error), "{told}");
    }
}

#[test]
fn an_http2_upstream_in_clear_carries_calls_on_one_connection() {
    let origin = Http2Origin::start(|stream| {
        http2::ok(stream.respond, "two");
        Then::Serve
    });
    let sidefuse = sidefuse_to(&origin.url(), "http: 2", "timeout: 30s");
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
    let sidefuse = sidefuse_to(&origin.url(), &trust, "timeout: 30s");
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
    let sidefuse = sidefuse_to(
        &origin.url(),
        "http: 2",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    );
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
    let sidefuse = sidefuse_to(
        &origin.url(),
        "http: 2",
        "timeout: 30s, breaker: {failure_threshold: 1}",
    );
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

#[test]
fn an_http2_connection_that_has_gone_deaf_takes_one_call_with_it_and_no_more() {
    let (held, seen) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let origin = Http2Origin::start(move |stream| {
        if seen.fetch_add(1, Ordering::SeqCst) == 1 {
            held.lock().unwrap().push(stream.respond);
        } else {
            http2::ok(stream.respond, "fine");
        }
        Then::Serve
    });
    let settings = "timeout: 500ms, breaker: {enforcement: off}";
    let sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &origin.url(),
        "http: 2",
        settings,
    )]));
    let statuses = [(); 4].map(|()| client::get(sidefuse.proxy(), "/r/x").status());
    assert_eq!(statuses, [200, 504, 200, 200]);
    assert_eq!(origin.connections(), 2);
}

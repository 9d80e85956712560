//! Several endpoints in the real process: workers that share them, certificates, events, an endpoint that takes nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::{begin, sidefuse_to, text};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config_with, route_to};
use crate::support::gate::Gate;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

fn endpoints(origins: &[&Origin]) -> String {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address()).collect();
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!("endpoints: {addresses:?}")
}

#[test]
fn max_is_exact_over_workers_and_endpoints() {
    let gate = Gate::closed();
    let origins: Vec<Origin> = (0..3)
        .map(|_| {
            let gate = gate.clone();
            Origin::start(move |_| {
                Answer::script()
                    .pass(&gate)
                    .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            })
        })
        .collect();
    let [a, b, c] = &origins[..] else {
        unreachable!()
    };
    let upstream = format!("pool: {{max: 4}}, {}", endpoints(&[a, b, c]));
    let routes = [route_to("r", "http://origin", &upstream, "timeout: 30s")];
    let sidefuse = Sidefuse::start(&config_with("workers: 2", &routes));
    let mut callers: Vec<Client> = (0..12)
        .map(|index| begin(&sidefuse, &format!("/r/{index}")))
        .collect();
    // All twelve have been read by the proxy once a thirteenth on each worker is answered.
    for _ in 0..4 {
        client::get(sidefuse.proxy(), "/nowhere");
    }
    let opened = || origins.iter().map(Origin::connections).sum::<usize>();
    assert!(opened() <= 4);
    gate.open();
    for caller in &mut callers {
        assert_eq!(caller.read().status(), 200);
    }
    let pool = client::get(sidefuse.admin(), "/circuit-breakers/r").json()["pool"].clone();
    assert!(pool["size"].as_u64().unwrap() <= 4, "{pool}");
    let arrived = origins.iter().map(|origin| origin.requests().len());
    assert_eq!(arrived.sum::<usize>(), 12);
}

#[test]
fn an_ejection_is_an_event_and_shows_in_metrics_and_admin_case_116() {
    let bad = Origin::start(|_| Answer::status(500, &[], ""));
    let good = Origin::start(|_| Answer::ok("fine"));
    let upstream = endpoints(&[&bad, &good]);
    let sidefuse = sidefuse_to("http://origin", &upstream, "timeout: 30s");
    while bad.requests().len() < 5 {
        client::get(sidefuse.proxy(), "/r/x");
    }
    let event = sidefuse.event("Endpoint ejected");
    let address = bad.address().to_string();
    assert_eq!(
        (text(&event, "route"), text(&event, "endpoint")),
        ("r".to_owned(), address.clone())
    );
    assert_eq!(text(&event, "reason"), "status 500", "{event}");
    assert_eq!(text(&event, "ejectedFor"), "10s", "{event}");
    for _ in 0..10 {
        assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "fine");
    }
    let metrics = Metrics::of(sidefuse.health());
    for state in ["available", "ejected"] {
        let series = format!("sidefuse_endpoints{{route=\"r\",state=\"{state}\"}}");
        assert_eq!(metrics.value(&series), Some(1.0));
    }
    let breaker = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    let shown = &breaker["endpoints"][0];
    assert_eq!(
        (text(shown, "address"), text(shown, "state")),
        (address, "ejected".to_owned())
    );
    // One instant, converted at two moments: the wall clock may have been set a little in between.
    let instant = |value: &Value| humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
    let (shown, told) = (instant(&shown["until"]), instant(&event["until"]));
    let apart = shown.duration_since(told).or(told.duration_since(shown));
    assert!(apart.unwrap() < Duration::from_secs(1));
    assert_eq!(breaker["state"], "closed");
}

#[test]
fn the_certificate_is_checked_against_the_host_of_the_url_and_host_is_that_of_the_url() {
    let origin =
        Origin::start_tls(|request| Answer::ok(request.head.header("host").unwrap_or("none")));
    let upstream = format!(
        "{}, http: 1, tls: {{ca_file: {:?}}}",
        endpoints(&[&origin]),
        origin.ca_file()
    );
    let sidefuse = sidefuse_to("https://localhost:4433", &upstream, "timeout: 30s");
    let answer = client::get(sidefuse.proxy(), "/r/x");
    assert_eq!((answer.status(), answer.text()), (200, "localhost:4433"));
    let line = sidefuse.access_line("/r/x");
    assert_eq!(text(&line, "upstream"), origin.address().to_string());

    let sidefuse = sidefuse_to("https://elsewhere.test", &upstream, "timeout: 30s");
    let answer = client::get(sidefuse.proxy(), "/r/x");
    assert_eq!(answer.header("x-sidefuse-reason"), Some("tls"));
}

#[test]
fn an_upload_to_an_upstream_that_never_reads_ends_with_the_call_case_115() {
    const BODY: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sidefuse = sidefuse_to(&url, "http: 1", "timeout: 500ms");
    let mut caller = TcpStream::connect(sidefuse.proxy()).unwrap();
    let head = format!("POST /r/x HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n");
    caller.write_all(head.as_bytes()).unwrap();
    let caller = std::thread::spawn(move || {
        // Until nobody takes any more.
        while caller.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    let (mut upstream, _) = listener.accept().unwrap();
    let line = sidefuse.access_line("/r/x");
    assert_eq!(line["statusCode"], 504, "{line}");
    assert_eq!(
        (text(&line, "reason"), text(&line, "outcome")),
        ("timeout".to_owned(), "failure".to_owned())
    );
    caller.join().unwrap();
    // What it reads now is what lay in the buffers; then the connection is over.
    let mut arrived = Vec::new();
    let _ = upstream.read_to_end(&mut arrived);
    assert!(arrived.len() < BODY, "{}", arrived.len());
}

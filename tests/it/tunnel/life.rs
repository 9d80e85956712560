//! A tunnel among the other things of its route: limits, pool, endpoints, reloads, the end of the process.

use std::io::Write as _;
use std::net::TcpListener;

use super::{asking, echo, host, hosts, lines, number, refusal, text, through};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, config_with, route, route_to};
use crate::support::gate::Gate;
use crate::support::http2::{Http2Origin, answer_ok};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal};

const IN_FLIGHT: &str = "sidefuse_in_flight_requests{route=\"r\"}";

fn in_flight(sidefuse: &Sidefuse) -> f64 {
    Metrics::of(sidefuse.admin()).value(IN_FLIGHT).unwrap()
}

fn connections(sidefuse: &Sidefuse) -> serde_json::Value {
    client::get(sidefuse.admin(), "/circuit-breakers/r").json()["pool"].clone()
}

#[test]
fn a_tunnel_is_in_flight_and_under_the_concurrency_limit_until_it_ends() {
    let origin = Origin::start(|_| Answer::script().echo());
    let target = origin.address().to_string();
    let limits = "limits: {concurrency: {max: 1, queue: 0}}";
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), limits)]));
    let tunnel = through(&sidefuse, &target);
    assert!((in_flight(&sidefuse) - 1.0).abs() < 0.1);
    for refused in [
        refusal(&sidefuse, &target),
        client::get(sidefuse.proxy(), "/r/x"),
    ] {
        assert_eq!(
            (refused.status(), refused.header("x-sidefuse-reason")),
            (503, Some("overloaded"))
        );
    }
    drop(tunnel);
    lines(&mut sidefuse, 2);
    assert!(in_flight(&sidefuse).abs() < 0.1);
    drop(through(&sidefuse, &target));
    lines(&mut sidefuse, 3);
    let counted = "sidefuse_requests_total{route=\"r\",method=\"CONNECT\",code_class=\"2xx\",outcome=\"ignored\"}";
    assert_eq!(Metrics::of(sidefuse.admin()).value(counted), Some(2.0));
}

#[test]
fn a_rate_limit_counts_tunnels_and_a_pause_of_the_upstream_is_for_them_too() {
    let origin = Origin::start(|_| Answer::status(429, &[("Retry-After", "60")], ""));
    let target = origin.address().to_string();
    let limits = "limits: {rate: {per_second: 0.01, burst: 1}}";
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), limits)]));
    drop(through(&sidefuse, &target));
    let refused = refusal(&sidefuse, &target);
    assert_eq!(
        (refused.status(), refused.header("x-sidefuse-reason")),
        (429, Some("rate_limited"))
    );
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "")]));
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").status(), 429);
    let refused = refusal(&sidefuse, &target);
    assert_eq!(
        (refused.status(), refused.header("x-sidefuse-reason")),
        (429, Some("throttled"))
    );
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn a_tunnel_takes_a_place_of_the_pool_from_an_unused_connection_and_gives_it_back() {
    let origin = Origin::start(|_| Answer::ok("ok"));
    let target = origin.address().to_string();
    let pool = "pool: {max: 1, acquire_timeout: 100ms}";
    let mut sidefuse = Sidefuse::start(&config(&[route_to("r", &origin.url(), pool, "")]));
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "ok");
    assert_eq!(connections(&sidefuse)["available"], 1);
    let tunnel = through(&sidefuse, &target);
    origin.wait_for_ended_connections(1);
    let pool = connections(&sidefuse);
    assert_eq!((&pool["size"], &pool["using"]), (&1.into(), &1.into()));
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").status(), 503);
    assert_eq!(refusal(&sidefuse, &target).status(), 503);
    drop(tunnel);
    lines(&mut sidefuse, 2);
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "ok");
}

#[test]
fn a_tunnel_that_waits_for_a_place_gets_that_of_the_call_that_ends() {
    let gate = Gate::closed();
    let passing = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&passing)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let target = origin.address().to_string();
    let pool = "pool: {max: 1, acquire_timeout: 20s}";
    let mut sidefuse = Sidefuse::start(&config(&[route_to("r", &origin.url(), pool, "")]));
    let mut calling = Client::connect(sidefuse.proxy());
    calling.send("GET /r/x HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.wait_for_requests(1);
    let mut waiting = asking(&sidefuse, &target, "");
    while connections(&sidefuse)["waiting"] != 1 {}
    gate.open();
    assert_eq!(calling.read().text(), "ok");
    assert_eq!(waiting.read_head().unwrap().status(), 200);
    // The one that the call had has a protocol already.
    origin.wait_for_connections(2);
    drop(waiting);
    let line = &lines(&mut sidefuse, 1)[0];
    assert_eq!(text(line, "heldBy"), Some("upstream.pool"));
}

#[test]
fn an_endpoint_that_refuses_costs_a_tunnel_nothing_while_another_is_there() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let there = hosts(echo);
    let endpoints = format!("endpoints: [\"{gone}\", \"{there}\"]");
    let mut sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        "https://service.example",
        &endpoints,
        "breaker: {failure_threshold: 1}",
    )]));
    for _ in 0..8 {
        let mut client = through(&sidefuse, "service.example:443");
        client.send("x");
        assert_eq!(client.read_bytes(1), b"x");
    }
    for line in lines(&mut sidefuse, 8) {
        assert_eq!(text(&line, "upstream"), Some(&*there));
        assert_eq!(text(&line, "tunnel"), Some("service.example:443"));
        assert_eq!(text(&line, "outcome"), Some("success"));
    }
}

#[test]
fn a_reload_that_removes_its_route_leaves_a_tunnel_as_it_is() {
    let (address, serving) = host(echo);
    let url = format!("http://{address}");
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &url, "")]));
    let mut client = through(&sidefuse, &address);
    client.send("before");
    assert_eq!(client.read_bytes(6), b"before");
    sidefuse.write_config(&config(&[route("other", "http://127.0.0.1:9", "")]));
    sidefuse.event("Configuration reloaded");
    client.send("after");
    assert_eq!(client.read_bytes(5), b"after");
    assert_eq!(refusal(&sidefuse, &address).status(), 403);
    client.finish();
    assert_eq!(client.read_to_end(), b"");
    serving.join().unwrap();
    let lines = lines(&mut sidefuse, 2);
    assert_eq!(text(&lines[1], "route"), Some("r"));
    assert_eq!(number(&lines[1], "bytesOut"), 11);
}

#[test]
fn a_drain_waits_for_a_tunnel_and_cuts_it_when_its_time_is_over() {
    for (drain, ends) in [("20s", true), ("200ms", false)] {
        let (address, serving) = host(echo);
        let top = format!("shutdown: {{drain: {drain}}}");
        let url = format!("http://{address}");
        let mut sidefuse = Sidefuse::start(&config_with(&top, &[route("r", &url, "")]));
        let mut client = through(&sidefuse, &address);
        client.send("a");
        assert_eq!(client.read_bytes(1), b"a");
        sidefuse.process().signal(Signal::Term);
        sidefuse.event("Shutting down: still serving until callers are done");
        if ends {
            client.send("bc");
            assert_eq!(client.read_bytes(2), b"bc", "it goes on");
            client.finish();
        }
        assert_eq!(client.read_to_end(), b"");
        assert_eq!(sidefuse.process().wait_exit(), 0);
        serving.join().unwrap();
        let lines = sidefuse.process().lines();
        let line = lines.iter().find(|it| it["requestMethod"] == "CONNECT");
        let line = line.unwrap();
        let (reason, message) = if ends {
            (None, "Request completed")
        } else {
            (Some("draining"), "Request cut off")
        };
        assert_eq!(
            (text(line, "reason"), text(line, "msg")),
            (reason, Some(message))
        );
        assert_eq!(text(line, "outcome"), Some("success"));
        assert_eq!(line.get("clientGone"), None);
    }
}

#[test]
fn a_tunnel_keeps_its_place_among_the_callers_connections() {
    let (address, _serving) = host(echo);
    let url = format!("http://{address}");
    let top = "http: {max_connections: 1}";
    let sidefuse = Sidefuse::start(&config_with(top, &[route("r", &url, "")]));
    let mut tunnel = through(&sidefuse, &address);
    tunnel.send("x");
    assert_eq!(tunnel.read_bytes(1), b"x");
    assert_eq!(client::get(sidefuse.proxy(), "/nowhere").status(), 503);
    drop(tunnel);
    while client::get(sidefuse.proxy(), "/nowhere").status() != 404 {}
}

#[test]
fn an_id_that_comes_with_a_connect_is_the_tunnels() {
    let (address, _serving) = host(|mut stream| stream.write_all(b"x").unwrap());
    let url = format!("http://{address}");
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &url, "")]));
    let mut client = Client::connect(sidefuse.proxy());
    client.send(format!(
        "CONNECT {address} HTTP/1.1\r\nHost: {address}\r\nX-Correlation-ID: mine-1\r\n\r\n"
    ));
    let head = client.read_head().unwrap();
    assert_eq!(head.header("x-correlation-id"), Some("mine-1"));
    assert_eq!(client.read_to_end(), b"x");
    drop(client);
    assert_eq!(
        text(&lines(&mut sidefuse, 1)[0], "correlationId"),
        Some("mine-1")
    );
}

#[test]
fn a_tunnel_takes_the_place_of_an_unused_connection_over_http2_or_to_another_endpoint() {
    let two = Http2Origin::start(answer_ok);
    let target = two.url().trim_start_matches("http://").to_owned();
    let upstream = "http: 2, pool: {max: 1, acquire_timeout: 100ms}";
    let sidefuse = Sidefuse::start(&config(&[route_to("r", &two.url(), upstream, "")]));
    for _ in 0..3 {
        assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "ok");
        drop(through(&sidefuse, &target));
        while connections(&sidefuse)["size"] != 0 {}
    }

    let origins = [0; 3].map(|_| Origin::start(|_| Answer::ok("ok")));
    let endpoints = origins.each_ref().map(|it| format!("\"{}\"", it.address()));
    let upstream = format!(
        "endpoints: [{}], pool: {{max: 1, acquire_timeout: 100ms}}",
        endpoints.join(", ")
    );
    let url = "http://service.example";
    let sidefuse = Sidefuse::start(&config(&[route_to("r", url, &upstream, "")]));
    for _ in 0..20 {
        assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "ok");
        drop(through(&sidefuse, "service.example:80"));
        while connections(&sidefuse)["size"] != 0 {}
    }
}

//! Who gets no tunnel, and what he is told.

use std::net::TcpListener;

use serde_json::json;

use super::{asking, lines, refusal, text, through};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, config_with, route, route_to};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

fn origin() -> Origin {
    Origin::start(|_| Answer::ok("ok"))
}

#[test]
fn case_6_a_host_or_a_port_that_no_route_names_is_403_and_nothing_is_dialled() {
    let (named, foreign) = (origin(), origin());
    let mut sidefuse = Sidefuse::start(&config(&[route_to(
        "r",
        &named.url(),
        "also_hosts: [alias.example]",
        "timeout: 30s",
    )]));
    let port = named.address().port();
    let targets = [
        foreign.address().to_string(),
        format!("localhost:{port}"),
        "127.0.0.1:80".to_owned(),
        "alias.example:443".to_owned(),
        "r:80".to_owned(),
        sidefuse.proxy().to_string(),
        sidefuse.admin().to_string(),
        format!("localhost:{}", sidefuse.proxy().port()),
    ];
    for target in &targets {
        let response = refusal(&sidefuse, target);
        assert_eq!(
            (response.status(), response.header("x-sidefuse-reason")),
            (403, Some("host_not_allowed")),
            "{target}"
        );
        let detail = response.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.ends_with("; nothing was dialled"), "{detail}");
        assert_eq!(response.header("connection"), Some("close"));
    }
    for (line, target) in lines(&mut sidefuse, targets.len()).iter().zip(&targets) {
        assert_eq!(text(line, "tunnel"), Some(&**target));
        assert_eq!(text(line, "reason"), Some("host_not_allowed"));
        assert_eq!(line.get("route"), None);
    }
    assert_eq!((foreign.connections(), named.connections()), (0, 0));
}

#[test]
fn what_follows_a_connect_that_is_refused_is_never_a_request() {
    let named = origin();
    for top in ["", "http: {strict: false}"] {
        let mut sidefuse = Sidefuse::start(&config_with(top, &[route("r", &named.url(), "")]));
        let smuggled = "GET /r/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let long = "x".repeat(100_000);
        for more in [smuggled, "\x16\x03\x01\x02\0\x01", &long] {
            let mut client = asking(&sidefuse, "evil.example:443", more);
            assert_eq!(client.read().status(), 403);
            assert_eq!(client.read_to_end(), b"", "no second answer");
        }
        lines(&mut sidefuse, 3);
        assert_eq!(sidefuse.access_lines().len(), 3);
    }
    assert_eq!(named.connections(), 0);
}

#[test]
fn a_target_that_is_not_a_host_and_a_port_is_400() {
    let named = origin();
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &named.url(), "")]));
    let address = named.address();
    let targets = [
        "127.0.0.1".to_owned(),
        format!("user:canary@{address}"),
        format!("http://{address}/"),
        format!("//{address}"),
        "/r/x".to_owned(),
        "127.0.0.1:0".to_owned(),
    ];
    for target in &targets {
        let mut client = Client::connect(sidefuse.proxy());
        client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let response = client.read();
        assert_eq!(response.status(), 400, "{target}");
        let detail = response.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("`host:port`"), "{target}: {detail}");
        assert_eq!(client.read_to_end(), b"");
    }
    lines(&mut sidefuse, targets.len());
    assert!(!sidefuse.process().stdout().contains("canary"));
    assert_eq!(named.connections(), 0);
}

#[test]
fn a_connect_with_a_body_is_400_and_one_that_says_it_has_none_is_not() {
    let named = origin();
    let sidefuse = Sidefuse::start(&config(&[route("r", &named.url(), "")]));
    let address = named.address();
    let ask = |fields: &str| {
        let mut client = Client::connect(sidefuse.proxy());
        client.send(format!(
            "CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n"
        ));
        client
    };
    for fields in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n",
    ] {
        let response = ask(fields).read();
        assert_eq!(response.status(), 400, "{fields}");
        let detail = response.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("CONNECT has no body"), "{detail}");
    }
    assert_eq!(named.connections(), 0);
    let head = ask("Content-Length: 0\r\n").read_head().unwrap();
    assert_eq!(head.status(), 200);
}

#[test]
fn a_host_of_two_routes_is_told_to_be_ambiguous_until_a_match_decides() {
    let named = origin();
    let of = |settings: &str| {
        config(&[
            route("a", &named.url(), settings),
            route("b", &named.url(), ""),
        ])
    };
    let target = named.address().to_string();
    let sidefuse = Sidefuse::start(&of(""));
    let response = refusal(&sidefuse, &target);
    assert_eq!(response.status(), 404);
    let detail = response.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("(a, b)"), "{detail}");
    assert_eq!(named.connections(), 0);
    let mut sidefuse = Sidefuse::start(&of("match: {host: 127.0.0.1}"));
    drop(through(&sidefuse, &target));
    assert_eq!(text(&lines(&mut sidefuse, 1)[0], "route"), Some("a"));
}

#[test]
fn an_open_breaker_refuses_tunnels_as_it_refuses_calls() {
    let named = origin();
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &named.url(), "")]));
    let order = json!({"reason": "a test"});
    let path = "/circuit-breakers/r/open";
    assert_eq!(client::post(sidefuse.admin(), path, &order).status(), 200);
    let response = refusal(&sidefuse, &named.address().to_string());
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (503, Some("forced_open"))
    );
    assert_eq!(response.json()["route"], "r");
    let line = &lines(&mut sidefuse, 1)[0];
    assert_eq!(text(line, "breakerState"), Some("open"));
    assert_eq!(text(line, "msg"), Some("Request refused"));
    assert_eq!(named.connections(), 0);
}

#[test]
fn a_port_at_which_nobody_listens_is_502_and_opens_the_breaker() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let url = format!("http://{address}");
    let breaker = "breaker: {failure_threshold: 2}, retry: {attempts: 3}";
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &url, breaker)]));
    let reasons = [0; 3].map(|_| {
        let response = refusal(&sidefuse, &address);
        let reason = response.header("x-sidefuse-reason").unwrap().to_owned();
        (response.status(), reason)
    });
    let expected = [(502, "connect"), (502, "connect"), (503, "circuit_open")];
    assert_eq!(
        reasons,
        expected.map(|(status, reason)| (status, reason.to_owned()))
    );
    let lines = lines(&mut sidefuse, 3);
    let attempts = [0, 1, 2].map(|at: usize| lines[at]["attempts"].as_u64().unwrap());
    assert_eq!(
        attempts,
        [1, 1, 0],
        "nothing is retried in a tunnel's place"
    );
}

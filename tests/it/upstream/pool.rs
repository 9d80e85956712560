//! The connections: which one, how many, how long.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidefuse::time::{Deadline, now};

use super::{begin, sidefuse_to, text};
use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, config_with, route_to};
use crate::support::gate::{Gate, let_pass};
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// It answers once the gate is open.
fn origin_behind(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |_| {
        Answer::script()
            .pass(&gate)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    })
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
    let sidefuse = sidefuse_to(&origin.url(), "http: 1", "timeout: 30s");
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
    let origin = origin_behind(&gate);
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
        &origin.url(),
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
    let origin = origin_behind(&gate);
    let sidefuse = sidefuse_to(
        &origin.url(),
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
    let sidefuse = sidefuse_to(&origin.url(), "pool: {min: 3}", "timeout: 30s");
    origin.wait_for_connections(3);
    assert_eq!(client::get(sidefuse.proxy(), "/r/").text(), "fine");
    assert_eq!(origin.connections(), 3);
}

#[test]
fn connections_in_use_count_towards_min() {
    let gate = Gate::closed();
    let origin = origin_behind(&gate);
    let sidefuse = sidefuse_to(
        &origin.url(),
        "pool: {min: 1, evict_every: 20ms}",
        "timeout: 30s",
    );
    let mut caller = begin(&sidefuse, "/r/held");
    origin.wait_for_requests(1);
    let before = origin.connections();
    // Time for many a look, in which nothing may be opened. The caller may have come before the connection that was opened ahead.
    let_pass(Duration::from_millis(300));
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
fn a_connection_of_http2_is_in_use_while_it_has_a_call_and_available_without() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let holding = Arc::clone(&held);
    let origin = Http2Origin::start(move |stream| {
        holding.lock().unwrap().push(stream.respond);
        Then::Serve
    });
    let sidefuse = sidefuse_to(&origin.url(), "http: 2", "timeout: 30s");
    let pool = || {
        let breaker: Value = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
        ["size", "available", "using"].map(|key| breaker["pool"][key].as_u64().unwrap())
    };
    let wait_for = |what: &str, is_seen: &dyn Fn() -> bool| {
        let patience = Deadline::after(now(), PATIENCE);
        while !is_seen() {
            assert!(!patience.has_passed(now()), "{what}: {:?}", pool());
            let_pass(Duration::from_millis(1));
        }
    };
    for _ in 0..2 {
        let mut callers = [begin(&sidefuse, "/r/one"), begin(&sidefuse, "/r/two")];
        wait_for("both came", &|| held.lock().unwrap().len() == callers.len());
        assert_eq!(pool(), [1, 0, 1]);
        for respond in held.lock().unwrap().drain(..) {
            http2::ok(respond, "");
        }
        for caller in &mut callers {
            assert_eq!(caller.read().status(), 200);
        }
        wait_for("no call is left", &|| pool() == [1, 1, 0]);
    }
}

//! What a reload leaves as it was: state, connections, calls in flight.

use std::fs::{self};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::{
    breaker, config, idle, is_reload, reload, revision, setting, wait_applied, wait_refused,
    with_listen,
};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::gate::Gate;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal};
use crate::support::traffic::Traffic;

#[test]
fn there_and_back_again_resets_no_state_case_151() {
    let origin = Origin::start(|_| Answer::status(500, &[], ""));
    let here = config(&[&format!(
        "crm: {{upstream: \"{}\", breaker: {{failure_threshold: 2, reset_timeout: 10m}}}}",
        origin.url()
    )]);
    let there = here.replace("10m", "20m");
    let sidefuse = Sidefuse::start(&here);
    for _ in 0..2 {
        client::get(sidefuse.proxy(), "/crm/x");
    }
    let before = breaker(&sidefuse, "crm");
    assert_eq!(before["state"], "open");
    for _ in 0..20 {
        sidefuse.write_config(&there);
        sidefuse.write_config(&here);
    }
    let answer = reload(&sidefuse);
    assert_eq!(answer["revision"], *revision(&here));
    let after = breaker(&sidefuse, "crm");
    assert_eq!(
        (&after["state"], &after["since"]),
        (&before["state"], &before["since"])
    );
    assert_eq!(after["nextProbeAt"], before["nextProbeAt"]);
}

#[test]
fn a_surviving_route_keeps_its_state_and_a_removed_one_leaves_nothing_case_152() {
    let origin = Origin::start(|request| match request.head.target() {
        "/fail" => Answer::status(500, &[], ""),
        _ => Answer::ok("fine"),
    });
    let crm = |threshold: u32| {
        format!(
            "crm: {{upstream: \"{}\", breaker: {{failure_threshold: {threshold}, reset_timeout: 10m}}}}",
            origin.url()
        )
    };
    let new = format!("fresh: {{upstream: \"{}\"}}", origin.url());
    let mut sidefuse = Sidefuse::start(&config(&[&crm(2), &idle("gone")]));
    for _ in 0..2 {
        client::get(sidefuse.proxy(), "/crm/fail");
    }
    let before = breaker(&sidefuse, "crm");
    assert_eq!(before["state"], "open");
    assert!(Metrics::of(sidefuse.health()).mentions("\"gone\""));

    let unchanged = config(&[&crm(2), &new]);
    sidefuse.write_config(&unchanged);
    let line = wait_applied(&mut sidefuse, &unchanged);
    assert_eq!(line["changes"], "+1 ~0 -1 routes");
    assert_eq!(breaker(&sidefuse, "crm")["since"], before["since"]);
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 503);
    let metrics = Metrics::of(sidefuse.health());
    assert!(!metrics.mentions("\"gone\""), "an orphan series");
    assert_eq!(
        metrics.value("sidefuse_breaker_state{breaker=\"fresh\",state=\"closed\"}"),
        Some(1.0)
    );
    assert_eq!(client::get(sidefuse.proxy(), "/fresh/x").text(), "fine");
    assert_eq!(client::get(sidefuse.proxy(), "/gone/x").status(), 404);
    assert_eq!(
        client::get(sidefuse.admin(), "/circuit-breakers/gone").status(),
        404
    );

    let changed = config(&[&crm(7), &new]);
    sidefuse.write_config(&changed);
    wait_applied(&mut sidefuse, &changed);
    let after = breaker(&sidefuse, "crm");
    assert_eq!(
        (&after["state"], &after["since"]),
        (&before["state"], &before["since"])
    );
    let threshold = setting(&after, "breaker.failure_threshold");
    assert_eq!(threshold["value"], 7, "{after}");
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 503);
}

#[test]
fn the_line_of_a_reload_says_what_was_kept_what_migrated_and_what_began_anew() {
    let route = |name: &str, port: u16, settings: &str| {
        format!("{name}: {{upstream: \"http://127.0.0.1:{port}\"{settings}}}")
    };
    let by_keys = |key: &str| {
        format!(
            ", breaker: {{key: {{header: {key}}}}}, limits: {{rate: {{per_second: 5, key: {{header: {key}}}}}}}"
        )
    };
    let before = config(&[
        &route("same", 1, ""),
        &route("timed", 1, ", timeout: 1s"),
        &route("window", 1, ", breaker: {window: {calls: 50}}"),
        &route("moved", 1, ""),
        &route("keyed", 1, &by_keys("X-Tenant")),
        &route("kept", 1, ", fallback: {stale: {max_age: 1h}}"),
        &route("gone", 1, ""),
    ]);
    let after = config(&[
        &route("same", 1, ""),
        &route("timed", 1, ", timeout: 2s"),
        &route("window", 1, ", breaker: {window: {calls: 60}}"),
        &route("moved", 2, ", breaker: {window: {time: 10s}}"),
        &route("keyed", 1, &by_keys("X-Customer")),
        &route("kept", 1, ", fallback: {stale: {max_age: 2h}}"),
        &route("new", 1, ""),
        &route("newer", 1, ""),
    ]);
    let mut sidefuse = Sidefuse::start(&before);
    sidefuse.write_config(&after);
    let line = wait_applied(&mut sidefuse, &after);
    assert_eq!(line["changes"], "+2 ~5 -1 routes");
    assert_eq!((&line["kept"], &line["migrated"]), (&1.into(), &1.into()));
    assert_eq!(
        line["reset"],
        "kept (kept answers), keyed (breakers of keys, rates), moved (breaker window, connections), window (breaker window)"
    );
}

#[test]
fn listeners_come_move_and_go_while_their_connections_live_on_case_154() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let route = format!("crm: {{upstream: \"{}\"}}", origin.url());
    let mut sidefuse = Sidefuse::start(&config(&[&route]));
    let old = sidefuse.proxy();
    let mut kept = Client::connect(old);
    assert_eq!(kept.get("/crm/1").text(), "fine");

    let proxies = |line: &Value| -> Vec<SocketAddr> {
        let list = line["proxy"].as_str().unwrap().split(',');
        list.map(|address| address.parse().unwrap()).collect()
    };
    let two = with_listen(
        "{proxy: [127.0.0.1:0, 127.0.0.42:0], admin: 127.0.0.1:0, health: off}",
        &[&route],
    );
    sidefuse.write_config(&two);
    let line = wait_applied(&mut sidefuse, &two);
    let [same, other] = proxies(&line)[..] else {
        panic!("{line}")
    };
    assert_eq!(same, old);
    for address in [same, other] {
        assert_eq!(client::get(address, "/crm/2").text(), "fine");
    }
    TcpStream::connect(sidefuse.health()).expect_err("the health listener went");

    let moved = with_listen(
        "{proxy: 127.0.0.42:0, admin: 127.0.0.1:0, health: off}",
        &[&route],
    );
    sidefuse.write_config(&moved);
    let line = wait_applied(&mut sidefuse, &moved);
    assert_eq!(proxies(&line), [other]);
    assert_eq!(client::get(other, "/crm/3").text(), "fine");
    TcpStream::connect(old).expect_err("nobody listens there any more");
    assert_eq!(
        kept.get("/crm/4").text(),
        "fine",
        "what it accepted lives on"
    );
}

#[test]
fn reloads_under_traffic_fail_no_request_and_those_in_flight_finish_as_they_began_case_149() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| match request.head.target() {
        "/held" => Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold"),
        _ => Answer::ok("fine"),
    });
    let crm = |round: usize| {
        // Another breaker, another upstream, another timeout: everything of the route is made anew.
        format!(
            "crm: {{upstream: {{url: \"{}\", pool: {{max: {}}}}}, timeout: {}s, breaker: {{failure_threshold: {}}}}}",
            origin.url(),
            64 + round,
            20 + round,
            5 + round
        )
    };
    let old = format!("old: {{upstream: \"{}\"}}", origin.url());
    let mut sidefuse = Sidefuse::start(&config(&[&crm(0), &old]));
    let mut in_flight = Client::connect(sidefuse.proxy());
    in_flight.send("GET /old/held HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.wait_for_requests(1);

    let traffic = Traffic::start(sidefuse.proxy(), 4, "/crm/x");
    for round in 1..=20 {
        traffic.wait_for_more(8);
        sidefuse.write_config(&config(&[&crm(round)]));
        let answer = reload(&sidefuse);
        assert_eq!(
            answer["revision"],
            *revision(&config(&[&crm(round)])),
            "{answer}"
        );
    }
    traffic.wait_for_more(8);
    assert_eq!(client::get(sidefuse.proxy(), "/old/x").status(), 404);
    gate.open();
    let response = in_flight.read();
    assert_eq!((response.status(), response.text()), (200, "old"));
    let calls = traffic.stop();

    let metrics = Metrics::of(sidefuse.health());
    let counted = metrics.value(
        "sidefuse_requests_total{route=\"crm\",method=\"GET\",code_class=\"2xx\",outcome=\"success\"}",
    );
    assert_eq!(counted, Some(calls as f64));
    sidefuse.process().signal(Signal::Term);
    assert_eq!(sidefuse.process().wait_exit(), 0);
    let lines = sidefuse.process().lines();
    let of = |route: &str| {
        lines
            .iter()
            .filter(|line| line["route"] == *route && line["statusCode"] == 200)
            .count()
    };
    assert_eq!((of("crm"), of("old")), (calls, 1));
}

#[test]
fn a_rotated_secret_is_read_again_on_demand_although_the_file_is_the_same() {
    let origin =
        Origin::start(|request| Answer::ok(request.head.header("authorization").unwrap_or("none")));
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let (secret, file) = (directory.join("token"), directory.join("sidefuse.yaml"));
        fs::write(&secret, "one\n").unwrap();
        let route = format!(
            "crm: {{upstream: \"{}\", headers: {{request: {{set: {{Authorization: {{file: \"{}\", prefix: \"Bearer \"}}}}}}}}}}",
            origin.url(),
            secret.display()
        );
        fs::write(&file, config(&[&route, &idle("other")])).unwrap();
        file
    });
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "Bearer one");
    fs::write(sidefuse.directory().join("token"), "two\n").unwrap();
    sidefuse.process().signal(Signal::Hup);
    let line = sidefuse.process().wait_for_line(is_reload);
    assert_eq!(line["changes"], "+0 ~1 -0 routes");
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "Bearer two");
    assert_eq!(reload(&sidefuse)["changed"], false);

    // A secret that is gone keeps the one in force.
    fs::remove_file(sidefuse.directory().join("token")).unwrap();
    sidefuse.process().signal(Signal::Hup);
    wait_refused(&mut sidefuse, 1);
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "Bearer two");
}

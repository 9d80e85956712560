//! What the system gives a process is bounded: running out of it ends nothing and accuses nobody.

use std::process::Command;

use serde_json::json;

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, route};
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal, write_whole};

const DESCRIPTORS: usize = 60;

/// More callers than descriptors that are for them.
const CALLERS: usize = 48;

/// Runs it with what the shell's `ulimit` sets.
fn start_with(limit: &str, config: &str) -> Sidefuse {
    let furnish = |directory: &std::path::Path| {
        let path = directory.join("sidefuse.yaml");
        write_whole(&path, config);
        path
    };
    let wrap = |plain: Command, _: &std::path::Path| {
        let mut limited = command_like(&plain, "sh");
        limited.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"]);
        limited.arg(plain.get_program()).args(plain.get_args());
        Some(limited)
    };
    Sidefuse::start_as(furnish, wrap).unwrap()
}

/// Another program in the environment that a command would have.
fn command_like(plain: &Command, program: &str) -> Command {
    let mut other = Command::new(program);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

#[test]
fn a_call_that_finds_no_descriptor_left_is_refused_by_that_name_and_no_breaker_counts_it() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let settings = "breaker: {failure_threshold: 1}, retry: {attempts: 3}";
    let sidefuse = start_with(
        &format!("-n {DESCRIPTORS}"),
        &config(&[route("r", &origin.url(), settings)]),
    );
    let mut callers: Vec<Client> = (0..CALLERS)
        .map(|_| Client::connect(sidefuse.proxy()))
        .collect();
    let told = sidefuse.event("Cannot accept connections; trying on");
    assert!(told["remedy"].as_str().unwrap().contains("LimitNOFILE"));
    // Callers get half of what there is. Of those who came too late the first are told so; of a crowd the rest is closed.
    let told = callers[CALLERS / 2..].iter_mut().any(|late| {
        let said = late.read_to_end();
        String::from_utf8_lossy(&said).contains("x-sidefuse-reason: exhausted")
    });
    assert!(told);
    // An operator and a health check find room, and so does a reload.
    let breaker = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    assert_eq!(breaker["state"], "closed", "{breaker}");
    assert_eq!(client::get(sidefuse.health(), "/readyz").status(), 200);

    let refused = callers[0].get("/r/refused");
    assert_eq!(refused.status(), 503, "{}", refused.text());
    assert_eq!(
        refused.header("x-sidefuse-reason"),
        Some("exhausted"),
        "{}",
        refused.text()
    );
    let detail = refused.json()["detail"].to_string();
    assert!(detail.contains("no descriptor"), "{detail}");
    let told = sidefuse.event(
        "No connection can be opened for want of our own; calls are refused, and no breaker counts that",
    );
    assert!(
        told["shortage"] == "descriptors"
            && told["remedy"].as_str().unwrap().contains("LimitNOFILE"),
        "{told}"
    );

    drop(callers);
    let line = sidefuse.access_line("/r/refused");
    assert_eq!(
        (&line["outcome"], &line["reason"]),
        (&json!("ignored"), &json!("exhausted")),
        "{line}"
    );
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "fine");
    let breaker = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    assert_eq!(breaker["state"], "closed", "{breaker}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn callers_who_say_nothing_keep_nobody_waiting_where_descriptors_are_few() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let sidefuse = start_with(
        "-n 128",
        &config(&[route("r", &origin.url(), "timeout: 30s")]),
    );
    let silent: Vec<Client> = (0..300)
        .map(|_| Client::connect(sidefuse.proxy()))
        .collect();
    let told = sidefuse.event(
        "Callers have all the connections that the limit of open files leaves them; one that is not in use makes way for a new one, else that is refused",
    );
    assert!(told["remedy"].as_str().unwrap().contains("LimitNOFILE"));
    // Each new one is served, refused or closed: served once it has the place of one that has said nothing for a second.
    let is_served = || {
        let mut caller = Client::connect(sidefuse.proxy());
        caller
            .try_send("GET /r/x HTTP/1.1\r\nHost: x\r\n\r\n")
            .is_ok()
            && caller.try_read().is_ok_and(|said| said.text() == "fine")
    };
    while !is_served() {}
    drop(silent);
}

#[test]
fn who_says_nothing_to_the_operators_ports_leaves_descriptors_for_callers_and_operators_case_178() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let sidefuse = start_with(
        "-n 128",
        &config(&[route("r", &origin.url(), "timeout: 30s")]),
    );
    let mut silent = Vec::new();
    for port in [sidefuse.admin(), sidefuse.health()] {
        silent.extend((0..100).map(|_| Client::connect(port)));
        assert_eq!(client::get(port, "/readyz").status(), 200);
    }
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "fine");
    drop(silent);
}

#[test]
fn a_file_that_may_not_grow_any_more_ends_nothing() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let mut sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), "timeout: 30s")]));
    // What the system sends with the error when the log on standard output has reached `ulimit -f`.
    sidefuse.process().signal(Signal::FileSize);
    assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "fine");
    sidefuse.process().signal(Signal::Term);
    assert_eq!(sidefuse.process().wait_exit(), 0);
}

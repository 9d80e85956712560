//! What breakers know outlives their process, however it ended.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sidefuse::resilience::Memory;
use sidefuse::time::{now, wall};

use crate::support::answer::Answer;
use crate::support::client;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal};

fn failing() -> Origin {
    Origin::start(|_| Answer::status(500, &[], ""))
}

fn config(origin: &Origin, directory: &Path, more: &str) -> String {
    let file = directory.join("state");
    let listen = "listen: {proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}";
    format!(
        "version: 1\n{listen}\nstate_file: {}\n{more}\nroutes:\n  crm: {{upstream: \"{}\", breaker: {{failure_threshold: 1, reset_timeout: 10m}}}}\n",
        file.display(),
        origin.url()
    )
}

fn writes(sidefuse: &Sidefuse, result: &str) -> f64 {
    let series = format!("sidefuse_state_file_writes_total{{result=\"{result}\"}}");
    Metrics::of(sidefuse.health()).value(&series).unwrap()
}

/// Waits until what happened before is in the file: of the next two writes the second began after it.
fn wait_written(sidefuse: &Sidefuse, directory: &Path, what: &str) {
    let file = directory.join("state");
    while !fs::read_to_string(&file).is_ok_and(|text| text.contains(what)) {
        assert_eq!(writes(sidefuse, "failed"), 0.0);
    }
}

fn post(sidefuse: &Sidefuse, order: &str, body: &serde_json::Value) {
    let path = format!("/circuit-breakers/crm/{order}");
    assert_eq!(client::post(sidefuse.admin(), &path, body).status(), 200);
}

fn shown(sidefuse: &Sidefuse) -> serde_json::Value {
    client::get(sidefuse.admin(), "/circuit-breakers/crm").json()
}

#[test]
fn an_open_breaker_is_open_after_a_kill_with_the_rest_of_its_time_and_its_reasons_case_200() {
    let (origin, directory) = (failing(), tempfile::tempdir().unwrap());
    let config = config(&origin, directory.path(), "");
    let mut first = Sidefuse::start(&config);
    assert_eq!(client::get(first.proxy(), "/crm/x").status(), 500);
    wait_written(&first, directory.path(), "\"open\"");
    let before = shown(&first);
    first.process().kill();

    let second = Sidefuse::start(&config);
    let event = second.event("State resumed");
    assert_eq!(event["breakers"], 1, "{event}");
    let answer = client::get(second.proxy(), "/crm/x");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("x-sidefuse-reason"), Some("circuit_open"));
    assert_eq!(origin.requests().len(), 1, "the upstream is left alone");
    let after = shown(&second);
    let sentence = after["explanation"].as_str().unwrap();
    assert!(
        sentence.contains("because 1 call failed (1 status 500)"),
        "{sentence}"
    );
    assert!(sentence.contains("resumed after a restart"), "{sentence}");
    assert_eq!(
        after["lastFailure"]["correlationId"],
        before["lastFailure"]["correlationId"]
    );
    let gauge = "sidefuse_breaker_state{breaker=\"crm\",state=\"open\"}";
    assert_eq!(Metrics::of(second.health()).value(gauge), Some(1.0));
}

#[test]
fn a_breaker_that_flaps_costs_a_write_a_second_and_the_file_is_whole_at_every_moment() {
    let (origin, directory) = (failing(), tempfile::tempdir().unwrap());
    let begin = now();
    let sidefuse = Sidefuse::start(&config(&origin, directory.path(), ""));
    wait_written(&sidefuse, directory.path(), "sidefuse state");
    for _ in 0..200 {
        post(&sidefuse, "open", &json!({"reason": "INC-1"}));
        post(&sidefuse, "auto", &json!({}));
        let content = fs::read(directory.path().join("state")).unwrap();
        assert!(Memory::decode(&content).is_ok());
    }
    post(&sidefuse, "open", &json!({"reason": "INC-2"}));
    wait_written(&sidefuse, directory.path(), "INC-2");
    let most = now().saturating_duration_since(begin).as_secs() + 1;
    let written = writes(&sidefuse, "written");
    assert!(written <= most as f64, "{written} writes in {most} s");
    let drafts = fs::read_dir(directory.path()).unwrap().count();
    assert!(drafts <= 2, "{drafts} files");
}

#[test]
fn a_hold_and_its_end_outlive_an_orderly_end() {
    let (origin, directory) = (failing(), tempfile::tempdir().unwrap());
    let config = config(&origin, directory.path(), "");
    let mut first = Sidefuse::start(&config);
    post(&first, "open", &json!({"reason": "INC-1", "for": "1h"}));
    first.process().signal(Signal::Term);
    assert_eq!(first.process().wait_exit(), 0);

    let second = Sidefuse::start(&config);
    let after = shown(&second);
    assert_eq!(
        (&after["mode"], &after["reason"], &after["by"]),
        (&json!("forced_open"), &json!("INC-1"), &json!("loopback"))
    );
    assert!(after["until"].is_string(), "{after}");
    // What is good again is forgotten by the file as well.
    post(&second, "clear", &json!({}));
    wait_written(&second, directory.path(), "\"routes\":{}");
}

#[test]
fn open_breakers_of_keys_and_pauses_outlive_a_kill() {
    let origin = Origin::start(|request| match request.head.header("x-tenant-id") {
        Some("bad") => Answer::status(500, &[], ""),
        Some("greedy") => Answer::status(429, &[("Retry-After", "600")], ""),
        _ => Answer::ok("fine"),
    });
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}}\nstate_file: {}\nroutes:\n  \
         crm: {{upstream: \"{url}\", breaker: {{failure_threshold: 3, key: {{header: X-Tenant-ID}}, reset_timeout: 10m}}}}\n  \
         slow: {{upstream: \"{url}\"}}\n",
        directory.path().join("state").display(),
        url = origin.url()
    );
    let ask = |sidefuse: &Sidefuse, path: &str, tenant: &str| {
        let fields = [("X-Tenant-ID", tenant)];
        let mut client = client::Client::connect(sidefuse.proxy());
        client.request("GET", path, &fields, "")
    };
    let mut first = Sidefuse::start(&config);
    for (tenant, status) in [
        ("bad", 500),
        ("good", 200),
        ("bad", 500),
        ("good", 200),
        ("bad", 500),
    ] {
        assert_eq!(ask(&first, "/crm/x", tenant).status(), status);
    }
    assert_eq!(ask(&first, "/slow/x", "greedy").status(), 429);
    wait_written(&first, directory.path(), "\"keyed\"");
    wait_written(&first, directory.path(), "\"pauses\"");
    first.process().kill();

    let second = Sidefuse::start(&config);
    let event = second.event("State resumed");
    assert_eq!((&event["keys"], &event["pauses"]), (&json!(1), &json!(1)));
    let before = origin.requests().len();
    let refused = ask(&second, "/crm/x", "bad");
    assert_eq!(refused.header("x-sidefuse-reason"), Some("circuit_open"));
    let paused = ask(&second, "/slow/x", "good");
    assert_eq!(paused.header("x-sidefuse-reason"), Some("throttled"));
    let retry_after: u64 = paused.header("retry-after").unwrap().parse().unwrap();
    assert!(
        (1..=300).contains(&retry_after),
        "{retry_after}: max is 5 min"
    );
    assert_eq!(
        origin.requests().len(),
        before,
        "the upstream is left alone"
    );
    assert_eq!(ask(&second, "/crm/x", "good").status(), 200);
}

#[test]
fn keys_are_forgotten_when_another_part_of_a_request_is_the_key() {
    let (origin, directory) = (failing(), tempfile::tempdir().unwrap());
    let keyed = |by: &str| {
        config(&origin, directory.path(), "").replace(
            "failure_threshold: 1",
            &format!("failure_threshold: 1, key: {by}"),
        )
    };
    let mut first = Sidefuse::start(&keyed("{header: X-Tenant-ID}"));
    let body = json!({"key": "tenant-1", "for": "1h"});
    post(&first, "open", &body);
    first.process().signal(Signal::Term);
    assert_eq!(first.process().wait_exit(), 0);
    let mut second = Sidefuse::start(&keyed("{header: X-Tenant-ID}"));
    assert_eq!(second.event("State resumed")["keys"], 1);
    assert_eq!(shown(&second)["keys"]["open"], 1);
    second.process().signal(Signal::Term);
    assert_eq!(second.process().wait_exit(), 0);
    let third = Sidefuse::start(&keyed("{path_segment: 1}"));
    assert_eq!(third.event("State resumed")["keys"], 0);
    assert_eq!(shown(&third)["keys"]["total"], 0);
}

#[test]
fn an_override_that_an_operator_dropped_is_not_obeyed_again_after_a_restart() {
    let (origin, directory) = (failing(), tempfile::tempdir().unwrap());
    let held = "overrides: {crm: {force: open, reason: INC-2}}";
    let mut first = Sidefuse::start(&config(&origin, directory.path(), held));
    assert_eq!(shown(&first)["mode"], "forced_open");
    post(&first, "auto", &json!({}));
    first.process().signal(Signal::Term);
    assert_eq!(first.process().wait_exit(), 0);

    let mut second = Sidefuse::start(&config(&origin, directory.path(), held));
    assert_eq!(shown(&second)["mode"], "auto");
    post(&second, "auto", &json!({}));
    second.process().signal(Signal::Term);
    assert_eq!(second.process().wait_exit(), 0);

    // Changed, it is a new order; and one that went while nobody ran takes its hold along.
    let changed = "overrides: {crm: {force: open, reason: INC-3}}";
    let mut third = Sidefuse::start(&config(&origin, directory.path(), changed));
    assert_eq!(shown(&third)["mode"], "forced_open");
    third.process().signal(Signal::Term);
    assert_eq!(third.process().wait_exit(), 0);
    let fourth = Sidefuse::start(&config(&origin, directory.path(), ""));
    assert_eq!(shown(&fourth)["mode"], "auto");
}

#[test]
fn a_file_that_cannot_be_used_is_passed_over_with_a_warning_and_written_anew() {
    let (origin, directory) = (failing(), tempfile::tempdir().unwrap());
    let file = directory.path().join("state");
    let hours = Duration::from_secs(3600 * 2);
    let old = Memory::new(wall() - hours, BTreeMap::new()).encode();
    let whole = Memory::new(wall(), BTreeMap::new()).encode();
    let newer = whole.replacen("state 2", "state 3", 1);
    let cut = &whole[..whole.len() - 5];
    let broken = whole.replacen("sidefuse state", "\u{1}garbage", 1);
    for (content, why) in [
        (
            old.as_str(),
            "it was saved 7200s ago, and `state_max_age` is 3600s",
        ),
        (newer.as_str(), "its format is version 3"),
        (cut, "it is damaged"),
        ("", "it is no state file"),
        (&*"\0".repeat(9_000), "it is no state file"),
        (&broken, "it is no state file"),
    ] {
        fs::write(&file, content).unwrap();
        let mut sidefuse = Sidefuse::start(&config(&origin, directory.path(), ""));
        let event = sidefuse.event("State file passed over; every breaker begins closed");
        assert!(event["error"].as_str().unwrap().contains(why), "{event}");
        assert_eq!(event["level"], "warn");
        assert_eq!(shown(&sidefuse)["state"], "closed");
        sidefuse.process().signal(Signal::Term);
        assert_eq!(sidefuse.process().wait_exit(), 0);
        let written = fs::read(&file).unwrap();
        assert!(Memory::decode(&written).is_ok(), "{why}");
    }
    let aside = fs::read_to_string(directory.path().join("state.newer"));
    assert_eq!(aside.unwrap(), newer, "what a newer version saved is kept");
    let aside = fs::read_to_string(directory.path().join("state.broken"));
    assert_eq!(
        aside.unwrap(),
        broken,
        "and so is one of ours that was broken"
    );
}

#[test]
fn what_another_program_wrote_stays_and_is_said_to_be_in_the_way() {
    let (origin, directory) = (failing(), tempfile::tempdir().unwrap());
    let file = directory.path().join("state");
    for content in ["root:x:0:0:root:/root:/bin/sh\n", "PNG\u{0}"] {
        fs::write(&file, content).unwrap();
        let mut sidefuse = Sidefuse::start(&config(&origin, directory.path(), ""));
        let event = sidefuse.event(
            "State file cannot be written; a restart would forget the state of the breakers",
        );
        let error = event["error"].as_str().unwrap();
        assert!(error.contains("is left alone"), "{event}");
        assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 500);
        sidefuse.process().signal(Signal::Term);
        assert_eq!(sidefuse.process().wait_exit(), 0);
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}

#[test]
fn a_disk_that_takes_nothing_costs_the_file_and_no_call() {
    let (origin, parent) = (failing(), tempfile::tempdir().unwrap());
    let directory = parent.path().join("volume");
    fs::create_dir(&directory).unwrap();
    let sidefuse = Sidefuse::start(&config(&origin, &directory, ""));
    // Its first write would put a file into the directory that is being removed.
    wait_written(&sidefuse, &directory, "sidefuse state");
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 500);
    let event = sidefuse
        .event("State file cannot be written; a restart would forget the state of the breakers");
    assert_eq!(event["level"], "warn");
    assert!(writes(&sidefuse, "failed") >= 1.0);
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 503);
    // It comes back by itself.
    fs::create_dir(&directory).unwrap();
    post(&sidefuse, "clear", &json!({}));
    sidefuse.event("State file is written again");
}

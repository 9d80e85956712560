//! `/metrics`: whole from the first scrape on, and in the words that Prometheus takes.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sidefuse::telemetry::names::{ALL, Kind};

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, route};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;
use crate::support::tools::tool;

/// Routes to one origin that answers with the status in the path; `frail` opens at the second failure, `spare` keeps answers.
fn start(origin: &Origin) -> Sidefuse {
    let url = origin.url();
    Sidefuse::start(&config(&[
        route(
            "crm",
            &url,
            "timeout: 5s, breaker: {ramp: {}, key: {header: X-Tenant-ID}}, shadow: {strict: {failure_threshold: 2}}, probe: {path: /200, every: 24h}, limits: {concurrency: {max: 100, queue: 1}}",
        ),
        route("frail", &url, "breaker: {failure_threshold: 2}"),
        route(
            "spare",
            &url,
            "retry: {attempts: 2}, fallback: {stale: {coalesce: true}}",
        ),
    ]))
}

fn origin() -> Origin {
    Origin::start(|request| {
        let status = request.head.target().trim_start_matches('/').parse();
        Answer::status(status.unwrap(), &[], "")
    })
}

/// Calls of every usual ending: relayed, failed, refused by a breaker, by an operator, and by the router.
fn live(sidefuse: &mut Sidefuse) {
    let mut client = Client::connect(sidefuse.proxy());
    for (target, status) in [
        ("/crm/200", 200),
        ("/crm/404", 404),
        ("/frail/500", 500),
        ("/frail/500", 500),
        ("/frail/200", 503),
        ("/nowhere", 404),
    ] {
        assert_eq!(client.get(target).status(), status, "{target}");
    }
    let order = |verb: &str| {
        let path = format!("/circuit-breakers/crm/{verb}");
        assert_eq!(
            client::post(sidefuse.admin(), &path, &json!({})).status(),
            200
        );
    };
    order("open");
    assert_eq!(client.get("/crm/200").status(), 503);
    order("auto");
    assert_eq!(client.get("/crm/200").status(), 200);
    ended(sidefuse, 8);
}

/// Waits until that many calls have ended, which is after their callers have the answers, and are counted.
fn ended(sidefuse: &mut Sidefuse, count: usize) {
    let is_access = |line: &Value| line.get("requestMethod").is_some();
    sidefuse.process().wait_for_lines(count, is_access);
}

/// What `promtool check metrics` says; empty when it has nothing to say.
fn promtool(metrics: &Metrics) -> String {
    let mut process = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(metrics.text().as_bytes()).unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn promtool_finds_nothing_to_say_before_and_after_traffic_case_192() {
    let origin = origin();
    let mut sidefuse = start(&origin);
    assert_eq!(promtool(&Metrics::of(sidefuse.health())), "");
    live(&mut sidefuse);
    assert_eq!(promtool(&Metrics::of(sidefuse.health())), "");
    assert_eq!(promtool(&Metrics::of(sidefuse.admin())), "");
}

#[test]
fn every_metric_is_told_at_the_first_scrape_and_every_counter_of_calls_at_0() {
    let origin = origin();
    let sidefuse = start(&origin);
    let first = Metrics::of(sidefuse.health());
    for family in ALL {
        let name = family.name;
        assert!(first.text().contains(&format!("# TYPE {name} ")), "{name}");
        let is_there = first
            .series()
            .iter()
            .any(|series| series.split('{').next() == Some(name));
        // The buckets of what never happened would be most of the text.
        assert!(is_there || family.kind == Kind::Histogram, "{name}");
        if family.kind == Kind::Counter && name.starts_with("sidefuse_") {
            assert_eq!(first.sum(name), 0.0, "{name}");
        }
    }
}

#[test]
fn no_usual_call_brings_a_counter_that_was_not_there() {
    let origin = origin();
    let mut sidefuse = start(&origin);
    let before = Metrics::of(sidefuse.health());
    live(&mut sidefuse);
    let after = Metrics::of(sidefuse.health());
    let counters = |metrics: &Metrics| -> BTreeSet<String> {
        let is_bucket = |series: &&&str| {
            let name = series.split('{').next().unwrap();
            let parts = ["_bucket", "_sum", "_count"];
            parts.iter().any(|part| name.ends_with(part))
        };
        let series = metrics.series();
        let counters = series.iter().filter(|series| !is_bucket(series));
        counters.map(|series| (*series).to_owned()).collect()
    };
    assert_eq!(counters(&before), counters(&after));
}

#[test]
fn a_refusal_is_counted_under_its_route_or_under_none_once() {
    let origin = origin();
    let mut sidefuse = start(&origin);
    live(&mut sidefuse);
    let mut client = Client::connect(sidefuse.proxy());
    let foreign = client.request("GET", "http://elsewhere.example/", &[], "");
    assert_eq!(foreign.status(), 403);
    client.send("GARBAGE\r\n\r\n");
    assert_eq!(client.read().status(), 400);

    ended(&mut sidefuse, 10);
    let metrics = Metrics::of(sidefuse.health());
    let rejected = |route: &str, reason: &str| {
        metrics.value(&format!(
            "sidefuse_rejected_total{{route=\"{route}\",reason=\"{reason}\"}}"
        ))
    };
    for (route, reason) in [
        ("crm", "forced_open"),
        ("frail", "circuit_open"),
        ("(none)", "no_route"),
        ("(none)", "host_not_allowed"),
        ("(none)", "bad_request"),
    ] {
        assert_eq!(rejected(route, reason), Some(1.0), "{route} {reason}");
    }
    assert_eq!(metrics.sum("sidefuse_rejected_total"), 5.0);
    let requests = |route: &str, method: &str, class: &str| {
        metrics.value(&format!(
            "sidefuse_requests_total{{route=\"{route}\",method=\"{method}\",code_class=\"{class}\",outcome=\"ignored\"}}"
        ))
    };
    assert_eq!(requests("(none)", "GET", "4xx"), Some(2.0));
    assert_eq!(requests("(none)", "OTHER", "4xx"), Some(1.0));
    assert_eq!(requests("crm", "GET", "5xx"), Some(1.0));
    assert_eq!(requests("frail", "GET", "5xx"), Some(1.0));
    assert_eq!(metrics.sum("sidefuse_requests_total"), 10.0);
}

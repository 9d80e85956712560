//! What Prometheus sees of the running process.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, route};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;
use crate::support::tools::tool;

#[test]
fn promtool_finds_nothing_to_say_of_a_scrape_case_192() {
    let origin = Origin::start(|_| Answer::ok("{}"));
    let sidefuse = Sidefuse::start(&config(&[route("crm", &origin.url(), "preset: whatsapp")]));
    client::get(sidefuse.proxy(), "/crm/x");
    client::get(sidefuse.proxy(), "/nowhere");
    let scrape = client::get(sidefuse.health(), "/metrics");
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(scrape.text().as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn every_series_of_a_route_is_there_at_zero_before_its_first_call() {
    let routes = [route("crm", "http://127.0.0.1:9", "preset: whatsapp")];
    let sidefuse = Sidefuse::start(&config(&routes));
    let metrics = Metrics::of(sidefuse.health());
    for series in [
        "sidefuse_requests_total{route=\"crm\",method=\"GET\",code_class=\"2xx\",outcome=\"success\"}",
        "sidefuse_requests_total{route=\"crm\",method=\"POST\",code_class=\"5xx\",outcome=\"failure\"}",
        "sidefuse_request_duration_seconds_count{route=\"crm\",outcome=\"failure\"}",
        "sidefuse_in_flight_requests{route=\"crm\"}",
        "sidefuse_breaker_state{breaker=\"crm\",state=\"open\"}",
        "sidefuse_breaker_state{breaker=\"crm\",state=\"half_open\"}",
        "sidefuse_breaker_forced{breaker=\"crm\",mode=\"forced_open\"}",
        "sidefuse_breaker_transitions_total{breaker=\"crm\",from=\"closed\",to=\"open\",cause=\"consecutive_failures\"}",
        "sidefuse_rejected_total{route=\"crm\",reason=\"circuit_open\"}",
        "sidefuse_attempt_failures_total{route=\"crm\",reason=\"timeout\"}",
        "sidefuse_retries_total{route=\"crm\",result=\"answered\"}",
        "sidefuse_pool_connections{route=\"crm\",state=\"waiting\"}",
        "sidefuse_pool_wait_seconds_count{route=\"crm\"}",
        "sidefuse_overhead_seconds_count",
        "sidefuse_log_lines_dropped_total",
    ] {
        assert_eq!(metrics.value(series), Some(0.0), "{series}");
    }
    assert_eq!(
        metrics.value("sidefuse_breaker_state{breaker=\"crm\",state=\"closed\"}"),
        Some(1.0)
    );
    assert_eq!(
        metrics.value("sidefuse_config_last_reload_successful"),
        Some(1.0)
    );
    for process in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        assert!(
            metrics.value(process).is_some_and(|value| value >= 0.0),
            "{process}"
        );
    }
}

#[test]
fn what_the_http_library_refuses_by_itself_is_counted_too() {
    let routes = [route("crm", "http://127.0.0.1:9", "preset: whatsapp")];
    let sidefuse = Sidefuse::start(&config(&routes));
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET / HTTP/1.1\r\nBad Name: x\r\n\r\n");
    assert_eq!(client.read().status(), 400);
    client.read_to_end();
    client::get(sidefuse.proxy(), "/nowhere");
    let metrics = Metrics::of(sidefuse.health());
    assert_eq!(
        metrics.value("sidefuse_rejected_total{route=\"(none)\",reason=\"bad_request\"}"),
        Some(1.0)
    );
    assert_eq!(
        metrics.value("sidefuse_rejected_total{route=\"(none)\",reason=\"no_route\"}"),
        Some(1.0)
    );
    assert_eq!(metrics.sum("sidefuse_requests_total"), 2.0);
}

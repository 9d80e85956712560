//! The breaker over real calls: what opens it, what callers get then, how it recovers.

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::client::{self, Client, Response};
use crate::support::config::{config, route};
use crate::support::gate::{Gate, let_pass};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// Answers `/status-<code>` with that status, `/late` when the gate opens, everything else with 200.
fn scripted(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request| match request.head.target() {
        "/late" => Answer::script()
            .pass(&gate)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        "/reset" => Answer::script().reset(),
        "/truncated" => Answer::script()
            .send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
            .close(),
        target => match target.strip_prefix("/status-") {
            Some(code) => Answer::status(code.parse().unwrap(), &[], ""),
            None => Answer::ok("fine"),
        },
    })
}

fn sidefuse_to(origin: &Origin, settings: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route("r", &origin.url(), settings)]))
}

/// Calls until an answer is the upstream's: an open breaker's reset time passes when it passes.
fn until_relayed(sidefuse: &Sidefuse, path: &str) -> Response {
    loop {
        let response = client::get(sidefuse.proxy(), path);
        if response.header("x-sidefuse-reason") != Some("circuit_open") {
            return response;
        }
    }
}

fn transitions(sidefuse: &mut Sidefuse) -> Vec<String> {
    let lines = sidefuse.process().lines();
    let events = lines.iter().filter(|line| line["breaker"] == "r");
    events
        .map(|line| {
            format!(
                "{} {}",
                line["to"].as_str().unwrap(),
                line["cause"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn case_131_what_is_not_the_upstreams_doing_never_counts() {
    let gate = Gate::closed();
    let origin = scripted(&gate);
    let sidefuse = sidefuse_to(
        &origin,
        "timeout: 30s, throttle: off, breaker: {failure_threshold: 1}",
    );
    for path in [
        "/r/status-400",
        "/r/status-404",
        "/r/status-499",
        "/r/status-429",
        "/r/status-501",
        "/r/status-505",
    ] {
        let code: u16 = path.strip_prefix("/r/status-").unwrap().parse().unwrap();
        assert_eq!(client::get(sidefuse.proxy(), path).status(), code);
    }
    // A caller that leaves, before the headers.
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/late HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.wait_for_requests(7);
    drop(client);
    assert_eq!(sidefuse.access_line("/r/late")["outcome"], "ignored");
    // Refusals of our own.
    assert_eq!(
        Client::connect(sidefuse.proxy())
            .request("TRACE", "/r/", &[], "")
            .status(),
        405
    );
    assert_eq!(client::get(sidefuse.proxy(), "/nowhere").status(), 404);
    assert_eq!(client::get(sidefuse.proxy(), "/r/").text(), "fine");
    for (path, outcome) in [
        ("/r/status-404", "alive"),
        ("/r/status-429", "throttled"),
        ("/r/status-501", "alive"),
    ] {
        assert_eq!(sidefuse.access_line(path)["outcome"], outcome);
    }
    gate.open();
}

#[test]
fn case_132_every_kind_of_failure_counts_once() {
    let gate = Gate::closed();
    let origin = scripted(&gate);
    let mut sidefuse = sidefuse_to(&origin, "timeout: 200ms, breaker: {failure_threshold: 5}");
    for path in ["/r/late", "/r/reset", "/r/status-500", "/r/status-503"] {
        client::get(sidefuse.proxy(), path);
    }
    assert!(transitions(&mut sidefuse).is_empty(), "four are not five");
    let mut client = Client::connect(sidefuse.proxy());
    client.send("GET /r/truncated HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.try_read().is_err());
    let event = sidefuse.event("Circuit breaker opened");
    assert_eq!(
        (event["observed"].as_str(), event["threshold"].as_str()),
        (Some("5"), Some("5"))
    );
    assert_eq!(event["level"], "warn");
    assert_eq!(transitions(&mut sidefuse), ["open consecutive_failures"]);
    gate.open();
}

#[test]
fn case_135_an_open_breaker_answers_itself_and_nothing_reaches_the_upstream() {
    let gate = Gate::closed();
    let origin = scripted(&gate);
    let sidefuse = sidefuse_to(
        &origin,
        "timeout: 30s, breaker: {failure_threshold: 2, reset_timeout: 42s}",
    );
    for _ in 0..2 {
        assert_eq!(
            client::get(sidefuse.proxy(), "/r/status-500").header("x-sidefuse-reason"),
            None
        );
    }
    sidefuse.event("Circuit breaker opened");
    let (requests, connections) = (origin.requests().len(), origin.connections());
    let mut client = Client::connect(sidefuse.proxy());
    let response = client.request("POST", "/r/send", &[("X-Correlation-ID", "call-7")], "{}");
    assert_eq!(response.status(), 503);
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=42).contains(&wait), "{wait}");
    assert_eq!(response.header("x-sidefuse-reason"), Some("circuit_open"));
    assert_eq!(
        response.header("proxy-status"),
        Some("sidefuse; error=destination_unavailable; details=\"breaker r open\"")
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(response.header("x-correlation-id"), Some("call-7"));
    assert_eq!(response.header("x-request-id"), Some("call-7"));
    let problem = response.json();
    assert_eq!(
        problem.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "type",
            "title",
            "status",
            "detail",
            "route",
            "reason",
            "state",
            "retryAfter",
            "nextProbeAt",
            "correlationId"
        ]
    );
    assert_eq!(
        (&problem["route"], &problem["state"], &problem["retryAfter"]),
        (&Value::from("r"), &Value::from("open"), &Value::from(wait))
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("open since ") && detail.contains("2 consecutive calls failed"),
        "{detail}"
    );
    assert_eq!(
        client.get("/nowhere").status(),
        404,
        "the connection is kept, the unread body notwithstanding"
    );
    let text = Client::connect(sidefuse.proxy()).request(
        "GET",
        "/r/text",
        &[("Accept", "text/plain")],
        "",
    );
    assert!(text.text().starts_with("circuit_open: open since ") && text.text().ends_with('\n'));
    let line = sidefuse.access_line("/r/send");
    assert_eq!(
        (line["statusCode"].as_u64(), line["attempts"].as_u64()),
        (Some(503), Some(0))
    );
    assert_eq!(
        (
            &line["outcome"],
            &line["reason"],
            &line["breakerState"],
            &line["level"]
        ),
        (
            &Value::from("ignored"),
            &Value::from("circuit_open"),
            &Value::from("open"),
            &Value::from("warn")
        )
    );
    assert_eq!(
        (origin.requests().len(), origin.connections()),
        (requests, connections)
    );
}

#[test]
fn case_137_a_breaker_is_its_routes_own_even_on_the_same_host() {
    let gate = Gate::closed();
    let origin = scripted(&gate);
    let sidefuse = Sidefuse::start(&config(&[
        route(
            "a",
            &origin.url(),
            "timeout: 30s, breaker: {failure_threshold: 1}",
        ),
        route(
            "b",
            &origin.url(),
            "timeout: 30s, breaker: {failure_threshold: 1}",
        ),
    ]));
    assert_eq!(client::get(sidefuse.proxy(), "/a/status-500").status(), 500);
    assert_eq!(client::get(sidefuse.proxy(), "/a/").status(), 503);
    assert_eq!(client::get(sidefuse.proxy(), "/b/").text(), "fine");
}

#[test]
fn probes_that_succeed_close_it_and_one_that_fails_reopens_it() {
    let gate = Gate::closed();
    let origin = scripted(&gate);
    let mut sidefuse = sidefuse_to(
        &origin,
        "timeout: 30s, breaker: {failure_threshold: 1, success_threshold: 2, reset_timeout: 50ms}",
    );
    assert_eq!(client::get(sidefuse.proxy(), "/r/status-500").status(), 500);
    assert_eq!(until_relayed(&sidefuse, "/r/status-502").status(), 502);
    assert_eq!(until_relayed(&sidefuse, "/r/").text(), "fine");
    assert_eq!(
        client::get(sidefuse.proxy(), "/r/status-404").status(),
        404,
        "alive is as good as a success"
    );
    sidefuse.event("Circuit breaker closed");
    assert_eq!(
        transitions(&mut sidefuse),
        [
            "open consecutive_failures",
            "half_open reset_timeout",
            "open probe_failed",
            "half_open reset_timeout",
            "closed probes_succeeded"
        ]
    );
}

#[test]
fn a_half_open_breaker_lets_half_open_max_through_and_no_more() {
    let gate = Gate::closed();
    let origin = scripted(&gate);
    let sidefuse = sidefuse_to(
        &origin,
        "timeout: 30s, breaker: {failure_threshold: 1, success_threshold: 1, reset_timeout: 50ms}",
    );
    assert_eq!(client::get(sidefuse.proxy(), "/r/status-500").status(), 500);
    // A thread calls until the origin answers, which it does late; by then that call is the probe.
    let address = sidefuse.proxy();
    let calling = std::thread::spawn(move || {
        loop {
            let response = client::get(address, "/r/late");
            if response.status() == 200 {
                return;
            }
        }
    });
    origin.wait_for_requests(2);
    for _ in 0..5 {
        let refused = client::get(sidefuse.proxy(), "/r/");
        assert_eq!(
            (refused.status(), refused.header("x-sidefuse-reason")),
            (503, Some("circuit_open"))
        );
        assert_eq!(refused.json()["state"], "half_open");
    }
    gate.open();
    calling.join().unwrap();
    sidefuse.event("Circuit breaker closed");
}

#[test]
fn a_probe_has_its_own_shorter_timeout() {
    let gate = Gate::closed();
    let origin = scripted(&gate);
    let mut sidefuse = sidefuse_to(
        &origin,
        "timeout: 30s, breaker: {failure_threshold: 1, probe_timeout: 100ms, reset_timeout: 50ms}",
    );
    assert_eq!(client::get(sidefuse.proxy(), "/r/status-500").status(), 500);
    let response = until_relayed(&sidefuse, "/r/late");
    assert_eq!(
        (response.status(), response.header("x-sidefuse-reason")),
        (504, Some("timeout"))
    );
    sidefuse
        .process()
        .wait_for_line(|line| line["cause"] == "probe_failed");
    gate.open();
}

#[test]
fn slow_calls_open_it_though_they_succeed() {
    let origin = Origin::start(|request| match request.head.target() {
        "/slow" => {
            let_pass(std::time::Duration::from_millis(120));
            Answer::ok("slow")
        }
        _ => Answer::ok("fine"),
    });
    let breaker = "timeout: 30s, breaker: {slow_ratio: 50%, slow_after: 100ms, min_calls: 4, window: {calls: 4}}";
    let sidefuse = sidefuse_to(&origin, breaker);
    for path in ["/r/slow", "/r/slow", "/r/slow", "/r/slow"] {
        assert_eq!(client::get(sidefuse.proxy(), path).text(), "slow");
    }
    assert_eq!(
        sidefuse.event("Circuit breaker opened")["cause"],
        "slow_ratio"
    );
    assert_eq!(client::get(sidefuse.proxy(), "/r/slow").status(), 503);
}

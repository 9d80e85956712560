//! Log lines: each valid, none lost unseen, and none that traffic waits for.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use sidefuse::time::now;

use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal, command};
use crate::support::traffic::Traffic;

const ORIGINAL_KEYS: [&str; 12] = [
    "level",
    "time",
    "env",
    "service",
    "correlationId",
    "userId",
    "requestPath",
    "requestMethod",
    "msg",
    "statusCode",
    "duration",
    "durationMs",
];

fn is_access(line: &Value) -> bool {
    line.get("requestMethod").is_some()
}

#[test]
fn lines_counters_and_calls_are_equally_many_case_190() {
    let origin = Origin::start(|request| match request.head.target() {
        "/fail" => Answer::status(500, &[], ""),
        _ => Answer::ok("fine"),
    });
    let mut sidefuse = Sidefuse::start(&format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: off, health: 127.0.0.1:0}}\nroutes: {{crm: {{upstream: \"{}\", breaker: {{failure_threshold: 3, reset_timeout: 10m}}}}}}\n",
        origin.url()
    ));
    let traffic = Traffic::start(sidefuse.proxy(), 4, "/crm/x?secret=canary");
    traffic.wait_for_more(500);
    let mut calls = traffic.stop();
    let mut client = Client::connect(sidefuse.proxy());
    for (target, status) in [
        ("/nowhere", 404),
        ("/crm/fail", 500),
        ("/crm/fail", 500),
        ("/crm/fail", 500),
        ("/crm/x", 503),
    ] {
        let headers = [
            ("X-User-ID", "42"),
            ("X-Correlation-ID", "evil\u{2028}\"id"),
        ];
        assert_eq!(client.request("GET", target, &headers, "").status(), status);
        calls += 1;
    }
    drop(client);
    // One that no parser takes has its line as well.
    let mut broken = Client::connect(sidefuse.proxy());
    broken.send("GET /\u{1b}[31m HTTP/1.1\r\nbroken\r\n\r\n");
    assert_eq!(broken.read().status(), 400);
    calls += 1;

    let counted =
        |sidefuse: &Sidefuse| Metrics::of(sidefuse.health()).sum("sidefuse_requests_total");
    sidefuse.process().wait_for_lines(calls, is_access);
    assert_eq!(counted(&sidefuse), calls as f64);
    assert_eq!(
        Metrics::of(sidefuse.health()).sum("sidefuse_log_lines_dropped_total"),
        0.0
    );
    sidefuse.process().signal(Signal::Term);
    assert_eq!(sidefuse.process().wait_exit(), 0);

    let text = sidefuse.process().stdout();
    assert!(!text.contains("canary") && !text.contains('\u{1b}') && !text.contains('\u{2028}'));
    let mut lines = 0;
    for line in text.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if !is_access(&line) {
            continue;
        }
        lines += 1;
        let keys: Vec<&str> = line
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let original: Vec<&str> = ORIGINAL_KEYS
            .into_iter()
            .filter(|key| *key != "userId" || line.get("userId").is_some())
            .collect();
        assert_eq!(keys[..original.len()], original, "{line}");
    }
    assert_eq!(lines, calls);
}

/// Kills the process when a test fails.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stopped_reader_stops_no_traffic_and_each_lost_line_is_counted_and_no_order_is_lost() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let directory = tempfile::tempdir().unwrap();
    let (path, socket) = (directory.path().join("sidefuse.yaml"), "127.0.0.51");
    // Its lines are not read, so its addresses must be known: nobody else uses this one of the loopback's.
    let config = format!(
        "version: 1\nlisten: {{proxy: \"{socket}:7900\", admin: \"{socket}:7901\", health: \"{socket}:7902\"}}\nroutes: {{crm: {{upstream: \"{}\"}}}}\n",
        origin.url()
    );
    fs::write(&path, config).unwrap();
    let mut command = command();
    command
        .args(["run", "-c"])
        .arg(&path)
        .stdout(Stdio::piped());
    let mut child = Unread(command.spawn().unwrap());
    let stdout = child.0.stdout.take().unwrap();
    let mut reader = BufReader::new(stdout);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    assert!(first.contains("sidefuse is ready"), "{first}");

    // Long paths fill the pipe and the queue behind it soon.
    let long: &'static str = format!("/crm/{}", "x".repeat(6_000)).leak();
    let (proxy, health) = (format!("{socket}:7900"), format!("{socket}:7902"));
    let (proxy, health) = (proxy.parse().unwrap(), health.parse().unwrap());
    let traffic = Traffic::start(proxy, 4, long);
    let dropped = || Metrics::of(health).sum("sidefuse_log_lines_dropped_total");
    while dropped() == 0.0 {
        traffic.wait_for_more(50);
    }
    traffic.wait_for_more(50);
    let calls = traffic.stop();
    assert_eq!(client::get(health, "/readyz").status(), 200);
    let counted = Metrics::of(health).sum("sidefuse_requests_total");
    assert_eq!(counted, calls as f64);
    let admin = format!("{socket}:7901").parse().unwrap();
    let order = json!({"reason": "while nobody reads"});
    assert_eq!(
        client::post(admin, "/circuit-breakers/crm/open", &order).status(),
        200
    );

    // Somebody reads again: what was kept comes out whole, and nothing is missing that was not counted.
    let access = Arc::new(AtomicUsize::new(0));
    let read = Arc::clone(&access);
    let reading = thread::spawn(move || {
        let mut events = Vec::new();
        for line in reader.lines().map(Result::unwrap) {
            let line: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if is_access(&line) {
                read.fetch_add(1, Ordering::SeqCst);
            } else {
                events.push(line);
            }
        }
        events
    });
    let limit = now() + PATIENCE;
    while access.load(Ordering::SeqCst) + dropped() as usize != calls {
        assert!(now() < limit, "lines are missing, or there are too many");
    }
    let pid = child.0.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    let events = reading.join().unwrap();
    assert_eq!(events.last().unwrap()["msg"], "sidefuse has ended");
    let orders = events.iter().filter(|line| line["action"] == "open");
    assert_eq!(orders.count(), 1, "{events:?}");
    let lost: u64 = events
        .iter()
        .filter(|line| line["msg"] == "Log lines were lost: they could not be written")
        .map(|line| line["lines"].as_u64().unwrap())
        .sum();
    assert_eq!(access.load(Ordering::SeqCst) + lost as usize, calls);
}

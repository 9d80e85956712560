//! What a real process tells of pauses: events, metrics, operators' pages.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::Value;
use sidefuse::resilience::Key;

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::config::{config, route};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// Answers 429 to the first call of each target, with the wish that the target names, and 200 from then on.
fn shy() -> Origin {
    let seen = Mutex::new(BTreeSet::new());
    Origin::start(move |request| {
        let target = request.head.target().to_owned();
        let wish = target.trim_start_matches('/').to_owned();
        if !seen.lock().unwrap().insert(target) || wish == "fine" {
            return Answer::ok("fine");
        }
        Answer::status(429, &[("Retry-After", &*wish)], "")
    })
}

fn call(sidefuse: &Sidefuse, target: &str, tenant: &str) -> client::Response {
    Client::connect(sidefuse.proxy()).request("GET", target, &[("X-Tenant-ID", tenant)], "")
}

/// Calls until it is let through: a pause is over when it is over.
fn until_let_through(sidefuse: &Sidefuse, tenant: &str) {
    while call(sidefuse, "/r/fine", tenant).status() != 200 {}
}

fn throttled_seconds(sidefuse: &Sidefuse) -> f64 {
    let metrics = Metrics::of(sidefuse.health());
    let seconds = metrics.value("sidefuse_throttled_seconds_total{route=\"r\"}");
    seconds.unwrap()
}

fn throttle(sidefuse: &Sidefuse) -> Value {
    let page = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    page["throttle"].clone()
}

fn millis(value: &Value) -> f64 {
    let text = value.as_str().unwrap().strip_suffix("ms").unwrap();
    text.parse().unwrap()
}

#[test]
fn a_pause_of_the_route_is_a_warning_with_its_end_its_hint_and_its_release() {
    let origin = shy();
    let sidefuse = Sidefuse::start(&config(&[route(
        "r",
        &origin.url(),
        "throttle: {max: 300ms}",
    )]));
    assert_eq!(throttled_seconds(&sidefuse), 0.0);
    assert_eq!(call(&sidefuse, "/r/7", "").status(), 429);
    let event = sidefuse.event("Route throttled");
    assert_eq!(
        (&event["route"], &event["level"]),
        (&"r".into(), &"warn".into())
    );
    assert_eq!(
        (&event["hint"], &event["signalsInARow"], event.get("key")),
        (&"7000ms".into(), &1.into(), None)
    );
    until_let_through(&sidefuse, "");
    let released = sidefuse.event("Route released");
    assert_eq!(
        (&released["route"], &released["level"]),
        (&"r".into(), &"info".into())
    );
    assert!(millis(&released["after"]) >= 300.0, "{released}");
    // The pause as it was asked for and cut; that nobody came at once when it was over is no time of it.
    assert_eq!(throttled_seconds(&sidefuse), 0.3);
    assert_eq!(throttle(&sidefuse)["throttled"], false);
}

#[test]
fn a_pause_of_a_key_is_told_with_its_fingerprint_and_is_no_time_of_the_routes() {
    let origin = shy();
    let settings = "throttle: {max: 300ms}, breaker: {key: {header: X-Tenant-ID}}, classify: [{status: 429, as: throttled, scope: key}]";
    let sidefuse = Sidefuse::start(&config(&[route("r", &origin.url(), settings)]));
    assert_eq!(call(&sidefuse, "/r/7", "secret").status(), 429);
    let key = Key::of(b"secret").to_string();
    let event = sidefuse.event("Route throttled");
    assert_eq!(
        (&event["key"], &event["level"], &event["hint"]),
        (&key.as_str().into(), &"info".into(), &"7000ms".into())
    );
    assert_eq!(call(&sidefuse, "/r/fine", "other").status(), 200);
    until_let_through(&sidefuse, "secret");
    let released = sidefuse.event("Route released");
    assert_eq!(released["key"], *key);
    assert!(millis(&released["after"]) >= 300.0);
    assert_eq!(throttled_seconds(&sidefuse), 0.0);
    assert_eq!(throttle(&sidefuse)["keys"], 0);
    let metrics = Metrics::of(sidefuse.health());
    assert!(!metrics.text().contains(&key) && !metrics.text().contains("secret"));
}

//! A new configuration: when it is applied, when it is refused, and what it leaves alone.

mod blind;
mod listeners;
mod refusals;
mod resolved;
mod rotation;
mod sources;
mod storms;
mod survivors;
mod writers;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::client;
use crate::support::process::Sidefuse;

const LISTEN: &str = "{proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}";

const SUCCESSFUL: &str = "sidefuse_config_last_reload_successful";

/// A configuration with these routes, each one line.
fn config(routes: &[&str]) -> String {
    with_listen(LISTEN, routes)
}

fn with_listen(listen: &str, routes: &[&str]) -> String {
    let mut text = format!("version: 1\nlisten: {listen}\nroutes:\n");
    for route in routes {
        text.push_str(&format!("  {route}\n"));
    }
    text
}

/// A route that nobody calls.
fn idle(name: &str) -> String {
    format!("{name}: {{upstream: \"http://127.0.0.1:9\"}}")
}

/// What names a content: the first 8 digits of its SHA-256.
fn revision(content: &str) -> String {
    let digest = Sha256::digest(content);
    let digits = digest.iter().take(4).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn is_reload(line: &Value) -> bool {
    line["msg"] == "Configuration reloaded"
}

fn is_refusal(line: &Value) -> bool {
    line["msg"] == "Configuration refused; nothing was changed"
}

/// Waits until that content is in force.
fn wait_applied(sidefuse: &mut Sidefuse, content: &str) -> Value {
    let revision = revision(content);
    sidefuse
        .process()
        .wait_for_line(|line| is_reload(line) && line["revision"] == *revision)
}

/// Waits until that many contents were refused, and gives the diagnostics of the last.
fn wait_refused(sidefuse: &mut Sidefuse, count: usize) -> String {
    let lines = sidefuse.process().wait_for_lines(count, is_refusal);
    lines[count - 1]["diagnostics"].as_str().unwrap().to_owned()
}

/// Waits until it was said that often that the file is again what is in force.
fn wait_recovered(sidefuse: &mut Sidefuse, count: usize) {
    sidefuse.process().wait_for_lines(count, |line| {
        line["msg"] == "Configuration is again what is in force"
    });
}

fn reload(sidefuse: &Sidefuse) -> Value {
    client::post(sidefuse.admin(), "/config/reload", &json!({})).json()
}

fn breaker(sidefuse: &Sidefuse, name: &str) -> Value {
    client::get(sidefuse.admin(), &format!("/circuit-breakers/{name}")).json()
}

/// What a breaker's settings say of a key.
fn setting<'b>(breaker: &'b Value, key: &str) -> &'b Value {
    let mut rows = breaker["settings"].as_array().unwrap().iter();
    rows.find(|row| row["key"] == key).unwrap()
}

fn in_force(sidefuse: &Sidefuse) -> Value {
    client::get(sidefuse.admin(), "/config").json()
}

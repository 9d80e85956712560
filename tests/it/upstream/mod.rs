//! The upstream's side: what its faults are called, what is tried again, how connections are kept.

mod endpoints;
mod faults;
mod pool;
mod versions;

use std::net::TcpListener;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::config::{config, route_to};
use crate::support::process::Sidefuse;

/// A loopback address that refuses connections.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap_or("-").to_owned()
}

fn sidefuse_to(url: &str, upstream: &str, settings: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route_to("r", url, upstream, settings)]))
}

/// Sends a `GET` and reads only later.
fn begin(sidefuse: &Sidefuse, path: &str) -> Client {
    let mut client = Client::connect(sidefuse.proxy());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client
}

//! Bodies: streamed both ways, counted to the byte, ended once however they end.

mod broken;
mod slow;
mod whole;

use serde_json::Value;

use crate::support::config::{config, route};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// How an access line tells an ending: status, outcome, reason, attempts, whether the caller was gone.
fn ending(line: &Value) -> String {
    format!(
        "{} {} {} {} {}",
        line["statusCode"],
        line["outcome"].as_str().unwrap_or("-"),
        line["reason"].as_str().unwrap_or("-"),
        line["attempts"],
        if line["clientGone"] == true {
            "gone"
        } else {
            "there"
        },
    )
}

fn bytes(line: &Value) -> (u64, u64) {
    (
        line["bytesIn"].as_u64().unwrap(),
        line["bytesOut"].as_u64().unwrap(),
    )
}

fn sidefuse_to(origin: &Origin, settings: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route("r", &origin.url(), settings)]))
}

//! `http:`, the limits of the proxy listeners.

use std::time::Duration;

use super::some_time;
use crate::config::fields::Fields;
use crate::config::plan::HttpPlan;
use crate::config::problem::Code;
use crate::config::readers::number;
use crate::config::units::{Invalid, size};

const KIB: u64 = 1024;

pub(super) fn http(fields: &mut Fields<'_, '_>) -> HttpPlan {
    fields.not_yet(&["strict"]);
    HttpPlan {
        max_header_bytes: fields
            .parse("max_header_bytes", header_bytes)
            .unwrap_or(32 * 1024),
        max_headers: fields.parse("max_headers", number(1, 1000)).unwrap_or(100),
        max_connections: fields
            .parse("max_connections", number(1, 1_000_000))
            .unwrap_or(4096),
        first_request_timeout: fields
            .parse("first_request_timeout", some_time())
            .unwrap_or(Duration::from_secs(10)),
        keep_alive: fields
            .parse("keep_alive", some_time())
            .unwrap_or(Duration::from_secs(75)),
    }
}

fn header_bytes(text: &str) -> Result<usize, Invalid> {
    usize::try_from(size(text)?)
        .ok()
        .filter(|bytes| (8 * KIB..=KIB * KIB).contains(&(*bytes as u64)))
        .ok_or_else(|| Invalid::new(Code::OutOfRange, "must be from 8KiB to 1MiB"))
}

//! `http:`, the limits of the proxy listeners.

use crate::config::fields::Fields;
use crate::config::plan::HttpPlan;

pub(super) fn http(fields: &mut Fields<'_, '_>) -> HttpPlan {
    HttpPlan {
        max_header_bytes: fields.setting("max_header_bytes"),
        max_headers: fields.setting("max_headers"),
        max_connections: fields.setting("max_connections"),
        first_request_timeout: fields.setting("first_request_timeout"),
        keep_alive: fields.setting("keep_alive"),
        strict: fields.setting("strict"),
    }
}

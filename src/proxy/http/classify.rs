//! What an answer proves about the upstream, and when that is certain.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;

use crate::resilience::{Label, Outcome, Sample};

/// An answer up to this length is waited for even by a probe.
const SHORT: u64 = 64 * 1024;

/// When the outcome of an answer is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// Already at its headers.
    AtHeaders,
    /// When its body ended well; a body that breaks off is a failure.
    AtEnd,
}

/// The sample of an answer by the default rules, and when it is certain.
///
/// At the headers: everything but a success, and a success whose body is endless by nature or, for a probe, not surely short: no
/// download may hold a half-open breaker's probe.
pub(super) fn classify(
    response: &Response<Incoming>,
    latency: Duration,
    is_probe: bool,
) -> (Sample, Certainty) {
    let status = response.status();
    let outcome = Outcome::of_status(
        status.as_u16(),
        response.headers().contains_key(RETRY_AFTER),
    );
    let label = (outcome == Outcome::Failure).then(|| Label::Status(status.as_u16()));
    let sample = Sample {
        outcome,
        latency: Some(latency),
        label,
    };
    let is_open_ended = status == StatusCode::SWITCHING_PROTOCOLS
        || response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let is_short = response
        .body()
        .size_hint()
        .upper()
        .is_some_and(|length| length <= SHORT);
    let is_certain = outcome != Outcome::Success || is_open_ended || is_probe && !is_short;
    (
        sample,
        if is_certain {
            Certainty::AtHeaders
        } else {
            Certainty::AtEnd
        },
    )
}

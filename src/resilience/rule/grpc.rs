//! What a gRPC status proves. The HTTP status is nearly always 200; the status of the call stands in `grpc-status`.
//!
//! <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName};

use crate::resilience::{Label, Outcome, Scope, Signal, Verdict};

/// Carries the status: in the trailers, or in the headers of an answer without a body.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The server's wish for a pause before a retry, in milliseconds (gRFC A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// Whether an answer is gRPC. gRPC-Web does not count: it has its trailers inside the body.
#[must_use]
pub fn is_spoken(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// The status in these headers or trailers, if one that is a number stands there.
#[must_use]
pub fn code(fields: &HeaderMap) -> Option<u32> {
    let status = fields.get(STATUS)?;
    status.to_str().ok()?.parse().ok()
}

/// The verdict of the status in these headers or trailers; `None` where there is none.
#[must_use]
pub fn verdict(fields: &HeaderMap) -> Option<Verdict> {
    if !fields.contains_key(STATUS) {
        return None;
    }
    let mut verdict = of_code(code(fields));
    if let Some(signal) = &mut verdict.signal {
        signal.pause = pushback(fields);
    }
    Some(verdict)
}

/// The verdict on a call that ended without a status, which gRPC does not allow.
#[must_use]
pub const fn without_status() -> Verdict {
    Verdict::failure(Label::Named("grpc_no_status"))
}

const DEADLINE_EXCEEDED: &str = "grpc_deadline_exceeded";

/// The verdict on a call whose own deadline gave the upstream too little time: that it was over then proves nothing.
#[must_use]
pub fn excused(verdict: Verdict) -> Verdict {
    let label = Label::Named(DEADLINE_EXCEEDED);
    if verdict.label == Some(label) {
        Verdict::plain(Outcome::Ignored, label)
    } else {
        verdict
    }
}

/// The labels of failures that a gRPC status makes.
pub const LABELS: [&str; 6] = [
    "grpc_no_status",
    DEADLINE_EXCEEDED,
    "grpc_internal",
    "grpc_unavailable",
    "grpc_data_loss",
    "grpc_unknown",
];

/// An invalid code counts as UNKNOWN, as for gRPC clients.
fn of_code(code: Option<u32>) -> Verdict {
    let failure = |label| Verdict::failure(Label::Named(label));
    let plain = |outcome| Verdict {
        outcome,
        label: None,
        signal: None,
        config_error: false,
    };
    match code {
        Some(0) => plain(Outcome::Success),
        // CANCELLED: by its definition usually the caller's doing.
        Some(1) => plain(Outcome::Ignored),
        Some(4) => failure(DEADLINE_EXCEEDED),
        Some(8) => Verdict {
            signal: Some(Signal {
                scope: Scope::Route,
                pause: None,
            }),
            ..plain(Outcome::Throttled)
        },
        Some(13) => failure("grpc_internal"),
        Some(14) => failure("grpc_unavailable"),
        Some(15) => failure("grpc_data_loss"),
        // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
        // UNIMPLEMENTED, UNAUTHENTICATED.
        Some(3 | 5 | 6 | 7 | 9..=12 | 16) => plain(Outcome::Alive),
        Some(2 | 17..) | None => failure("grpc_unknown"),
    }
}

fn pushback(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(PUSHBACK)?.to_str().ok()?;
    // A negative one forbids the retry and names no time.
    text.parse().ok().map(Duration::from_millis)
}

//! What an exchange keeps to its end of what holds calls back, and what an answer says of the next ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};

use super::classify::Certainty;
use crate::resilience::{Pass, Signal, Throttle, Ticket, Verdict};
use crate::snapshot::Route;
use crate::time::wall;
use crate::wire::PauseHints;

/// What an exchange keeps to its end.
#[derive(Default)]
pub(super) struct Kept {
    /// The place under the route's concurrency limit.
    pub(super) ticket: Option<Ticket>,
    /// A call whose trailers may still ask for a pause (gRPC).
    trailing: Option<(Arc<Throttle>, Pass)>,
}

impl Kept {
    /// Tells the throttle what the headers said that came at `at`, or keeps that for the trailers. A call that a pause waits for is not
    /// kept: a stream may go on for hours.
    pub(super) fn of(
        route: &Route,
        (pass, at): (Pass, Instant),
        (verdict, certainty): (Verdict, Certainty),
        headers: &HeaderMap,
    ) -> Self {
        let throttle = &route.limits.throttle;
        if certainty == Certainty::InTrailers && !pass.decides() {
            return Self {
                ticket: None,
                trailing: Some((Arc::clone(throttle), pass)),
            };
        }
        let signal = verdict.signal.map(|signal| Signal {
            pause: signal.pause.or_else(|| hinted(headers)),
            ..signal
        });
        throttle.settle(pass, verdict.outcome, signal, at);
        Self::default()
    }

    /// The last word.
    pub(super) fn settle(&mut self, verdict: Verdict, now: Instant) {
        if let Some((throttle, pass)) = self.trailing.take() {
            throttle.settle(pass, verdict.outcome, verdict.signal, now);
        }
    }
}

/// How long the upstream wishes to be left alone, if its fields say so.
pub(super) fn hinted(headers: &HeaderMap) -> Option<Duration> {
    let field = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    let hints = PauseHints {
        retry_after: field(RETRY_AFTER),
        rate_limit_reset: field(HeaderName::from_static("ratelimit-reset")),
        rate_limit: field(HeaderName::from_static("ratelimit")),
        x_rate_limit_reset: field(HeaderName::from_static("x-ratelimit-reset")),
        date: field(DATE),
    };
    hints.pause(wall())
}

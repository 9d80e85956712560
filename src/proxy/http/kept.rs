//! What an exchange keeps to its end, a place under the bulkhead and a pass of the throttle, and what an answer says about the
//! calls to come.

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
    /// The throttle and its pass, of a call whose trailers may still ask for a pause (gRPC).
    trailing: Option<(Arc<Throttle>, Pass)>,
}

impl Kept {
    /// Tells the throttle what the headers said, which came at `at`, unless the trailers may say more. The throttle never waits
    /// for the trailers of a call that decides whether a pause is over: a stream may go on for hours.
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

    /// What a tunnel keeps; the throttle has its pass back.
    pub(super) fn of_tunnel(ticket: Option<Ticket>) -> Self {
        Self {
            ticket,
            trailing: None,
        }
    }

    /// Tells the throttle the final verdict.
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

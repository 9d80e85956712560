//! Defaults that follow from other keys, for the walk that makes a plan and for the effective configuration.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;

use crate::resilience::{Backoff, WindowSpec};

/// The window of the ratio rules.
pub(crate) const WINDOW: WindowSpec = WindowSpec::Time(Duration::from_secs(30));
/// The statuses that a probe expects.
pub(crate) const EXPECTED: RangeInclusive<u16> = 200..=399;
/// The header of the correlation id.
pub(crate) const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// How many calls the ratio rules wait for: no more than the window can hold.
pub(crate) fn min_calls(window: WindowSpec) -> u32 {
    const USUAL: u32 = 20;
    match window {
        WindowSpec::Calls(calls) => calls.min(USUAL),
        WindowSpec::Time(_) => USUAL,
    }
}

/// The longest a reset timeout becomes.
pub(crate) fn longest_reset(reset_timeout: Duration) -> Duration {
    Duration::from_secs(600).max(reset_timeout)
}

/// The longest wait before another attempt.
pub(crate) fn longest_wait(base: Duration) -> Duration {
    Backoff::default().max.max(base)
}

/// How long a call waits in the queue.
pub(crate) fn queue_timeout(timeout: Duration) -> Duration {
    Duration::from_secs(1).min(timeout)
}

/// The calls of a second, and at least one.
pub(crate) fn burst(per_second: f64) -> u32 {
    (per_second.ceil() as u32).max(1)
}

/// How long a probe may take.
pub(crate) fn probe_timeout(every: Duration) -> Duration {
    Duration::from_secs(5).min(every)
}

/// The largest body that is kept.
pub(crate) fn largest_body(max_bytes: u64) -> u64 {
    (1 << 20).min(max_bytes)
}

/// The headers that may carry an id.
pub(crate) fn accepted(header: &HeaderName) -> Vec<HeaderName> {
    let mut accepted = vec![header.clone()];
    for usual in [CORRELATION, HeaderName::from_static("x-request-id")] {
        if !accepted.contains(&usual) {
            accepted.push(usual);
        }
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_usual_already_is_accepted_once() {
        let request_id = HeaderName::from_static("x-request-id");
        let other = HeaderName::from_static("x-trace");
        assert_eq!(accepted(&request_id), [request_id.clone(), CORRELATION]);
        assert_eq!(accepted(&CORRELATION), [CORRELATION, request_id.clone()]);
        assert_eq!(accepted(&other), [other.clone(), CORRELATION, request_id]);
    }
}

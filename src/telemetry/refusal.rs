//! Which failures are refusals: ours, made before any upstream was asked; and which are neither that nor the upstream's.

use crate::failure::{Blame, Failure};

/// Whether we refused the call without asking the upstream. Such an ending is counted in `rejected_total` and is a `warn` line.
#[must_use]
pub const fn is_refusal(reason: Failure) -> bool {
    match reason {
        Failure::NoRoute
        | Failure::HostNotAllowed
        | Failure::BadRequest
        | Failure::MethodNotAllowed
        | Failure::UriTooLong
        | Failure::HeadersTooLarge
        | Failure::RequestTimeout
        | Failure::CircuitOpen
        | Failure::ForcedOpen
        | Failure::Ramping
        | Failure::Throttled
        | Failure::RateLimited
        | Failure::Overloaded
        | Failure::Exhausted
        | Failure::Draining => true,
        Failure::Dns
        | Failure::Connect
        | Failure::ConnectTimeout
        | Failure::Tls
        | Failure::Reset
        | Failure::SharedLoss
        | Failure::Protocol
        | Failure::Timeout
        | Failure::CutShort
        | Failure::CallerDeadline
        | Failure::MaxDuration
        | Failure::IdleTimeout
        | Failure::Truncated
        | Failure::ClientGone
        | Failure::Internal => false,
    }
}

/// Whether the call was let pass and then ended early for another reason than the upstream's failure. Such an ending is counted in
/// `given_up_total`.
#[must_use]
pub fn is_given_up(reason: Failure) -> bool {
    reason.blame() != Blame::Upstream && !is_refusal(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_upstream_did_is_never_a_refusal() {
        assert!(
            Failure::ALL
                .iter()
                .all(|reason| reason.blame() != Blame::Upstream || !is_refusal(*reason))
        );
    }
}

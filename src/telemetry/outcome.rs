//! The outcome of an exchange if no rule of its route has decided it.

use http::StatusCode;

use crate::failure::{Blame, Failure};
use crate::resilience::Outcome;

/// The default rules: the reason decides by the side that it blames, else the status decides.
pub(super) fn default_outcome(reason: Option<Failure>, status: Option<StatusCode>) -> Outcome {
    match reason.map(Failure::blame) {
        Some(Blame::Upstream) => return Outcome::Failure,
        Some(Blame::Ours | Blame::Caller) => return Outcome::Ignored,
        None => {}
    }
    status.map_or(Outcome::Ignored, |status| {
        Outcome::of_status(status.as_u16(), false)
    })
}

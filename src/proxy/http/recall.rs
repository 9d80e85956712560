//! Recalls a call that has its permit and waits for a connection when its breaker opens: it is not sent.

use std::time::Instant;

use super::call::Call;
use super::reply::Refusal;
use super::waiting::refuse_if_open;
use crate::resilience::{Breaker, Key, State};
use crate::snapshot::Route;

/// Tells whether a call that was let pass may still be sent.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    route: &'a Route,
    key: Option<Key>,
    is_probe: bool,
}

impl<'a> Standing<'a> {
    /// The standing of a call with a permit.
    pub(super) fn of(route: &'a Route, call: &Call, is_probe: bool) -> Self {
        Self {
            route,
            key: call.key,
            is_probe,
        }
    }

    /// Whether a breaker has opened since. A ramp does not matter: it only bounds how many calls pass, and this one has passed.
    pub(super) fn is_off(&self, now: Instant) -> bool {
        let is_open = |breaker: &Breaker| {
            breaker.would_reject(now)
                && match breaker.in_force(now).0 {
                    State::Open => true,
                    // A probe holds one of the permits that are out itself.
                    State::HalfOpen => !self.is_probe,
                    State::Closed => false,
                }
        };
        self.route.any_breaker(self.key, is_open)
    }

    /// The refusal that the call gets then, counted like any other.
    pub(super) fn refusal(&self, now: Instant) -> Option<Box<Refusal>> {
        refuse_if_open(self.route, self.key, now)
            .err()
            .map(Box::new)
    }
}

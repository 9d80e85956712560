//! The request for a connection, and its result.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::shelf::{Shelf, Stay};
use crate::failure::Failure;
use crate::resilience::Chance;
use crate::time::{Deadline, now, timeout_at};
use crate::upstream::endpoint::{Endpoint, EndpointId};
use crate::upstream::http1::Http1;
use crate::upstream::http2::Http2;
use crate::upstream::raw::Raw;
use crate::upstream::{Lease, Purpose};

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// When the connection is requested.
    pub start: Instant,
    /// By when the call must be answered.
    pub deadline: Deadline,
    /// How much time the upstream must have had, after the waits so far.
    pub chance: Chance,
    /// What the connection is for.
    pub purpose: Purpose,
    /// The endpoint where the call has failed already: another is preferred.
    pub avoid: Option<EndpointId>,
    /// What may end the wait early, if anything.
    pub recall: Option<Recall<'a>>,
    /// Gets the time that the call waits in sidefuse added, also if the call is dropped while it waits.
    pub held: Option<&'a Cell<Duration>>,
}

/// Ends a call's wait for a connection early because the call must no longer be made.
#[derive(Clone, Copy)]
pub struct Recall<'a> {
    /// Wakes all waiting calls when `is_off` may have changed.
    pub roused: &'a Notify,
    /// Whether the call must no longer be made.
    pub is_off: &'a dyn Fn(Instant) -> bool,
}

/// A wait in sidefuse that is under way.
struct Waiting<'a> {
    held: &'a Cell<Duration>,
    since: Instant,
}

/// Why a wait was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vain {
    /// It took too long.
    Late,
    /// The call was called off.
    Recalled,
}

/// What a pool gives on request.
pub struct Checkout {
    /// The connection.
    pub lease: Lease,
    /// The waits and the failed endpoints before.
    pub way: Way,
}

/// There is no connection for a call, which was never sent.
#[derive(Clone, Debug)]
pub struct Unconnected {
    /// Why.
    pub failure: Failure,
    /// The endpoint that was asked last; `None` when the call did not get that far.
    pub endpoint: Option<Arc<Endpoint>>,
    /// The waits and the failed endpoints before.
    pub way: Way,
}

/// What happened on the way to a connection, or to none.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// How long the call waited in the queue, if it did.
    pub queued: Option<Duration>,
    /// The failures of endpoints that were tried first.
    pub passed_over: Vec<Failure>,
}

impl Vain {
    /// The failure of a call whose wait ended so.
    pub(super) const fn failure(self) -> Failure {
        match self {
            Self::Late => Failure::Overloaded,
            Self::Recalled => Failure::CircuitOpen,
        }
    }
}

impl Wanted<'_> {
    /// Waits for `event` until the deadline, or until the call is called off; the time counts as a wait in sidefuse.
    pub(super) async fn wait<T>(
        &self,
        until: Deadline,
        event: impl Future<Output = T>,
    ) -> Result<T, Vain> {
        let _waiting = self.held.map(Waiting::begin);
        let Some(recall) = self.recall else {
            return timeout_at(until, event).await.map_err(|_| Vain::Late);
        };
        let mut event = pin!(timeout_at(until, event));
        loop {
            let mut roused = pin!(recall.roused.notified());
            // Registered before the first check, or a change between the two would be missed.
            roused.as_mut().enable();
            let now = now();
            if until.has_passed(now) {
                return Err(Vain::Late);
            }
            if (recall.is_off)(now) {
                return Err(Vain::Recalled);
            }
            tokio::select! {
                biased;
                () = roused => {}
                result = event.as_mut() => return result.map_err(|_| Vain::Late),
            }
        }
    }
}

impl<'a> Waiting<'a> {
    fn begin(held: &'a Cell<Duration>) -> Self {
        let since = now();
        Self { held, since }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let wait = now().saturating_duration_since(self.since);
        self.held.set(self.held.get() + wait);
    }
}

impl std::fmt::Debug for Recall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recall").finish_non_exhaustive()
    }
}

impl Way {
    /// Without a wait, or after one in the queue.
    pub(super) fn through(queued: Option<Duration>) -> Self {
        Self {
            queued,
            passed_over: Vec::new(),
        }
    }

    /// Puts what happened before in front of this.
    pub(super) fn follow(&mut self, mut before: Self) {
        self.queued = match (before.queued, self.queued) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        before.passed_over.append(&mut self.passed_over);
        self.passed_over = before.passed_over;
    }
}

impl Checkout {
    pub(super) fn http1(connection: Box<Http1>, stay: Stay, queued: Option<Duration>) -> Self {
        Self {
            lease: Lease::http1(connection, stay),
            way: Way::through(queued),
        }
    }

    pub(super) fn http2(connection: Http2, stay: Stay, queued: Option<Duration>) -> Self {
        Self {
            lease: Lease::http2(connection, stay),
            way: Way::through(queued),
        }
    }

    pub(super) fn raw(raw: Raw, stay: Stay, queued: Option<Duration>) -> Self {
        Self {
            lease: Lease::raw(raw, stay),
            way: Way::through(queued),
        }
    }
}

impl Unconnected {
    pub(super) fn from(shelf: &Shelf, failure: Failure, queued: Option<Duration>) -> Self {
        Self {
            failure,
            endpoint: Some(Arc::clone(&shelf.endpoint)),
            way: Way::through(queued),
        }
    }

    /// The way of a call that tries another endpoint after this failure.
    pub(super) fn gives_way(self) -> Way {
        let mut way = self.way;
        way.passed_over.push(self.failure);
        way
    }

    /// A call that waited that long in the queue and got nothing.
    pub(super) fn waited(failure: Failure, queued: Duration) -> Self {
        Self {
            failure,
            endpoint: None,
            way: Way::through(Some(queued)),
        }
    }
}

//! What is asked of a pool, and what it gives.

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
use crate::upstream::{Lease, Purpose};

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// When it is wanted.
    pub start: Instant,
    /// By when the call must be answered.
    pub deadline: Deadline,
    /// What others took of the call's time before.
    pub chance: Chance,
    /// What is to be said over it.
    pub purpose: Purpose,
    /// Where the call has failed already: another endpoint is asked if there is any.
    pub avoid: Option<EndpointId>,
    /// What may end the wait for it, where something may.
    pub recall: Option<Recall<'a>>,
    /// Counts the time in which it waits with us, to its end: also for a call that leaves meanwhile.
    pub held: Option<&'a Cell<Duration>>,
}

/// What ends a call's wait for a connection early: the call is not to be made any more.
#[derive(Clone, Copy)]
pub struct Recall<'a> {
    /// Wakes all that wait, when there is reason to ask.
    pub roused: &'a Notify,
    /// Whether the call is not to be made any more.
    pub is_off: &'a dyn Fn(Instant) -> bool,
}

/// A wait with us that goes on.
struct Waiting<'a> {
    held: &'a Cell<Duration>,
    since: Instant,
}

/// Why a wait was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vain {
    /// Its time was over.
    Late,
    /// The call was called off.
    Recalled,
}

/// What a pool gives on request.
pub struct Checkout {
    /// The connection.
    pub lease: Lease,
    /// What happened before.
    pub way: Way,
}

/// There is no connection for a call, which was never sent.
#[derive(Clone, Debug)]
pub struct Unconnected {
    /// Why.
    pub failure: Failure,
    /// The endpoint that was asked last; `None` when the call did not get that far.
    pub endpoint: Option<Arc<Endpoint>>,
    /// What happened before.
    pub way: Way,
}

/// The way to a connection, or to none.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// How long the call waited in the queue, if it had to.
    pub queued: Option<Duration>,
    /// Why other endpoints were passed over that were asked first.
    pub passed_over: Vec<Failure>,
}

impl Vain {
    /// What a call fails of that waited with us.
    pub(super) const fn failure(self) -> Failure {
        match self {
            Self::Late => Failure::Overloaded,
            Self::Recalled => Failure::CircuitOpen,
        }
    }
}

impl Wanted<'_> {
    /// Waits for that with us, until then or until the call is called off.
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
            // Listening before it asks, or it could miss the one change that matters.
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
    /// Straight, or through the queue.
    pub(super) fn through(queued: Option<Duration>) -> Self {
        Self {
            queued,
            passed_over: Vec::new(),
        }
    }

    /// What went before came before this.
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
}

impl Unconnected {
    pub(super) fn from(shelf: &Shelf, failure: Failure, queued: Option<Duration>) -> Self {
        Self {
            failure,
            endpoint: Some(Arc::clone(&shelf.endpoint)),
            way: Way::through(queued),
        }
    }

    /// The way of one that tries elsewhere: it has passed over this endpoint too.
    pub(super) fn gives_way(self) -> Way {
        let mut way = self.way;
        way.passed_over.push(self.failure);
        way
    }

    /// It waited with us for so long in vain.
    pub(super) fn waited(failure: Failure, queued: Duration) -> Self {
        Self {
            failure,
            endpoint: None,
            way: Way::through(Some(queued)),
        }
    }
}

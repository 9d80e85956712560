//! A call's search for room on one of its worker's connections, and the wait for it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Opening, Sharing};
use crate::failure::{Blame, Failure};
use crate::time::{Deadline, now};
use crate::upstream::http2::Http2;
use crate::upstream::pool::checkout::Vain;
use crate::upstream::pool::choice::Choice;
use crate::upstream::pool::shelf::Stay;
use crate::upstream::pool::{Checkout, Pool, Unconnected, Wanted};
use crate::upstream::slots::{Slot, Slots};

/// What a call found, and how long it waited.
struct Found<'a> {
    share: Share<'a>,
    /// How long, if it waited.
    waited: Option<Duration>,
}

enum Share<'a> {
    Open(Http2),
    /// The call must open a connection, with that slot if one was free.
    Missing(Opener<'a>, Option<Slot>),
}

/// What a call waits for that has found no room yet.
struct Ahead {
    /// The first connection is being opened.
    connecting: Option<Rc<Opening>>,
    /// All connections are to leave; the first of them is taken back then.
    back: Option<Instant>,
    /// Since when the upstream has allowed no call on its connections.
    barred: Option<Instant>,
}

/// Why a call found nothing, and how long it waited in sidefuse.
struct Missed {
    failure: Failure,
    held: Duration,
}

/// The call that opens the connection. Dropping it ends the opening, whatever the result.
struct Opener<'a> {
    sharing: &'a Sharing,
    opening: Rc<Opening>,
}

/// Counts one waiting call while it lives.
struct Waiter<'a>(&'a Cell<usize>, &'a AtomicUsize);

impl Pool {
    /// Gets a share in an HTTP/2 connection of this worker to that endpoint. If none has room, the call waits for one or opens
    /// another.
    pub(in crate::upstream::pool) async fn share_http2(
        self: &Rc<Self>,
        stay: Stay,
        choice: &Choice,
        wanted: &Wanted<'_>,
    ) -> Result<Checkout, Unconnected> {
        let shelf = Rc::clone(&stay.shelf);
        let Found { share, waited } = match shelf.sharing.find(self, wanted).await {
            Ok(found) => found,
            Err(Missed { failure, held }) => {
                return Err(
                    if [Failure::Overloaded, Failure::CircuitOpen].contains(&failure) {
                        Unconnected::waited(failure, held)
                    } else {
                        Unconnected::from(&shelf, failure, (!held.is_zero()).then_some(held))
                    },
                );
            }
        };
        let (opener, slot) = match share {
            Share::Open(connection) => return Ok(Checkout::http2(connection, stay, waited)),
            Share::Missing(opener, slot) => (opener, slot),
        };
        let opened = match slot.or_else(|| self.upstream.slots.try_take()) {
            Some(slot) => self.open(slot, stay, wanted, waited).await,
            None => {
                let mut made_do = self.make_do(stay, choice, wanted).await;
                let way = match &mut made_do {
                    Ok(Checkout { way, .. }) | Err(Unconnected { way, .. }) => way,
                };
                if let Some(waited) = waited {
                    way.queued = Some(way.queued.unwrap_or_default() + waited);
                }
                made_do
            }
        };
        if let Err(Unconnected { failure, .. }) = &opened
            && failure.blame() == Blame::Upstream
            && !wanted.deadline.has_passed(now())
        {
            opener.opening.failure.set(Some(*failure));
        }
        opened
    }
}

impl Sharing {
    /// Waits for a share in a connection with room, or for the turn to open one.
    async fn find(&self, pool: &Pool, wanted: &Wanted<'_>) -> Result<Found<'_>, Missed> {
        let begin = wanted.start;
        let patience = pool.upstream.plan().pool.acquire_timeout;
        let patience = Deadline::after(begin, patience).min(wanted.deadline);
        let mut waited: Option<Duration> = None;
        loop {
            let at = begin + waited.unwrap_or_default();
            let ahead = match self.look(&pool.upstream.slots, at, waited.is_some()) {
                Ok(share) => return Ok(Found { share, waited }),
                Err(ahead) => ahead,
            };
            let since = ahead.upstreams_since();
            let until = since.map_or(patience, |_| wanted.deadline);
            let until = ahead.until(until);
            let result = {
                let _waiter = Waiter::new(&self.room.waiting, &pool.upstream.waiting);
                let held = wanted.held.filter(|_| since.is_none());
                let wanted = Wanted { held, ..*wanted };
                wanted.wait(until, self.room.changed.notified()).await
            };
            let now = now();
            waited = Some(now.saturating_duration_since(begin));
            if result == Err(Vain::Late) && ahead.is_due(now) && !patience.has_passed(now) {
                continue;
            }
            if let Some(missed) = ahead.missed(result, wanted, now) {
                return Err(missed);
            }
        }
    }

    /// What a call finds at `now`, which may depend on whether it has waited; else what it waits for.
    fn look(&self, slots: &Arc<Slots>, now: Instant, has_waited: bool) -> Result<Share<'_>, Ahead> {
        let is_its_turn = has_waited || self.room.waiting.get() == 0;
        self.take_back(now);
        self.forget_unusable(now);
        if is_its_turn && let Some(connection) = self.with_room(now) {
            // There may be room for the next one, too.
            self.room.wake_one();
            return Ok(Share::Open(connection));
        }
        let opening = self.opening.borrow().clone();
        let has_none = self.connections.borrow().is_empty();
        let back = self.comes_back_at().filter(|_| has_none);
        if opening.is_none() && (is_its_turn || has_none) {
            let slot = if has_none || self.may_grow() {
                slots.try_take()
            } else {
                None
            };
            if slot.is_some() || has_none && back.is_none() {
                return Ok(Share::Missing(Opener::begin(self), slot));
            }
        }
        Err(Ahead {
            connecting: opening.filter(|_| has_none),
            back,
            barred: self.barred_since(now),
        })
    }
}

impl Ahead {
    /// Since when the opening waits for the upstream.
    fn connecting_since(&self) -> Option<Instant> {
        self.connecting.as_ref()?.connecting.get()
    }

    /// Since when the wait is the upstream's doing.
    fn upstreams_since(&self) -> Option<Instant> {
        self.connecting_since().or(self.barred)
    }

    /// When to look again at the latest.
    fn until(&self, until: Deadline) -> Deadline {
        let back = self.back.filter(|_| self.connecting.is_none());
        back.map_or(until, |back| {
            until.min(Deadline::after(back, Duration::ZERO))
        })
    }

    /// Whether a connection that was to leave is taken back at `now`.
    fn is_due(&self, now: Instant) -> bool {
        self.connecting.is_none() && self.back.is_some_and(|back| back <= now)
    }

    /// Why a call gives up after a wait that ended so; `None` if it should look again.
    fn missed(
        &self,
        result: Result<(), Vain>,
        wanted: &Wanted<'_>,
        now: Instant,
    ) -> Option<Missed> {
        // The time that the connection itself took, or that the upstream let pass without a call, is the upstream's, the time before ours.
        let had = self
            .upstreams_since()
            .map(|since| now.saturating_duration_since(since.max(wanted.start)));
        let wait = now.saturating_duration_since(wanted.start);
        let held = wait.saturating_sub(had.unwrap_or_default());
        let failure = match (result, had) {
            (Ok(()), _) => self.connecting.as_ref()?.failure.get()?,
            (Err(vain @ Vain::Recalled), _) | (Err(vain), None) => vain.failure(),
            (Err(Vain::Late), Some(had)) if wanted.chance.after(held).was_given(had) => self
                .connecting
                .as_ref()
                .map_or(Failure::Timeout, |_| Failure::ConnectTimeout),
            (Err(Vain::Late), Some(_)) => Failure::CutShort,
        };
        Some(Missed { failure, held })
    }
}

impl<'a> Opener<'a> {
    fn begin(sharing: &'a Sharing) -> Self {
        let opening = Rc::<Opening>::default();
        *sharing.opening.borrow_mut() = Some(Rc::clone(&opening));
        Self { sharing, opening }
    }
}

impl Drop for Opener<'_> {
    fn drop(&mut self) {
        self.sharing.opening.borrow_mut().take();
        self.sharing.room.changed.notify_waiters();
    }
}

impl<'a> Waiter<'a> {
    fn new(here: &'a Cell<usize>, everywhere: &'a AtomicUsize) -> Self {
        here.set(here.get() + 1);
        everywhere.fetch_add(1, Ordering::Relaxed);
        Self(here, everywhere)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

//! A worker's HTTP/2 connections to one endpoint, and the wait for one with room.
//!
//! The peer says how many calls a connection may carry at once. A call beyond that would wait inside the HTTP library, on the upstream's
//! account, and go out even if its caller has left meanwhile: so it waits here, first come, first served, and another connection is
//! opened if there may be one.
//!
//! Other workers may have no connection because ours take all slots. Calls come and go on a shared connection without it ever being
//! unused, so it does not wait for that: as soon as others queue for its slot it gets no more calls, and goes when the last one ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::checkout::Vain;
use super::choice::Choice;
use super::shelf::Stay;
use super::{Checkout, Pool, Unconnected, Wanted};
use crate::failure::{Blame, Failure};
use crate::time::{Deadline, now};
use crate::upstream::http2::{Http2, Rest, Room};
use crate::upstream::slots::{Slot, Slots};

/// A worker's HTTP/2 connections to one endpoint.
pub(super) struct Sharing {
    is_spoken: Cell<bool>,
    connections: RefCell<Vec<Http2>>,
    /// Those that get no more calls because others wait for their slots.
    leaving: RefCell<Vec<Rest>>,
    opening: RefCell<Option<Rc<Opening>>>,
    room: Rc<Room>,
    /// How many calls a connection may carry at once, as the peer last said.
    known: Cell<usize>,
}

/// What a caller finds, and whether it had to wait for that.
struct Found<'a> {
    share: Share<'a>,
    /// How long, if it had to.
    waited: Option<Duration>,
}

enum Share<'a> {
    Open(Http2),
    /// It is the caller's to open one, with that slot if there was one.
    Missing(Opener<'a>, Option<Slot>),
}

/// Why a caller finds nothing, and how long it was held back by us.
struct Missed {
    failure: Failure,
    held: Duration,
}

/// A connection being opened.
#[derive(Default)]
struct Opening {
    /// Since when it is the upstream that is waited for; until then it is a slot.
    connecting: Cell<Option<Instant>>,
    /// Why there is none, where that is as true for those who wait: one after the other would only find the same.
    failure: Cell<Option<Failure>>,
}

/// Who opens it; his end, good or bad, is that of the opening.
struct Opener<'a> {
    sharing: &'a Sharing,
    opening: Rc<Opening>,
}

/// Counts one that waits.
struct Waiter<'a>(&'a Cell<usize>, &'a AtomicUsize);

impl Pool {
    /// A share in an HTTP/2 connection of this worker to that endpoint. Who finds none with room waits for one, or opens another.
    pub(super) async fn share_http2(
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
    pub(super) fn new(is_spoken: bool) -> Self {
        Self {
            is_spoken: Cell::new(is_spoken),
            connections: RefCell::default(),
            leaving: RefCell::default(),
            opening: RefCell::default(),
            room: Rc::default(),
            known: Cell::new(usize::MAX),
        }
    }

    /// Whether the upstream speaks HTTP/2: as configured, until a connection has shown it.
    pub(super) fn is_spoken(&self) -> bool {
        self.is_spoken.get()
    }

    pub(super) fn set_spoken(&self, is_spoken: bool) {
        self.is_spoken.set(is_spoken);
    }

    /// Has that connection share its calls from now on; a share for whoever opened it.
    pub(super) fn adopt(&self, connection: Http2, now: Instant) -> Http2 {
        self.forget_unusable(now);
        let share = connection.clone();
        self.connections.borrow_mut().push(connection);
        self.room.changed.notify_waiters();
        share
    }

    /// A share in a connection with room, for a call that has not waited: those who wait go before it, and so do other workers that
    /// wait for a slot.
    pub(super) fn current(&self, slots: &Slots, now: Instant) -> Option<Http2> {
        self.give_way(slots);
        if self.room.waiting.get() > 0 {
            return None;
        }
        self.with_room(now)
    }

    fn with_room(&self, now: Instant) -> Option<Http2> {
        let connections = self.connections.borrow();
        let mut usable = connections.iter().filter(|one| one.is_usable(now));
        usable
            .find(|connection| connection.has_room(&self.known))
            .cloned()
    }

    /// Lets go of the connections; the calls on them end in their own time.
    pub(super) fn close(&self) {
        self.connections.borrow_mut().clear();
    }

    /// Closes a connection that no call is on; whether there was one.
    pub(super) fn close_unused(&self) -> bool {
        let mut connections = self.connections.borrow_mut();
        let place = connections.iter().position(Http2::is_unused);
        place.map(|place| connections.remove(place)).is_some()
    }

    /// Has as many connections leave as slots are waited for; whether one more did.
    pub(super) fn give_way(&self, slots: &Slots) -> bool {
        let wanted = slots.waiting();
        if wanted == 0 {
            return false;
        }
        let mut leaving = self.leaving.borrow_mut();
        leaving.retain(|rest| rest.strong_count() > 0);
        if leaving.len() >= wanted {
            return false;
        }
        let mut connections = self.connections.borrow_mut();
        let unused = connections.iter().position(Http2::is_unused);
        let Some(place) = unused.or_else(|| connections.len().checked_sub(1)) else {
            return false;
        };
        let connection = connections.remove(place);
        connection.retire();
        leaving.push(connection.rest());
        true
    }

    /// A call has left a connection, or did not need one any more.
    pub(super) fn has_left(&self, slots: &Slots) {
        if slots.waiting() > 0 {
            self.close_unused();
        }
        self.room.wake_one();
    }

    /// Who waits for room on its connections.
    pub(super) fn room(&self) -> Rc<Room> {
        Rc::clone(&self.room)
    }

    /// It is the upstream that the opening of a connection waits for, from `now` on.
    pub(super) fn connects(&self, now: Instant) {
        if let Some(opening) = &*self.opening.borrow() {
            opening.connecting.set(Some(now));
            self.room.changed.notify_waiters();
        }
    }

    /// Lets go of connections that are closed or too old; the calls on them end in their own time.
    pub(super) fn forget_unusable(&self, now: Instant) {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| connection.is_usable(now));
    }

    /// The same, and of those that nobody uses while there is another with room.
    pub(super) fn tidy(&self, now: Instant) {
        self.forget_unusable(now);
        let mut connections = self.connections.borrow_mut();
        if connections
            .first()
            .is_some_and(|first| first.has_room(&self.known))
        {
            let mut is_first = true;
            connections.retain(|one| std::mem::take(&mut is_first) || !one.is_unused());
        }
    }

    /// Whether another connection would help: all carry what they may, and may carry anything.
    fn may_grow(&self) -> bool {
        let connections = self.connections.borrow();
        !connections.iter().any(Http2::is_unused)
    }

    async fn find(&self, pool: &Pool, wanted: &Wanted<'_>) -> Result<Found<'_>, Missed> {
        let (upstream, begin) = (&pool.upstream, wanted.start);
        let acquire_timeout = upstream.plan().pool.acquire_timeout;
        let patience = Deadline::after(begin, acquire_timeout).min(wanted.deadline);
        let mut waited: Option<Duration> = None;
        loop {
            let is_its_turn = waited.is_some() || self.room.waiting.get() == 0;
            self.forget_unusable(begin + waited.unwrap_or_default());
            if is_its_turn && let Some(connection) = self.with_room(begin) {
                // There may be room for the next one, too.
                self.room.wake_one();
                let share = Share::Open(connection);
                return Ok(Found { share, waited });
            }
            let opening = self.opening.borrow().clone();
            let has_none = self.connections.borrow().is_empty();
            if opening.is_none() && (is_its_turn || has_none) {
                let slot = if has_none || self.may_grow() {
                    upstream.slots.try_take()
                } else {
                    None
                };
                if has_none || slot.is_some() {
                    let share = Share::Missing(Opener::begin(self), slot);
                    return Ok(Found { share, waited });
                }
            }
            let connecting = opening.filter(|_| has_none);
            let since = || connecting.as_ref()?.connecting.get();
            let until = since().map_or(patience, |_| wanted.deadline);
            let result = {
                let _waiter = Waiter::new(&self.room.waiting, &upstream.waiting);
                let held = wanted.held.filter(|_| since().is_none());
                let wanted = Wanted { held, ..*wanted };
                wanted.wait(until, self.room.changed.notified()).await
            };
            let now = now();
            let wait = now.saturating_duration_since(begin);
            waited = Some(wait);
            // What the connection itself took is the upstream's, and what came before ours.
            let had = since().map(|since| now.saturating_duration_since(since.max(begin)));
            let held = wait.saturating_sub(had.unwrap_or_default());
            let failure = match (result, had) {
                (Ok(()), _) => connecting.as_ref().and_then(|one| one.failure.get()),
                (Err(vain @ Vain::Recalled), _) | (Err(vain), None) => Some(vain.failure()),
                (Err(Vain::Late), Some(had)) if wanted.chance.after(held).was_given(had) => {
                    Some(Failure::ConnectTimeout)
                }
                (Err(Vain::Late), Some(_)) => Some(Failure::CutShort),
            };
            if let Some(failure) = failure {
                return Err(Missed { failure, held });
            }
        }
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

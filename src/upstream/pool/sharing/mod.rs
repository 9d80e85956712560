//! A worker's HTTP/2 connections to one endpoint, and the wait for one with room.
//!
//! The peer says how many calls a connection may carry at once. A call beyond that would wait inside the HTTP library, where
//! the wait would count as the upstream's and the call would go out even if its caller has left meanwhile. So it waits here,
//! first come, first served, and another connection is opened if `max` allows one.
//!
//! Other workers may have no connection because ours take all slots. A shared connection may never be unused, so as soon as
//! other workers queue for its slot it gets no more calls and closes with its last one. That call may never end (a stream), and
//! then no worker would have a connection to use. So after [`LEAVING`] the connection takes calls again, and is not asked to
//! leave before the calls have ended that kept it.

mod search;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::upstream::http2::{Http2, Rest, Room};
use crate::upstream::slots::Slots;

/// How long a connection that is to leave gets no calls. Most calls end within that time, and a caller can wait that long.
const LEAVING: Duration = Duration::from_secs(5);

/// A worker's HTTP/2 connections to one endpoint.
pub(super) struct Sharing {
    is_spoken: Cell<bool>,
    connections: RefCell<Vec<Http2>>,
    /// Those that get no more calls because others wait for their slots, and until when.
    leaving: RefCell<Vec<(Rest, Instant)>>,
    opening: RefCell<Option<Rc<Opening>>>,
    room: Rc<Room>,
    /// How many calls a connection may carry at once, as the peer last said.
    known: Cell<usize>,
    /// Since when the peer has allowed no call at all.
    barred: Cell<Option<Instant>>,
}

/// A connection being opened.
#[derive(Default)]
struct Opening {
    /// Since when the opening waits for the upstream; before that it waits for a slot.
    connecting: Cell<Option<Instant>>,
    /// Why it failed, if that holds for the waiting calls as well: each of them would only find the same.
    failure: Cell<Option<Failure>>,
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
            barred: Cell::default(),
        }
    }

    /// Whether the upstream speaks HTTP/2: as configured, until a connection has shown it.
    pub(super) fn is_spoken(&self) -> bool {
        self.is_spoken.get()
    }

    pub(super) fn set_spoken(&self, is_spoken: bool) {
        self.is_spoken.set(is_spoken);
    }

    /// Shares that connection among calls from now on; returns a share for the call that opened it.
    pub(super) fn adopt(&self, connection: Http2, now: Instant) -> Http2 {
        self.forget_unusable(now);
        let share = connection.share();
        self.connections.borrow_mut().push(connection);
        self.room.changed.notify_waiters();
        share
    }

    /// A share in a connection with room, for a call that has not waited: waiting calls go first, and so do other workers that
    /// wait for a slot.
    pub(super) fn current(&self, slots: &Slots, now: Instant) -> Option<Http2> {
        self.give_way(slots, now);
        self.take_back(now);
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
            .map(Http2::share)
    }

    /// Drops the connections; calls on them go on to their end.
    pub(super) fn close(&self) {
        self.connections.borrow_mut().clear();
    }

    /// Closes one connection without calls; says whether there was one.
    pub(super) fn close_unused(&self) -> bool {
        let mut connections = self.connections.borrow_mut();
        let place = connections.iter().position(Http2::is_unused);
        place.map(|place| connections.remove(place)).is_some()
    }

    /// Asks one more connection to leave if fewer are leaving than slots are waited for; says whether it did.
    pub(super) fn give_way(&self, slots: &Slots, now: Instant) -> bool {
        let wanted = slots.waiting();
        if wanted == 0 {
            return false;
        }
        let mut leaving = self.leaving.borrow_mut();
        leaving.retain(|(rest, _)| !rest.is_over());
        if leaving.len() >= wanted {
            return false;
        }
        let mut connections = self.connections.borrow_mut();
        let unused = connections.iter().position(Http2::is_unused);
        let Some(place) = unused.or_else(|| connections.iter().rposition(Http2::may_leave)) else {
            return false;
        };
        let connection = connections.remove(place);
        leaving.push((connection.leave(), now + LEAVING));
        true
    }

    /// Takes back connections that could not leave within [`LEAVING`].
    fn take_back(&self, now: Instant) {
        let mut leaving = self.leaving.borrow_mut();
        let back = leaving.extract_if(.., |(rest, until)| rest.is_over() || *until <= now);
        let back = back.filter_map(|(rest, _)| rest.back());
        self.connections.borrow_mut().extend(back);
    }

    /// When the next one is taken back, unless it leaves before.
    fn comes_back_at(&self) -> Option<Instant> {
        let leaving = self.leaving.borrow();
        let staying = leaving.iter().filter(|(rest, _)| !rest.is_over());
        staying.map(|(_, until)| *until).min()
    }

    /// Says that a call has left a connection, or no longer needs one.
    pub(super) fn has_left(&self, slots: &Slots) {
        if slots.waiting() > 0 {
            self.close_unused();
        }
        self.room.wake_one();
    }

    /// The calls that wait for room on the connections.
    pub(super) fn room(&self) -> Rc<Room> {
        Rc::clone(&self.room)
    }

    /// Says that the opening of a connection waits for the upstream from `now` on.
    pub(super) fn connects(&self, now: Instant) {
        if let Some(opening) = &*self.opening.borrow() {
            opening.connecting.set(Some(now));
            self.room.changed.notify_waiters();
        }
    }

    /// Drops connections that are closed or too old; calls on them go on to their end.
    pub(super) fn forget_unusable(&self, now: Instant) {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| connection.is_usable(now));
    }

    /// The same, and drops unused connections while another has room.
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

    /// Since when the peer has allowed no call on any of the connections, if it allows none at `now`.
    fn barred_since(&self, now: Instant) -> Option<Instant> {
        let connections = self.connections.borrow();
        let is_barred = !connections.is_empty() && connections.iter().all(Http2::is_barred);
        let since = is_barred.then(|| self.barred.get().unwrap_or(now));
        self.barred.set(since);
        since
    }

    /// Whether another connection would help: all are at the peer's limit, and that limit is not 0.
    fn may_grow(&self) -> bool {
        let connections = self.connections.borrow();
        !connections.iter().any(Http2::is_unused)
    }
}

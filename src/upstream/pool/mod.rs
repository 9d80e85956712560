//! A worker's own connections to one upstream.
//!
//! The last one used is used first (LIFO), so that those that are not needed grow old and are evicted. A connection found closed is
//! passed over. `max` is kept by the [`Slots`](super::Slots) that all workers share; the connections to each endpoint lie on a shelf of
//! their own.

mod checkout;
mod choice;
mod sharing;
mod shelf;
mod tunnel;
mod turn;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use self::checkout::{Checkout, Recall, Unconnected, Wanted, Way};
use self::choice::Choice;
use self::shelf::Shelf;
pub(super) use self::shelf::Stay;
use super::endpoint::Connected;
use super::http1::{self, Http1};
use super::http2::{self, Http2};
use super::raw::Raw;
use super::slots::Slot;
use super::{Purpose, Upstream};
use crate::config::plan::HttpVersion;
use crate::failure::{Blame, Failure};
use crate::resilience::{Chance, Label, Sample};
use crate::time::{Deadline, now};

/// The most endpoints that a call is tried at if it cannot be sent: the first and three more, as with HAProxy's `retries 3` and
/// `redispatch`. When all endpoints are gone, each call tries this many connections until the breaker opens.
const MOST_TRIES: u32 = 4;

/// A connection unused for this long is polled before use: its peer may have closed it, and its own task may not have run
/// since.
const COLD: Duration = Duration::from_millis(5);

/// A worker's own connections to one upstream.
pub struct Pool {
    upstream: Arc<Upstream>,
    worker: usize,
    /// This worker's share of `min`.
    min: usize,
    shelves: RefCell<Shelves>,
    /// Connections on their way to calls in the queue, by their tickets.
    handed: RefCell<HashMap<u64, Handed>>,
    opening_ahead: Cell<usize>,
    /// Counts the pool's HTTP/1.1 connections: each holds a clone.
    living: Rc<()>,
}

/// A connection that is handed over, with its shelf.
type Handed = (Box<Http1>, Rc<Shelf>);

/// A shelf per endpoint of the upstream's set, and the version of that set.
struct Shelves {
    version: u64,
    list: Rc<[Rc<Shelf>]>,
}

impl Pool {
    /// The pool of the worker with that index among `workers`.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, worker: usize, workers: usize) -> Rc<Self> {
        let min = upstream.plan().pool.min;
        let share = min / workers.max(1) + usize::from(worker < min % workers.max(1));
        let pool = Self {
            shelves: RefCell::new(Shelves::of(&upstream, &[])),
            upstream,
            worker,
            min: share,
            handed: RefCell::default(),
            opening_ahead: Cell::new(0),
            living: Rc::default(),
        };
        Rc::new(pool)
    }

    /// The upstream that the connections lead to.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Gets a connection for one call, to the endpoint that the balancer picks: the one used last, else a new one, else the
    /// next that comes free. If none can be opened to an endpoint, another endpoint is tried.
    ///
    /// # Errors
    /// `Overloaded` when all `max` stay in use for `acquire_timeout` or until the deadline; `CircuitOpen` when the call was called off
    /// while it waited; else why no connection could be opened. Either way the call was never sent.
    pub async fn checkout(self: &Rc<Self>, wanted: Wanted<'_>) -> Result<Checkout, Unconnected> {
        let mut choice = Choice::new(self.shelves());
        let (mut wanted, mut at) = (wanted, wanted.start);
        let mut failed: Option<Unconnected> = None;
        while let Some(stay) = choice.make(self, &wanted, at) {
            let mut unconnected = match self.connect(stay, &choice, &wanted).await {
                Ok(mut checkout) => {
                    if let Some(failed) = failed {
                        checkout.way.follow(failed.gives_way());
                    }
                    return Ok(checkout);
                }
                Err(unconnected) => unconnected,
            };
            let wait = unconnected.way.queued.unwrap_or_default();
            wanted.chance = wanted.chance.after(wait);
            if let Some(failed) = failed.take() {
                unconnected.way.follow(failed.gives_way());
            }
            let is_last = choice.shelves.len() == 1;
            if is_last || unconnected.failure.blame() != Blame::Upstream {
                return Err(unconnected);
            }
            choice.rule_out(unconnected.endpoint.as_deref());
            at = now();
            if choice.tries() >= MOST_TRIES || wanted.deadline.has_passed(at) {
                return Err(unconnected);
            }
            failed = Some(unconnected);
        }
        Err(failed.unwrap_or(Unconnected {
            failure: Failure::Internal,
            endpoint: None,
            way: Way::default(),
        }))
    }

    /// Gets a connection to the stay's endpoint; at `max` to any.
    async fn connect(
        self: &Rc<Self>,
        stay: Stay,
        choice: &Choice,
        wanted: &Wanted<'_>,
    ) -> Result<Checkout, Unconnected> {
        // The rare branches are boxed: else the future of every call would have room for opening a connection.
        if wanted.purpose == Purpose::Tunnel {
            return Box::pin(self.dig(stay, choice, wanted)).await;
        }
        if wanted.purpose == Purpose::Call && stay.shelf.sharing.is_spoken() {
            if let Some(connection) = stay
                .shelf
                .sharing
                .current(&self.upstream.slots, wanted.start)
            {
                return Ok(Checkout::http2(connection, stay, None));
            }
            return Box::pin(self.share_http2(stay, choice, wanted)).await;
        }
        if let Some(connection) = self.reuse(&stay.shelf, wanted.start).await {
            return Ok(Checkout::http1(connection, stay, None));
        }
        match self.upstream.slots.try_take() {
            Some(slot) => Box::pin(self.open(slot, stay, wanted, None)).await,
            None => Box::pin(self.make_do(stay, choice, wanted)).await,
        }
    }

    /// Takes back a connection whose call is done, or hands it to the first in the queue.
    fn put(&self, connection: Box<Http1>, shelf: &Rc<Shelf>) {
        if !connection.is_usable(connection.idle_since()) || !shelf.is_in_service() {
            return;
        }
        if self.upstream.slots.waiting() > 0 {
            match self.upstream.slots.hand_over(self.worker) {
                Some(ticket) => {
                    let shelf = Rc::clone(shelf);
                    self.handed.borrow_mut().insert(ticket, (connection, shelf));
                }
                // Dropped: its slot goes to the first in the queue, which is on another worker.
                None if self.upstream.slots.waiting() > 0 => {}
                None => self.rest(connection, shelf),
            }
        } else {
            self.rest(connection, shelf);
        }
    }

    fn rest(&self, connection: Box<Http1>, shelf: &Shelf) {
        shelf.idle.borrow_mut().push_back(connection);
        self.upstream.available.fetch_add(1, Ordering::Relaxed);
    }

    async fn reuse(&self, shelf: &Shelf, now: Instant) -> Option<Box<Http1>> {
        loop {
            let mut connection = shelf.idle.borrow_mut().pop_back()?;
            self.upstream.available.fetch_sub(1, Ordering::Relaxed);
            if now.saturating_duration_since(connection.idle_since()) >= COLD {
                connection.look();
            }
            if connection.is_usable(now) && connection.settle(now).await {
                return Some(connection);
            }
        }
    }

    /// Opens a connection for a call; a failure is recorded for its endpoint.
    async fn open(
        self: &Rc<Self>,
        slot: Slot,
        mut stay: Stay,
        wanted: &Wanted<'_>,
        queued: Option<Duration>,
    ) -> Result<Checkout, Unconnected> {
        let begin = now();
        let shelf = Rc::clone(&stay.shelf);
        if wanted.purpose == Purpose::Call {
            shelf.sharing.connects(begin);
        }
        let berth = Berth::at(&shelf, slot);
        match self.open_to(&shelf, berth, begin, wanted).await {
            Ok(Opened::Http1(connection)) => Ok(Checkout::http1(connection, stay, queued)),
            Ok(Opened::Http2(connection)) => Ok(Checkout::http2(connection, stay, queued)),
            Ok(Opened::Raw(raw)) => Ok(Checkout::raw(raw, stay, queued)),
            Err(failure) => {
                let now = now();
                let took = now.saturating_duration_since(begin);
                let chance = wanted.chance.after(queued.unwrap_or_default());
                let failure = self.judge(failure, (took, now), chance, wanted.deadline);
                if failure.blame() == Blame::Upstream {
                    let label = Label::Named(failure.label());
                    stay.record(Sample::failure(label).after(took), now);
                }
                Err(Unconnected::from(&shelf, failure, queued))
            }
        }
    }

    /// Decides what a failure to connect is called: if the call's own deadline left too little time, it proves nothing about
    /// the upstream.
    fn judge(
        &self,
        failure: Failure,
        (had, now): (Duration, Instant),
        chance: Chance,
        deadline: Deadline,
    ) -> Failure {
        let is_late = matches!(failure, Failure::ConnectTimeout | Failure::Dns);
        let fair = chance.fair.min(self.upstream.plan().connect_timeout / 2);
        if is_late && deadline.has_passed(now) && !(Chance { fair, ..chance }).was_given(had) {
            Failure::CutShort
        } else {
            failure
        }
    }

    async fn open_to(
        &self,
        shelf: &Shelf,
        berth: Berth,
        begin: Instant,
        wanted: &Wanted<'_>,
    ) -> Result<Opened, Failure> {
        let opening = self
            .upstream
            .open(&shelf.endpoint, begin, wanted.deadline, wanted.purpose);
        let (io, is_http2) = opening.await.map_err(|error| {
            tracing::debug!(
                endpoint = &**shelf.endpoint.label(),
                error = &error as &dyn std::error::Error,
                "cannot connect"
            );
            error.failure
        })?;
        let now = now();
        let expires = self.expiry(now);
        let Berth { slot, connected } = berth;
        if wanted.purpose == Purpose::Tunnel {
            return Ok(Opened::Raw(Raw {
                stream: Some(io),
                _slot: slot,
                _connected: connected,
            }));
        }
        if is_http2 {
            shelf.sharing.set_spoken(true);
            let birth = http2::Birth {
                slot,
                connected,
                expires,
                room: shelf.sharing.room(),
                upstream: Arc::clone(&self.upstream),
                endpoint: Arc::clone(shelf.endpoint.label()),
            };
            let connection = Http2::handshake(io, birth)
                .await
                .map_err(|_| Failure::Protocol)?;
            return Ok(Opened::Http2(shelf.sharing.adopt(connection, now)));
        }
        if wanted.purpose == Purpose::Call {
            shelf.sharing.set_spoken(false);
        }
        let birth = http1::Birth {
            slot,
            connected,
            now,
            expires,
            living: Rc::clone(&self.living),
        };
        let connection = Http1::handshake(io, birth).await;
        connection.map(Opened::Http1).map_err(|_| Failure::Protocol)
    }

    /// The shelves of the endpoints in force; those of endpoints that went are cleared.
    fn shelves(&self) -> Rc<[Rc<Shelf>]> {
        let mut shelves = self.shelves.borrow_mut();
        if shelves.version != self.upstream.endpoints().version() {
            let fresh = Shelves::of(&self.upstream, &shelves.list);
            for shelf in &*shelves.list {
                if !fresh.list.iter().any(|kept| Rc::ptr_eq(kept, shelf)) {
                    shelf.is_retired.set(true);
                    self.clear(shelf);
                }
            }
            *shelves = fresh;
        }
        Rc::clone(&shelves.list)
    }

    /// Closes the unused connections of a shelf.
    fn clear(&self, shelf: &Shelf) {
        let idle = std::mem::take(&mut *shelf.idle.borrow_mut());
        self.upstream
            .available
            .fetch_sub(idle.len(), Ordering::Relaxed);
        shelf.sharing.close();
    }

    /// Spreads the ends of connections that began together over the last tenth of their lifetime.
    fn expiry(&self, now: Instant) -> Instant {
        let lifetime = self.upstream.plan().pool.max_lifetime;
        let spread = fastrand::u32(..100);
        Deadline::after(now, lifetime - lifetime / 1000 * spread).instant()
    }
}

/// The right to one connection, which counts among its endpoint's from then on.
struct Berth {
    slot: Slot,
    connected: Connected,
}

/// A connection just opened.
enum Opened {
    Http1(Box<Http1>),
    Http2(Http2),
    Raw(Raw),
}

impl Berth {
    fn at(shelf: &Shelf, slot: Slot) -> Self {
        Self {
            slot,
            connected: Connected::to(&shelf.endpoint),
        }
    }
}

impl Shelves {
    /// The shelves of the upstream's endpoints now, taken from `old` where it has them.
    fn of(upstream: &Upstream, old: &[Rc<Shelf>]) -> Self {
        let (version, set) = upstream.endpoints().current();
        let speaks_http2 = upstream.plan().http == HttpVersion::Http2;
        let list = set.iter().map(|endpoint| {
            let mut old = old.iter();
            let kept = old.find(|shelf| shelf.endpoint.id() == endpoint.id());
            kept.map_or_else(|| Shelf::new(Arc::clone(endpoint), speaks_http2), Rc::clone)
        });
        Self {
            version,
            list: list.collect(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let list = Rc::clone(&self.shelves.borrow().list);
        list.iter().for_each(|shelf| self.clear(shelf));
    }
}

//! A worker's own connections to one upstream.
//!
//! The last one used is used first (LIFO), so that those that are not needed grow old and are evicted. A connection found closed is
//! passed over. `max` is kept by the [`Slots`](super::Slots) that all workers share.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::client::{Birth, Http1, Http2, Lease, handshake_http1, handshake_http2};
use super::slots::{Grant, Slot};
use super::{Purpose, Upstream};
use crate::config::plan::HttpVersion;
use crate::failure::Failure;
use crate::time::{Deadline, now};

/// An unused connection this old may have been closed without our having noticed yet: one turn of the event loop tells.
const COLD: Duration = Duration::from_millis(5);

/// A worker's own connections to one upstream.
pub struct Pool {
    upstream: Arc<Upstream>,
    worker: usize,
    /// How many of `min` are this worker's to keep.
    min: usize,
    idle: RefCell<VecDeque<Http1>>,
    handed: RefCell<HashMap<u64, Http1>>,
    http2: RefCell<Option<Http2>>,
    speaks_http2: Cell<bool>,
    opening_http2: RefCell<Option<Rc<Notify>>>,
    opening_ahead: Cell<usize>,
    /// Every HTTP/1.1 connection of this pool has a clone of it.
    living: Rc<()>,
}

/// What a pool gives on request.
pub struct Checkout {
    /// The connection.
    pub lease: Lease,
    /// Whether the call had to wait in the queue.
    pub has_waited: bool,
}

impl Pool {
    /// The pool of one worker of so many.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, worker: usize, workers: usize) -> Rc<Self> {
        let min = upstream.plan().pool.min;
        let share = min / workers.max(1) + usize::from(worker < min % workers.max(1));
        let speaks_http2 = Cell::new(upstream.plan().http == HttpVersion::Http2);
        Rc::new(Self {
            upstream,
            worker,
            min: share,
            idle: RefCell::default(),
            handed: RefCell::default(),
            http2: RefCell::default(),
            speaks_http2,
            opening_http2: RefCell::default(),
            opening_ahead: Cell::new(0),
            living: Rc::default(),
        })
    }

    /// Whose connections these are.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// A connection for one call: the one used last, else a new one, else the next that comes free.
    ///
    /// # Errors
    /// `Overloaded` when all `max` stay in use for `acquire_timeout` or until `deadline`; else why no connection could be opened.
    /// Either way the call was never sent.
    pub async fn checkout(
        self: &Rc<Self>,
        start: Instant,
        deadline: Deadline,
        purpose: Purpose,
    ) -> Result<Checkout, Failure> {
        if purpose == Purpose::Call && self.speaks_http2.get() {
            return self.share_http2(start, deadline).await;
        }
        if let Some(connection) = self.reuse(start).await {
            return Ok(self.lend(connection, false));
        }
        match self.upstream.slots.try_take() {
            Some(slot) => self.open(slot, deadline, purpose, false).await,
            None => self.queue(start, deadline, purpose).await,
        }
    }

    /// Takes a connection back whose call is done; the first in the queue gets it.
    pub(super) fn put(self: &Rc<Self>, connection: Http1) {
        if !connection.is_open() || connection.idle_since >= connection.expires {
            return;
        }
        if self.upstream.slots.waiting() > 0 {
            match self.upstream.slots.hand_over(self.worker) {
                Some(ticket) => {
                    self.handed.borrow_mut().insert(ticket, connection);
                }
                // Dropped: its slot goes to the first in the queue, who is of another worker.
                None if self.upstream.slots.waiting() > 0 => {}
                None => self.rest(connection),
            }
        } else {
            self.rest(connection);
        }
    }

    /// Closes what is too old, idle for too long or wanted elsewhere, and opens what `min` misses.
    pub fn maintain(self: &Rc<Self>, now: Instant) {
        let plan = &self.upstream.plan().pool;
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|connection| connection.is_open() && connection.expires > now);
        while self.living() > self.min
            && idle.front().is_some_and(|oldest| {
                now.saturating_duration_since(oldest.idle_since) >= plan.idle_timeout
            })
        {
            idle.pop_front();
        }
        let kept = idle.len();
        drop(idle);
        self.upstream
            .available
            .fetch_sub(before - kept, Ordering::Relaxed);
        let mut http2 = self.http2.borrow_mut();
        if http2
            .as_ref()
            .is_some_and(|connection| !connection.is_open() || connection.expires <= now)
        {
            *http2 = None;
        }
        drop(http2);
        self.fill();
    }

    /// Closes unused connections, the oldest first, while callers of other workers wait for a slot.
    pub fn shed(&self) {
        while self.upstream.slots.waiting() > 0 {
            let Some(oldest) = self.idle.borrow_mut().pop_front() else {
                return;
            };
            self.upstream.available.fetch_sub(1, Ordering::Relaxed);
            drop(oldest);
        }
    }

    /// HTTP/1.1 connections of this worker, in use or not.
    fn living(&self) -> usize {
        Rc::strong_count(&self.living) - 1
    }

    /// Opens what `min` misses, without anybody waiting for it. A failure is tried again at the next look.
    fn fill(self: &Rc<Self>) {
        if self.speaks_http2.get() {
            return;
        }
        let enough = self.upstream.plan().pool.min;
        for _ in self.living() + self.opening_ahead.get()..self.min {
            let Some(slot) = self.upstream.slots.try_take_below(enough) else {
                return;
            };
            self.opening_ahead.set(self.opening_ahead.get() + 1);
            let pool = Rc::clone(self);
            tokio::task::spawn_local(async move {
                let deadline = Deadline::after(now(), pool.upstream.plan().connect_timeout);
                if let Ok(Checkout { lease, .. }) =
                    pool.open(slot, deadline, Purpose::Call, false).await
                {
                    lease.keep(now());
                }
                pool.opening_ahead.set(pool.opening_ahead.get() - 1);
            });
        }
    }

    fn rest(&self, connection: Http1) {
        self.idle.borrow_mut().push_back(connection);
        self.upstream.available.fetch_add(1, Ordering::Relaxed);
    }

    fn lend(self: &Rc<Self>, connection: Http1, has_waited: bool) -> Checkout {
        Checkout {
            lease: Lease::http1(connection, Rc::clone(self)),
            has_waited,
        }
    }

    async fn reuse(&self, now: Instant) -> Option<Http1> {
        loop {
            let mut connection = self.idle.borrow_mut().pop_back()?;
            self.upstream.available.fetch_sub(1, Ordering::Relaxed);
            if now.saturating_duration_since(connection.idle_since) >= COLD {
                tokio::task::yield_now().await;
            }
            if connection.is_open() && connection.expires > now && connection.settle(now).await {
                return Some(connection);
            }
        }
    }

    async fn open(
        self: &Rc<Self>,
        slot: Slot,
        deadline: Deadline,
        purpose: Purpose,
        has_waited: bool,
    ) -> Result<Checkout, Failure> {
        let begin = now();
        let (io, is_http2) = self.upstream.open(begin, deadline, purpose).await.map_err(|error| {
            tracing::debug!(upstream = ?self.upstream.plan().authority, error = &error as &dyn std::error::Error, "cannot connect");
            error.failure
        })?;
        let now = now();
        let expires = self.expiry(now);
        if is_http2 {
            self.speaks_http2.set(true);
            let connection = handshake_http2(io, slot, expires)
                .await
                .map_err(|_| Failure::Protocol)?;
            let shared = self.http2.borrow_mut().get_or_insert(connection).clone();
            return Ok(Checkout {
                lease: Lease::http2(shared),
                has_waited,
            });
        }
        if purpose == Purpose::Call {
            self.speaks_http2.set(false);
        }
        let birth = Birth {
            slot,
            now,
            expires,
            living: Rc::clone(&self.living),
        };
        let connection = handshake_http1(io, birth)
            .await
            .map_err(|_| Failure::Protocol)?;
        Ok(self.lend(connection, has_waited))
    }

    async fn queue(
        self: &Rc<Self>,
        start: Instant,
        deadline: Deadline,
        purpose: Purpose,
    ) -> Result<Checkout, Failure> {
        let place = self.upstream.slots.wait(self.worker);
        let turn = Turn {
            pool: self,
            ticket: place.ticket(),
        };
        let patience = deadline.min(Deadline::after(
            start,
            self.upstream.plan().pool.acquire_timeout,
        ));
        match crate::time::timeout_at(patience, place.turn()).await {
            // What is opened now would come too late for this caller; the slot goes to the next.
            Ok(Some(Grant::Slot(_))) if patience.has_passed(now()) => Err(Failure::Overloaded),
            Ok(Some(Grant::Slot(slot))) => self.open(slot, deadline, purpose, true).await,
            Ok(Some(Grant::Handed)) => {
                let Some(mut connection) = turn.collect() else {
                    return Err(Failure::Internal);
                };
                // It has just answered another call, so there is no need to doubt it beyond its own word.
                if connection.settle(now()).await {
                    Ok(self.lend(connection, true))
                } else {
                    self.open(connection.into_slot(), deadline, purpose, true)
                        .await
                }
            }
            Ok(None) => Err(Failure::Internal),
            Err(crate::time::Elapsed) => Err(Failure::Overloaded),
        }
    }

    /// The one HTTP/2 connection of this worker; whoever comes while it is being opened waits for that.
    async fn share_http2(
        self: &Rc<Self>,
        start: Instant,
        deadline: Deadline,
    ) -> Result<Checkout, Failure> {
        let mut has_waited = false;
        loop {
            let current = self.http2.borrow().clone();
            if let Some(connection) =
                current.filter(|connection| connection.is_open() && connection.expires > start)
            {
                return Ok(Checkout {
                    lease: Lease::http2(connection),
                    has_waited,
                });
            }
            let opening = self.opening_http2.borrow().clone();
            let Some(opening) = opening else { break };
            has_waited = true;
            if crate::time::timeout_at(deadline, opening.notified())
                .await
                .is_err()
            {
                return Err(Failure::ConnectTimeout);
            }
        }
        *self.http2.borrow_mut() = None;
        let _opening = Opening::begin(self);
        match self.upstream.slots.try_take() {
            Some(slot) => self.open(slot, deadline, Purpose::Call, has_waited).await,
            None => self.queue(start, deadline, Purpose::Call).await,
        }
    }

    /// Spreads the ends of connections that began together over the last tenth of their lifetime.
    fn expiry(&self, now: Instant) -> Instant {
        let lifetime = self.upstream.plan().pool.max_lifetime;
        let spread = u32::from(uuid::Uuid::new_v4().as_bytes()[0]) % 100;
        Deadline::after(now, lifetime - lifetime / 1000 * spread).instant()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.upstream
            .available
            .fetch_sub(self.idle.borrow().len(), Ordering::Relaxed);
    }
}

/// A wait in the queue: a connection that was handed over to a caller who left is not lost.
struct Turn<'a> {
    pool: &'a Rc<Pool>,
    ticket: u64,
}

impl Turn<'_> {
    fn collect(&self) -> Option<Http1> {
        self.pool.handed.borrow_mut().remove(&self.ticket)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.collect() {
            self.pool.put(connection);
        }
    }
}

/// An HTTP/2 connection being opened; its end, good or bad, wakes those who wait for it.
struct Opening<'a> {
    pool: &'a Pool,
}

impl<'a> Opening<'a> {
    fn begin(pool: &'a Pool) -> Self {
        *pool.opening_http2.borrow_mut() = Some(Rc::default());
        Self { pool }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(opening) = self.pool.opening_http2.borrow_mut().take() {
            opening.notify_waiters();
        }
    }
}

//! A worker's own connections to one upstream.
//!
//! The last one used is used first (LIFO), so that those that are not needed grow old and are evicted. A connection found closed is
//! passed over. `max` is kept by the [`Slots`](super::Slots) that all workers share.

mod sharing;
mod turn;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::sharing::Sharing;
use super::http1::{Birth, Http1};
use super::http2::Http2;
use super::lease::Lease;
use super::slots::Slot;
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
    sharing: Sharing,
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
        let speaks_http2 = upstream.plan().http == HttpVersion::Http2;
        Rc::new(Self {
            upstream,
            worker,
            min: share,
            idle: RefCell::default(),
            handed: RefCell::default(),
            sharing: Sharing::new(speaks_http2),
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
        if purpose == Purpose::Call && self.sharing.is_spoken() {
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
        if !connection.is_usable(connection.idle_since()) {
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
            if now.saturating_duration_since(connection.idle_since()) >= COLD {
                tokio::task::yield_now().await;
            }
            if connection.is_usable(now) && connection.settle(now).await {
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
            self.sharing.set_spoken(true);
            let connection = Http2::handshake(io, slot, expires)
                .await
                .map_err(|_| Failure::Protocol)?;
            return Ok(Checkout {
                lease: Lease::http2(self.sharing.adopt(connection, now)),
                has_waited,
            });
        }
        if purpose == Purpose::Call {
            self.sharing.set_spoken(false);
        }
        let birth = Birth {
            slot,
            now,
            expires,
            living: Rc::clone(&self.living),
        };
        let connection = Http1::handshake(io, birth)
            .await
            .map_err(|_| Failure::Protocol)?;
        Ok(self.lend(connection, has_waited))
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

//! The one HTTP/2 connection of a worker, and the wait while it is being opened.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;

use super::{Checkout, Pool};
use crate::failure::Failure;
use crate::time::{Deadline, timeout_at};
use crate::upstream::Purpose;
use crate::upstream::http2::Http2;
use crate::upstream::lease::Lease;

/// The one HTTP/2 connection of a worker.
pub(super) struct Sharing {
    is_spoken: Cell<bool>,
    connection: RefCell<Option<Http2>>,
    opening: RefCell<Option<Rc<Notify>>>,
}

/// What a caller finds, and whether it had to wait for that.
struct Found<'a> {
    share: Share<'a>,
    has_waited: bool,
}

enum Share<'a> {
    Open(Http2),
    /// It is the caller's to open one.
    Missing(Opening<'a>),
}

/// A connection being opened; its end, good or bad, wakes those who wait for it.
struct Opening<'a> {
    sharing: &'a Sharing,
}

impl Pool {
    /// The one HTTP/2 connection of this worker; whoever comes while it is being opened waits for that.
    pub(super) async fn share_http2(
        self: &Rc<Self>,
        start: Instant,
        deadline: Deadline,
    ) -> Result<Checkout, Failure> {
        let Found { share, has_waited } = self.sharing.find(start, deadline).await?;
        let _opening = match share {
            Share::Open(connection) => {
                return Ok(Checkout {
                    lease: Lease::http2(connection),
                    has_waited,
                });
            }
            Share::Missing(opening) => opening,
        };
        match self.upstream.slots.try_take() {
            Some(slot) => self.open(slot, deadline, Purpose::Call, has_waited).await,
            None => self.queue(start, deadline, Purpose::Call).await,
        }
    }
}

impl Sharing {
    pub(super) fn new(is_spoken: bool) -> Self {
        Self {
            is_spoken: Cell::new(is_spoken),
            connection: RefCell::default(),
            opening: RefCell::default(),
        }
    }

    /// Whether the upstream speaks HTTP/2: as configured, until a connection has shown it.
    pub(super) fn is_spoken(&self) -> bool {
        self.is_spoken.get()
    }

    pub(super) fn set_spoken(&self, is_spoken: bool) {
        self.is_spoken.set(is_spoken);
    }

    /// The connection to use from now on: the one there is, else this.
    pub(super) fn adopt(&self, connection: Http2) -> Http2 {
        self.connection
            .borrow_mut()
            .get_or_insert(connection)
            .clone()
    }

    /// Lets go of a connection that is closed or too old; the calls on it end in their own time.
    pub(super) fn forget_unusable(&self, now: Instant) {
        let _ = self
            .connection
            .borrow_mut()
            .take_if(|connection| !connection.is_usable(now));
    }

    async fn find(&self, start: Instant, deadline: Deadline) -> Result<Found<'_>, Failure> {
        let mut has_waited = false;
        loop {
            let current = self.connection.borrow().clone();
            if let Some(connection) = current.filter(|connection| connection.is_usable(start)) {
                return Ok(Found {
                    share: Share::Open(connection),
                    has_waited,
                });
            }
            let opening = self.opening.borrow().clone();
            let Some(opening) = opening else { break };
            has_waited = true;
            timeout_at(deadline, opening.notified())
                .await
                .map_err(|_| Failure::ConnectTimeout)?;
        }
        *self.connection.borrow_mut() = None;
        Ok(Found {
            share: Share::Missing(Opening::begin(self)),
            has_waited,
        })
    }
}

impl<'a> Opening<'a> {
    fn begin(sharing: &'a Sharing) -> Self {
        *sharing.opening.borrow_mut() = Some(Rc::default());
        Self { sharing }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(opening) = self.sharing.opening.borrow_mut().take() {
            opening.notify_waiters();
        }
    }
}

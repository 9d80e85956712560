//! The one HTTP/2 connection of a worker to an endpoint, and the wait while it is being opened.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::checkout::Vain;
use super::choice::Choice;
use super::shelf::Stay;
use super::{Checkout, Pool, Unconnected, Wanted};
use crate::failure::{Blame, Failure};
use crate::time::now;
use crate::upstream::http2::Http2;

/// The one HTTP/2 connection of a worker to an endpoint.
pub(super) struct Sharing {
    is_spoken: Cell<bool>,
    connection: RefCell<Option<Http2>>,
    opening: RefCell<Option<Rc<Opening>>>,
}

/// What a caller finds, and whether it had to wait for that.
struct Found<'a> {
    share: Share<'a>,
    /// How long, if it had to.
    waited: Option<Duration>,
}

enum Share<'a> {
    Open(Http2),
    /// It is the caller's to open one.
    Missing(Opener<'a>),
}

/// A connection being opened.
#[derive(Default)]
struct Opening {
    /// Wakes those who wait for it.
    done: Notify,
    /// Why there is none, where that is as true for those who wait: one after the other would only find the same.
    failure: Cell<Option<Failure>>,
}

/// Who opens it; his end, good or bad, is that of the opening.
struct Opener<'a> {
    sharing: &'a Sharing,
    opening: Rc<Opening>,
}

impl Pool {
    /// The one HTTP/2 connection of this worker to that endpoint; whoever comes while it is being opened waits for that.
    pub(super) async fn share_http2(
        self: &Rc<Self>,
        stay: Stay,
        choice: &Choice,
        wanted: &Wanted<'_>,
    ) -> Result<Checkout, Unconnected> {
        let shelf = Rc::clone(&stay.shelf);
        let found = shelf.sharing.find(wanted).await;
        let Found { share, waited } =
            found.map_err(|failure| Unconnected::from(&shelf, failure, None))?;
        let opener = match share {
            Share::Open(connection) => return Ok(Checkout::http2(connection, stay, waited)),
            Share::Missing(opener) => opener,
        };
        let opened = match self.upstream.slots.try_take() {
            Some(slot) => self.open(slot, stay, wanted, waited).await,
            None => self.make_do(stay, choice, wanted).await,
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
    pub(super) fn adopt(&self, connection: Http2, now: Instant) -> Http2 {
        self.forget_unusable(now);
        self.connection
            .borrow_mut()
            .get_or_insert(connection)
            .clone()
    }

    /// The connection there is, if it can carry a call.
    pub(super) fn current(&self, now: Instant) -> Option<Http2> {
        let current = self.connection.borrow().clone();
        current.filter(|connection| connection.is_usable(now))
    }

    /// Lets go of the connection; the calls on it end in their own time.
    pub(super) fn close(&self) {
        *self.connection.borrow_mut() = None;
    }

    /// Closes the connection if no call is on it; whether it was so.
    pub(super) fn close_unused(&self) -> bool {
        let mut connection = self.connection.borrow_mut();
        connection
            .take_if(|connection| connection.is_unused())
            .is_some()
    }

    /// Lets go of a connection that is closed or too old; the calls on it end in their own time.
    pub(super) fn forget_unusable(&self, now: Instant) {
        let _ = self
            .connection
            .borrow_mut()
            .take_if(|connection| !connection.is_usable(now));
    }

    async fn find(&self, wanted: &Wanted<'_>) -> Result<Found<'_>, Failure> {
        let start = wanted.start;
        let mut waited = None;
        loop {
            if let Some(connection) = self.current(start) {
                return Ok(Found {
                    share: Share::Open(connection),
                    waited,
                });
            }
            let opening = self.opening.borrow().clone();
            let Some(opening) = opening else { break };
            let done = wanted.wait(wanted.deadline, opening.done.notified()).await;
            let wait = now().saturating_duration_since(start);
            waited = Some(wait);
            match done {
                Ok(()) => {}
                // It waited for the upstream as the one who opens it does.
                Err(Vain::Late) if wanted.chance.was_given(wait) => {
                    return Err(Failure::ConnectTimeout);
                }
                Err(Vain::Late) => return Err(Failure::CutShort),
                Err(Vain::Recalled) => return Err(Failure::CircuitOpen),
            }
            if let Some(failure) = opening.failure.get() {
                return Err(failure);
            }
        }
        self.close();
        Ok(Found {
            share: Share::Missing(Opener::begin(self)),
            waited,
        })
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
        self.opening.done.notify_waiters();
    }
}

//! Who holds an HTTP/2 connection, so that it counts among the unused ones while nobody but its pool does.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Upstream;

/// The holders of one connection.
pub(super) struct Holders {
    upstream: Arc<Upstream>,
    pools: Cell<usize>,
    calls: Cell<usize>,
}

/// Who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The pool, for further calls.
    Pool,
    /// A call that is on it.
    Call,
}

/// One hold on a connection, while this lives.
pub(super) struct Holding {
    holders: Rc<Holders>,
    by: By,
}

impl Holders {
    /// Of a fresh connection to that upstream.
    pub(super) fn new(upstream: Arc<Upstream>) -> Rc<Self> {
        Rc::new(Self {
            upstream,
            pools: Cell::new(0),
            calls: Cell::new(0),
        })
    }

    /// Adds a hold.
    pub(super) fn hold(self: &Rc<Self>, by: By) -> Holding {
        self.change(by, |count| count + 1);
        Holding {
            holders: Rc::clone(self),
            by,
        }
    }

    fn change(&self, by: By, change: impl FnOnce(usize) -> usize) {
        let before = self.is_unused();
        match by {
            By::Pool => self.pools.update(change),
            By::Call => self.calls.update(change),
        }
        let available = &self.upstream.available;
        match (before, self.is_unused()) {
            (false, true) => {
                available.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                available.fetch_sub(1, Ordering::Relaxed);
            }
            (false, false) | (true, true) => {}
        }
    }

    fn is_unused(&self) -> bool {
        self.pools.get() > 0 && self.calls.get() == 0
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.holders.change(self.by, |count| count - 1);
    }
}

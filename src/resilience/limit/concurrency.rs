//! The bulkhead: bounds how many calls of a route are in flight at once, exactly over all threads, and queues the others.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::resilience::line::{Line, Wake};
use crate::resilience::sync::lock;

/// The settings of a bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadSpec {
    /// Calls out at once.
    pub max: usize,
    /// Calls that may wait for one of them to end.
    pub queue: usize,
    /// How long they may wait.
    pub queue_timeout: Duration,
}

/// The state of a bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadView {
    /// Calls out at once, at the most.
    pub max: usize,
    /// Calls out now; more than `max` only after a reload that lowered it.
    pub in_use: usize,
    /// Calls in the queue.
    pub waiting: usize,
}

/// No call may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all places are taken")]
pub struct Full;

/// Bounds how many calls are in flight at once. Threads share it.
///
/// A woken call asks again: no place is handed over, so none can be lost with a waiting call that is just leaving. A new call
/// never overtakes one that waits.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
/// use sidefuse::resilience::{Bulkhead, BulkheadSpec};
///
/// let bulkhead = Bulkhead::new(BulkheadSpec { max: 1, queue: 1, queue_timeout: Duration::from_secs(2) });
/// let ticket = bulkhead.enter().expect("there is room for one");
/// assert!(bulkhead.enter().is_err());
///
/// let (rings, bell) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
/// let rung = Arc::clone(&rings);
/// let place = bulkhead.join(Arc::new(move || rung.store(true, Ordering::SeqCst))).expect("and one may wait");
/// assert!(bulkhead.join(Arc::new(move || bell.store(true, Ordering::SeqCst))).is_none());
///
/// drop(ticket);
/// assert!(rings.load(Ordering::SeqCst) && place.ask().is_ok());
/// ```
pub struct Bulkhead(Mutex<Machine>);

/// The right to one call; dropping it is its end, and wakes the next.
#[must_use = "dropping it ends the call"]
pub struct Ticket(Arc<Bulkhead>);

/// A place in the queue; dropping it leaves the queue.
#[must_use = "dropping it leaves the queue"]
pub struct QueuePlace {
    bulkhead: Arc<Bulkhead>,
    number: u64,
}

/// The state of a bulkhead.
pub(super) struct Machine {
    spec: BulkheadSpec,
    out: usize,
    line: Line<()>,
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(spec: BulkheadSpec) -> Self {
        Self {
            spec,
            out: 0,
            line: Line::default(),
        }
    }

    /// Whether a call may start: a new one, or the one in line under that number, which then leaves the line.
    pub(super) fn ask(&mut self, number: Option<u64>) -> Result<(), Full> {
        let position = number.and_then(|number| self.line.position(number));
        // The first `free` calls of the line may start, in whatever order they wake up; a new one only if there is room beyond
        // them.
        if position.unwrap_or(self.line.len()) >= self.free() {
            return Err(Full);
        }
        if let Some(number) = number {
            self.line.leave(number);
        }
        self.out += 1;
        Ok(())
    }

    pub(super) fn join(&mut self, wake: Wake) -> Option<u64> {
        (self.line.len() < self.spec.queue).then(|| self.rejoin(wake))
    }

    pub(super) fn rejoin(&mut self, wake: Wake) -> u64 {
        self.line.join((), wake)
    }

    /// Leaves the line; returns whom to wake because its turn has come.
    pub(super) fn leave(&mut self, number: u64) -> Option<Wake> {
        self.line.leave(number).then(|| self.last_to_go()).flatten()
    }

    /// Ends a call; returns whom to wake because its turn has come.
    pub(super) fn release(&mut self) -> Option<Wake> {
        self.out -= 1;
        self.last_to_go()
    }

    /// Gives it new settings; returns all to wake because their turn has come. Calls that are in flight or wait stay so,
    /// whatever the new numbers.
    pub(super) fn respec(&mut self, spec: BulkheadSpec) -> Vec<Wake> {
        self.spec = spec;
        let going = self.line.iter().take(self.free());
        going.map(|waiter| Wake::clone(&waiter.wake)).collect()
    }

    pub(super) fn all_that_wait(&self) -> Vec<Wake> {
        let waiters = self.line.iter();
        waiters.map(|waiter| Wake::clone(&waiter.wake)).collect()
    }

    pub(super) fn view(&self) -> BulkheadView {
        BulkheadView {
            max: self.spec.max,
            in_use: self.out,
            waiting: self.line.len(),
        }
    }

    fn free(&self) -> usize {
        self.spec.max.saturating_sub(self.out)
    }

    /// The last call of those that may start; the others were woken before.
    fn last_to_go(&self) -> Option<Wake> {
        let last = self.free().checked_sub(1)?;
        self.line.at(last).map(|waiter| Wake::clone(&waiter.wake))
    }
}

// === impl Bulkhead ===

impl Bulkhead {
    /// A bulkhead without calls.
    #[must_use]
    pub fn new(spec: BulkheadSpec) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Machine::new(spec))))
    }

    /// Asks for the right to one call.
    ///
    /// # Errors
    /// [`Full`] when no call may start now, or others wait already.
    pub fn enter(self: &Arc<Self>) -> Result<Ticket, Full> {
        self.lock().ask(None)?;
        Ok(Ticket(Arc::clone(self)))
    }

    /// Joins the queue; `None` when that is full too. `wake` is called when it makes sense to ask.
    pub fn join(self: &Arc<Self>, wake: Wake) -> Option<QueuePlace> {
        let number = self.lock().join(wake)?;
        Some(self.place(number))
    }

    /// Joins the queue, however long it is: for a call that was admitted or queued before and stood aside. The caller bounds
    /// how many do.
    pub fn rejoin(self: &Arc<Self>, wake: Wake) -> QueuePlace {
        let number = self.lock().rejoin(wake);
        self.place(number)
    }

    fn place(self: &Arc<Self>, number: u64) -> QueuePlace {
        QueuePlace {
            bulkhead: Arc::clone(self),
            number,
        }
    }

    /// Gives it new settings. Calls that are out stay out.
    pub fn respec(&self, spec: BulkheadSpec) {
        let going = self.lock().respec(spec);
        going.into_iter().for_each(|wake| wake());
    }

    /// Wakes all that wait: something else has changed that may make waiting pointless.
    pub fn rouse(&self) {
        let waiting = self.lock().all_that_wait();
        waiting.into_iter().for_each(|wake| wake());
    }

    /// The settings in force.
    pub fn spec(&self) -> BulkheadSpec {
        self.lock().spec
    }

    /// How full it is.
    pub fn view(&self) -> BulkheadView {
        self.lock().view()
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        lock(&self.0)
    }
}

impl QueuePlace {
    /// Asks again. With a ticket the call has left the queue.
    ///
    /// # Errors
    /// [`Full`]: not yet.
    pub fn ask(&self) -> Result<Ticket, Full> {
        self.bulkhead.lock().ask(Some(self.number))?;
        Ok(Ticket(Arc::clone(&self.bulkhead)))
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        let next = self.bulkhead.lock().leave(self.number);
        if let Some(wake) = next {
            wake();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let next = self.0.lock().release();
        if let Some(wake) = next {
            wake();
        }
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

impl fmt::Debug for QueuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueuePlace({})", self.number)
    }
}

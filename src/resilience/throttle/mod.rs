//! The pause that an upstream asked for.
//!
//! | file | what it holds |
//! |---|---|
//! | `spec` | how a wish for a pause is obeyed |
//! | `machine` | who is paused until when |
//! | `turns` | who waits, who goes next |
//! | `pause` | one pause |
//! | `saved` | what outlives its process |
//! | `view` | what it says |
//!
//! A wish pauses the whole route, or one key. During the pause no call goes out; after it one call at a time goes, until the
//! upstream has accepted one, so that not all callers come back at once. Invariants: a wish never shortens a running pause; a
//! call sent before a pause began does not end it; a call that is given up is neither wish nor success, and the next one goes.

mod machine;
mod pause;
mod saved;
mod spec;
#[cfg(test)]
mod tests;
mod turns;
mod view;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::machine::{Admission, Finding, Machine};
use crate::resilience::key::Key;
use crate::resilience::line::Wake;
use crate::resilience::outcome::Outcome;
use crate::resilience::signal::Signal;
use crate::resilience::teller::{Teller, Telling};

pub use machine::Halt;
pub use saved::SavedPauses;
pub use spec::ThrottleSpec;
pub use view::{Change, ThrottleView};

/// What is told each change.
pub type ThrottleObserver = Box<dyn Fn(&Change) + Send + Sync>;

/// A throttle that threads share. The observer is told each change exactly once and in order, outside the lock.
///
/// Without a pause a call passes without the lock, under the number of pauses so far.
///
/// ```
/// use std::time::{Duration, Instant};
/// use sidefuse::resilience::{Outcome, Signal, Scope, Throttle, ThrottleSpec};
///
/// let begin = Instant::now();
/// let throttle = Throttle::new(Some(ThrottleSpec::default()), 0, begin, Box::new(|_change| {}));
/// let pass = throttle.admit(None, begin).expect("nobody has asked for a pause");
/// let wish = Signal { scope: Scope::Route, pause: Some(Duration::from_secs(30)) };
/// throttle.settle(pass, Outcome::Throttled, Some(wish), begin);
///
/// let halt = throttle.admit(None, begin).err().expect("it is paused");
/// assert_eq!(halt.retry_at, begin + Duration::from_secs(30));
///
/// // One goes first, and what it finds decides for the others.
/// let first = throttle.admit(None, halt.retry_at).expect("the pause is over");
/// assert!(throttle.admit(None, halt.retry_at).is_err());
/// throttle.settle(first, Outcome::Success, None, halt.retry_at);
/// assert!(throttle.admit(None, halt.retry_at).is_ok());
/// ```
pub struct Throttle(Teller<Machine>);

/// The right to make one call now, as far as the throttle is concerned. Dropping it says that the call was given up.
#[must_use = "settle it with what the call found"]
pub struct Pass {
    admission: Admission,
    key: Option<Key>,
    /// Only where a pause waits for what the call finds.
    throttle: Option<Arc<Throttle>>,
}

/// A place in the line of waiting calls; dropping it leaves the line.
#[must_use = "dropping it leaves the line"]
pub struct Place {
    throttle: Arc<Throttle>,
    number: u64,
    key: Option<Key>,
}

// === impl Throttle ===

impl Throttle {
    /// A throttle without a pause; without a spec it obeys no wish. The seed decides its jitter.
    #[must_use]
    pub fn new(
        spec: Option<ThrottleSpec>,
        seed: u64,
        now: Instant,
        observer: ThrottleObserver,
    ) -> Arc<Self> {
        let machine = Machine::new(spec, seed, now);
        Arc::new(Self(Teller::new(machine, observer)))
    }

    /// Asks whether a call may go now. Without a pause this is one load.
    ///
    /// # Errors
    /// [`Halt`] while it is paused.
    pub fn admit(self: &Arc<Self>, key: Option<Key>, now: Instant) -> Result<Pass, Halt> {
        if let Some(epoch) = self.0.all_pass() {
            return Ok(Pass {
                admission: Admission::free(epoch),
                key,
                throttle: None,
            });
        }
        self.ask(key, None, now)
    }

    /// Looks whether a call may go now, and takes nothing for it.
    ///
    /// # Errors
    /// [`Halt`] while it is paused.
    pub fn look(&self, key: Option<Key>, now: Instant) -> Result<(), Halt> {
        match self.0.all_pass() {
            Some(_) => Ok(()),
            None => self.with(|machine| machine.look(key, None, now)),
        }
    }

    /// Whether no call of the route may go at `now`: it is paused, or a call is out that decides. Nothing is taken for it.
    pub fn is_shut(&self, now: Instant) -> bool {
        self.0.all_pass().is_none() && self.with(|machine| machine.is_shut(now))
    }

    /// Joins the line of those that wait; `None` when it is full. `wake` is called when it makes sense to ask again; besides, ask at
    /// the instant that the last answer named.
    pub fn join(self: &Arc<Self>, key: Option<Key>, wake: Wake) -> Option<Place> {
        let number = self.with(|machine| machine.join(key, wake))?;
        Some(Place {
            throttle: Arc::clone(self),
            number,
            key,
        })
    }

    /// Takes a pass back with what the call found at its response headers, and what its answer wished.
    pub fn settle(&self, mut pass: Pass, outcome: Outcome, signal: Option<Signal>, now: Instant) {
        let decides = pass.throttle.take().is_some();
        if decides || outcome == Outcome::Throttled {
            let finding = Finding {
                outcome,
                signal,
                key: pass.key,
            };
            self.with(|machine| machine.settle(&pass.admission, finding, now));
        }
    }

    /// Wakes all that wait: something else has changed that may make their waiting vain.
    pub fn rouse(&self) {
        self.with(Machine::rouse_all);
    }

    /// Gives it new settings; a pause that runs goes on within them.
    pub fn respec(&self, spec: Option<ThrottleSpec>, now: Instant) {
        self.with(|machine| machine.respec(spec, now));
    }

    /// The settings in force.
    pub fn spec(&self) -> Option<ThrottleSpec> {
        self.0.look(|machine| machine.spec())
    }

    /// Ends every pause, whatever the upstream wished.
    pub fn release(&self, now: Instant) {
        self.with(|machine| machine.release(now));
    }

    /// Ends the pause of one key.
    pub fn release_key(&self, key: Key, now: Instant) {
        self.with(|machine| machine.release_key(key, now));
    }

    /// The pause of that key alone at `now`, if it has one.
    pub fn view_of(&self, key: Key, now: Instant) -> Option<ThrottleView> {
        if self.0.all_pass().is_some() {
            return None;
        }
        self.with(|machine| machine.view_of(key, now))
    }

    /// What is to be saved at `now`, with the pauses of at most so many keys.
    pub fn save(&self, most_keys: usize, now: Instant) -> SavedPauses {
        if self.0.all_pass().is_some() {
            return SavedPauses::default();
        }
        self.with(|machine| machine.save(most_keys, now))
    }

    /// Takes up what was saved so long before `now`, for a throttle that has obeyed no wish yet.
    pub fn resume(&self, saved: &SavedPauses, elapsed: Duration, now: Instant) {
        self.with(|machine| machine.resume(saved, elapsed, now));
    }

    /// The whole picture at `now`.
    pub fn view(&self, now: Instant) -> ThrottleView {
        self.with(|machine| machine.view(now))
    }

    fn ask(
        self: &Arc<Self>,
        key: Option<Key>,
        place: Option<u64>,
        now: Instant,
    ) -> Result<Pass, Halt> {
        let admission = self.with(|machine| machine.ask(key, place, now))?;
        Ok(Pass {
            throttle: admission.decides().then(|| Arc::clone(self)),
            admission,
            key,
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.0.with(act)
    }
}

impl Telling for Machine {
    type News = Change;

    fn next_news(&mut self) -> Option<Arc<Change>> {
        self.next_change().map(Arc::new)
    }

    fn has_news(&self) -> bool {
        self.has_change()
    }

    fn all_pass(&self) -> Option<u64> {
        self.all_pass()
    }

    fn roused(&mut self) -> Vec<Wake> {
        self.roused()
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.look(|machine| {
            f.debug_struct("Throttle")
                .field("machine", machine)
                .finish_non_exhaustive()
        })
    }
}

// === impl Pass ===

impl Pass {
    /// Whether a pause waits for what the call finds: it is the one that was let out to try.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.throttle.is_some()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(throttle) = self.throttle.take() {
            let finding = Finding {
                outcome: Outcome::Ignored,
                signal: None,
                key: self.key,
            };
            throttle.with(|machine| machine.give_up(&self.admission, finding));
        }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

// === impl Place ===

impl Place {
    /// Asks again. Who gets a pass has left the line.
    ///
    /// # Errors
    /// [`Halt`]: not yet.
    pub fn ask(&self, now: Instant) -> Result<Pass, Halt> {
        self.throttle.ask(self.key, Some(self.number), now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.throttle.with(|machine| machine.leave(self.number));
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

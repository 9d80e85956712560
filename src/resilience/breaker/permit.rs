//! The right to make one call, of all the breakers that watch it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::resilience::breaker::Breaker;
use crate::resilience::breaker::admission::Admission;
use crate::resilience::breaker::exemplar::Identity;
use crate::resilience::breaker::shadow::Watched;
use crate::resilience::outcome::Sample;

/// The right to make one call. Dropping it says that the call was abandoned: its slot is free, and the upstream is not blamed.
#[must_use = "dropping a permit abandons the call; finish it with what the call proved"]
pub struct Permit {
    breaker: Arc<Breaker>,
    /// Empty once it was given back.
    admission: Option<Admission>,
    /// Others that get the result as well; `None` for most routes.
    beside: Option<Box<Beside>>,
}

/// Others that get the result, besides the breaker that gave the permit.
#[derive(Default)]
struct Beside {
    /// The breaker of the call's key.
    key: Option<Permit>,
    /// Candidates that only watch.
    watched: Option<Watched>,
}

impl Permit {
    pub(super) const fn new(breaker: Arc<Breaker>, admission: Admission) -> Self {
        Self {
            breaker,
            admission: Some(admission),
            beside: None,
        }
    }

    /// Adds the permit of the key's breaker, which admitted the same call.
    pub(super) fn with_key(mut self, key: Self) -> Self {
        self.beside.get_or_insert_default().key = Some(key);
        self
    }

    /// Adds candidates that watch the same call.
    pub(super) fn with_watched(mut self, watched: Watched) -> Self {
        self.beside.get_or_insert_default().watched = Some(watched);
        self
    }

    /// Gives it back with what the call proved.
    pub fn finish(mut self, sample: Sample, now: Instant) {
        self.give_back(sample, None, now);
    }

    /// The same with the call's identity. `call` runs only if the call is remembered: a failure, or a slow call if a rule
    /// judges these.
    pub fn finish_as(mut self, sample: Sample, now: Instant, call: impl FnOnce() -> Identity) {
        self.finish_dropped(sample, now, call);
    }

    /// The same for a permit whose holder is being dropped.
    pub fn finish_dropped(
        &mut self,
        sample: Sample,
        now: Instant,
        call: impl FnOnce() -> Identity,
    ) {
        // Computed before the lock is taken, so that no other thread waits for it.
        let call = self.breaker.wants(&sample).then(call);
        self.give_back(sample, call, now);
    }

    fn give_back(&mut self, sample: Sample, call: Option<Identity>, now: Instant) {
        if let Some(beside) = self.beside.take() {
            let Beside { key, watched } = *beside;
            if let Some(mut key) = key {
                key.give_back(sample, call.clone(), now);
            }
            if let Some(watched) = watched {
                watched.finish(sample, now);
            }
        }
        if let Some(admission) = self.admission.take() {
            self.breaker.record(admission, sample, call, now);
        }
    }

    /// Gives it back as if the call had never asked: it was refused after all, and that is counted elsewhere.
    pub fn withdraw(mut self) {
        if let Some(key) = self.beside.take().and_then(|beside| beside.key) {
            key.withdraw();
        }
        if let Some(admission) = self.admission.take() {
            let breaker = &self.breaker;
            breaker.teller.look(|machine| machine.withdraw(admission));
        }
    }

    /// Whether the call is a probe of a half-open breaker (the route's, or its key's), which may have a shorter time (`probe_timeout`).
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.admission.as_ref().is_some_and(Admission::is_probe)
            || self.key().is_some_and(Self::is_probe)
    }

    /// The permit of the key's breaker, if the call has a key that has one.
    #[must_use]
    pub fn key(&self) -> Option<&Self> {
        self.beside.as_ref().and_then(|beside| beside.key.as_ref())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            let breaker = &self.breaker;
            breaker.teller.look(|machine| machine.release(admission));
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

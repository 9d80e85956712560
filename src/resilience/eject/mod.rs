//! When to stop sending calls to one endpoint of several, and when to try it again.
//!
//! After [`CONSECUTIVE_FAILURES`] failures in a row an endpoint is *ejected* for [`BASE`], doubling for each ejection in a row up to
//! [`LONGEST`]. Then one call goes to it, its *trial*, while all others go on without it: back at once with the full share of traffic
//! (as Envoy does it), an endpoint that is still bad would fail five callers each time; with a trial (linkerd's "probation") it fails
//! one. A trial that succeeds brings the endpoint back; one that fails ejects it for twice as long; one that says nothing lets the next
//! call be the trial. The doubling is forgotten once the endpoint has stayed for as long as it had been ejected, so that one which
//! succeeds now and then does not begin anew each time [envoyproxy/envoy#21142].
//!
//! How many of an upstream's endpoints may be out at once is not known here: the ejector asks for [`Room`].

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::Outcome;

/// So many failures in a row eject an endpoint.
const CONSECUTIVE_FAILURES: u32 = 5;

/// How long the first ejection lasts.
const BASE: Duration = Duration::from_secs(10);

/// How long an ejection lasts at the most.
const LONGEST: Duration = Duration::from_secs(300);

/// How many of so many endpoints may be ejected at once: half of them, rounded down, so never the only one.
///
/// ```
/// assert_eq!([1, 2, 3, 4].map(sidefuse::resilience::most_ejected), [0, 1, 1, 2]);
/// ```
#[must_use]
pub const fn most_ejected(endpoints: usize) -> usize {
    endpoints / 2
}

/// Whether one more endpoint may be ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Yes.
    Left,
    /// No: as many are out as may be.
    None,
}

/// The ejector of one endpoint. Time passes when somebody asks.
///
/// ```
/// use sidefuse::resilience::{Ejection, Ejector, Outcome, Room, Visit};
///
/// let begin = std::time::Instant::now();
/// let mut ejector = Ejector::default();
/// for _ in 0..5 {
///     let visit = ejector.visit(begin).expect("it is available");
///     ejector.record(visit, Outcome::Failure, begin, || Room::Left);
/// }
/// let Ejection::Ejected { until, .. } = ejector.ejection() else { panic!("five failures in a row") };
/// assert_eq!(ejector.visit(begin), None);
/// let trial = ejector.visit(until).expect("its time is over");
/// assert_eq!(ejector.visit(until), None, "one trial at a time");
/// ejector.record(trial, Outcome::Success, until, || Room::Left);
/// assert_eq!(ejector.ejection(), Ejection::Available);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ejector {
    /// Failures in a row while available.
    failures: u32,
    /// Ejections so far. Tells a trial of this ejection from a late result of another.
    ejections: u32,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// It was never ejected.
    #[default]
    Fresh,
    /// It came back at that time, after an ejection of that length.
    Returned { at: Instant, after: Duration },
    /// Out for that long, until then.
    Out { length: Duration, until: Instant },
    /// Its time is over and one call is on its way, after an ejection of that length.
    Trying { length: Duration, until: Instant },
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ejection {
    /// It gets its share of the calls.
    Available,
    /// It gets none until its trial, which is due then.
    Ejected {
        /// When its trial is due; past while the trial is under way or nobody has called.
        until: Instant,
    },
}

impl Ejection {
    /// The word for it in metrics and JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Ejected { .. } => "ejected",
        }
    }
}

/// The right to make one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// One of many.
    Ordinary,
    /// The one that decides whether an ejected endpoint comes back.
    Trial(Trial),
}

/// Which trial it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial(u32);

/// A change of an endpoint's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EjectorChange {
    /// It gets no calls for a while.
    Ejected {
        /// For how long.
        length: Duration,
        /// Failures in a row that led to it; 1 for a trial that failed.
        failures: u32,
    },
    /// Its trial succeeded.
    Returned {
        /// How long the last ejection was.
        after: Duration,
    },
}

impl Ejector {
    /// The right to call now; `None` while it is ejected, and while another call is its trial.
    #[must_use = "a trial is given once"]
    pub fn visit(&mut self, now: Instant) -> Option<Visit> {
        match self.standing {
            Standing::Fresh | Standing::Returned { .. } => Some(Visit::Ordinary),
            Standing::Out { length, until } if now >= until => {
                self.standing = Standing::Trying { length, until };
                Some(Visit::Trial(Trial(self.ejections)))
            }
            Standing::Out { .. } | Standing::Trying { .. } => None,
        }
    }

    /// What came of a call. `room` is asked only when the endpoint is to be ejected and is not already.
    pub fn record(
        &mut self,
        visit: Visit,
        outcome: Outcome,
        now: Instant,
        room: impl FnOnce() -> Room,
    ) -> Option<EjectorChange> {
        match self.standing {
            Standing::Fresh | Standing::Returned { .. } => self.count(outcome, now, room),
            Standing::Trying { length, until } if visit == Visit::Trial(Trial(self.ejections)) => {
                match outcome {
                    Outcome::Success | Outcome::Alive => {
                        self.failures = 0;
                        self.standing = Standing::Returned {
                            at: now,
                            after: length,
                        };
                        Some(EjectorChange::Returned { after: length })
                    }
                    Outcome::Failure => Some(self.eject(now, longer(length), 1)),
                    Outcome::Throttled | Outcome::Ignored => {
                        self.standing = Standing::Out { length, until };
                        None
                    }
                }
            }
            // A late result of a call from before the ejection.
            Standing::Out { .. } | Standing::Trying { .. } => None,
        }
    }

    /// A call ended without a verdict: if it was the trial, the next may be.
    pub fn release(&mut self, visit: Visit, now: Instant) {
        if visit != Visit::Ordinary {
            self.record(visit, Outcome::Ignored, now, || Room::None);
        }
    }

    /// Lets it come back before its time, for there are too few others.
    pub fn pardon(&mut self, now: Instant) -> Option<EjectorChange> {
        match self.standing {
            Standing::Fresh | Standing::Returned { .. } => None,
            Standing::Out { length, .. } | Standing::Trying { length, .. } => {
                self.failures = 0;
                self.standing = Standing::Returned {
                    at: now,
                    after: length,
                };
                Some(EjectorChange::Returned { after: length })
            }
        }
    }

    /// How it stands.
    #[must_use]
    pub fn ejection(&self) -> Ejection {
        match self.standing {
            Standing::Fresh | Standing::Returned { .. } => Ejection::Available,
            Standing::Out { until, .. } | Standing::Trying { until, .. } => {
                Ejection::Ejected { until }
            }
        }
    }

    /// Failures in a row that it has had while available.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.failures
    }

    fn count(
        &mut self,
        outcome: Outcome,
        now: Instant,
        room: impl FnOnce() -> Room,
    ) -> Option<EjectorChange> {
        match outcome {
            Outcome::Success => {
                self.failures = 0;
                None
            }
            Outcome::Failure => {
                self.failures = self.failures.saturating_add(1);
                if self.failures < CONSECUTIVE_FAILURES || room() == Room::None {
                    return None;
                }
                let length = match self.standing {
                    Standing::Returned { at, after }
                        if now.saturating_duration_since(at) < after =>
                    {
                        longer(after)
                    }
                    Standing::Fresh
                    | Standing::Returned { .. }
                    | Standing::Out { .. }
                    | Standing::Trying { .. } => BASE,
                };
                Some(self.eject(now, length, self.failures))
            }
            Outcome::Alive | Outcome::Throttled | Outcome::Ignored => None,
        }
    }

    fn eject(&mut self, now: Instant, length: Duration, failures: u32) -> EjectorChange {
        self.ejections = self.ejections.wrapping_add(1);
        self.standing = Standing::Out {
            length,
            until: now + length,
        };
        EjectorChange::Ejected { length, failures }
    }
}

/// How long the next ejection in a row lasts.
fn longer(length: Duration) -> Duration {
    (length * 2).min(LONGEST)
}

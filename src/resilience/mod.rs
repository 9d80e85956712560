//! When to stop calling an upstream that fails, and when to try again: a library in its own right.
//!
//! Everything here is *pure*: it takes `now` and plain data and returns a verdict. No I/O, no clock, no logging, no tasks. The
//! layers above move the bytes and call it.
//!
//! # Words
//! - An [`Outcome`] is what one call proved about the upstream. Only the upstream's own doing may move a breaker: a caller's mistake,
//!   a wish for a pause or a caller that went away is not a failure.
//! - A [`Breaker`] has an automatic [`State`]. *Closed*: calls pass and are counted. *Open*: calls are rejected. *Half-open*: a few
//!   calls pass as *probes*, whose results close or reopen it. Beside the state stands a [`Mode`]: an operator may hold it open or
//!   closed while the automatic state goes on being computed.
//! - A [`Permit`] is the right to make one call. It is finished with a [`Sample`], or dropped: then its slot is free and the
//!   upstream is not blamed.
//! - A [`Throttle`] is the pause that an upstream asked for; a [`Pass`] is the right to call it all the same, or again.
//! - A [`Bulkhead`] bounds the calls that are in flight at once; a [`Ticket`] is the right to be one of them. A [`RateLimit`] bounds
//!   how many start per second.
//! - A [`Chance`] says how much time an upstream must have had before its silence counts as its failure.
//! - An [`Ejector`] keeps calls away from one endpoint of several while it fails; the breaker judges the calls to the others.
//! - A [`RetrySpec`] judges whether a call that failed is made again; its [`RetryBudget`] keeps retries from becoming a storm.
//! - A [`Transition`] is a change with its evidence; a [`View`] is the whole picture; [`explain()`] says it in one plain sentence.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use sidefuse::resilience::{Breaker, BreakerKeys, BreakerSpec, Label, Outcome, Sample, State, explain};
//!
//! let keys = BreakerKeys { failure_threshold: 2, reset_timeout: Duration::from_secs(30), ..BreakerKeys::default() };
//! let spec = BreakerSpec::try_new(keys).expect("two failures and half a minute make sense");
//! let begin = std::time::Instant::now();
//! let breaker = Breaker::new(spec, 0, begin, Box::new(|transition| println!("{}", transition.to().label())));
//!
//! for _ in 0..2 {
//!     let permit = breaker.admit(begin).expect("it is closed");
//!     permit.finish(Sample::failure(Label::Named("timeout")), begin);
//! }
//! assert!(breaker.admit(begin).is_err());
//! assert_eq!(
//!     explain(&breaker.view(begin), |_| "02:14:09".to_owned()),
//!     "open since 02:14:09 because 2 consecutive calls failed (2 timeout); next probe in 30 s; 1 call rejected",
//! );
//!
//! let later = begin + Duration::from_secs(30);
//! for _ in 0..2 {
//!     breaker.admit(later).expect("it probes").finish(Sample::new(Outcome::Success), later);
//! }
//! assert_eq!(breaker.in_force(later).0, State::Closed);
//! ```
//!
//! # A breaker for each key
//! One tenant's trouble is refused to that tenant; the route's own breaker stands above all of them.
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//! use sidefuse::resilience::{Breaker, BreakerKeys, BreakerSpec, Key, Keyed, Label, Outcome, Sample};
//!
//! let keys = BreakerKeys { failure_threshold: 2, ..BreakerKeys::default() };
//! let spec = BreakerSpec::try_new(keys).expect("two failures make sense");
//! let now = Instant::now();
//! let own = Breaker::new(spec.clone(), 0, now, Box::new(|_transition| {}));
//! let keyed = Keyed::new(spec, 1000, 0, Arc::new(|_key, _transition| {}));
//!
//! let (bad, good) = (Key::of(b"tenant-1"), Key::of(b"tenant-2"));
//! for _ in 0..2 {
//!     let permit = keyed.admit(&own, bad, now).expect("both are closed");
//!     permit.finish(Sample::failure(Label::Named("timeout")), now);
//!     let permit = keyed.admit(&own, good, now).expect("both are closed");
//!     permit.finish(Sample::new(Outcome::Success), now);
//! }
//! let rejection = keyed.admit(&own, bad, now).err().expect("that key's is open");
//! assert!(rejection.by_key.is_some());
//! assert!(keyed.admit(&own, good, now).is_ok());
//! ```

mod anchor;
mod breaker;
mod chance;
mod eject;
mod jitter;
mod key;
mod limit;
mod line;
mod memory;
mod outcome;
mod ramp;
mod ratio;
mod retry;
mod rule;
mod signal;
mod span;
mod sync;
mod teller;
mod throttle;
mod verdict;

pub use breaker::{
    Admission, Author, Breaker, BreakerKeys, BreakerSpec, Cause, CountDistance, Distances,
    Enforcement, Evidence, Exemplar, ForceRequest, Hold, Identity, KeyCounts, KeyObserver, Keyed,
    LabelCount, Machine, Measure, Mode, Observer, Order, Permit, Probes, Ramping, Refusal,
    RefusalKind, Rejection, ResetBackoff, Saved, ShadowObserver, ShadowReport, ShadowView, Shadows,
    ShareDistance, SpecProblem, Standing, State, Statistics, Transition, View, WindowCounts,
    WindowSpec, Words, explain,
};
pub use chance::{Chance, Doubt};
pub use eject::{Ejection, Ejector, EjectorChange, Room, Trial, Visit, most_ejected};
pub use key::Key;
pub use limit::{
    Bulkhead, BulkheadSpec, BulkheadView, Full, QueuePlace, RateLimit, RateSpec, Ticket,
};
pub use line::Wake;
pub use memory::{Memory, MemoryError, Remembered, RememberedKeys};
pub use outcome::{Label, Outcome, Sample};
pub use ramp::RampSpec;
pub use ratio::Ratio;
pub use retry::{Backoff, Facts, RetryBudget, RetryOn, RetrySpec, RetryVerdict, StatusSet, Stop};
pub use rule::{
    Answer, BadPointer, Conditions, Expected, Pattern, Pointer, Rule, Rules, Statuses, Then, When,
    grpc,
};
pub use signal::{Scope, Signal};
pub use throttle::{
    Change, Halt, Pass, Place, SavedPauses, Throttle, ThrottleObserver, ThrottleSpec, ThrottleView,
};
pub use verdict::Verdict;

//! A breaker in one plain sentence.
//!
//! Fixed phrases and our own numbers only: nothing an upstream sent is ever repeated. The reason of a hold is the operator's.

use std::fmt::{self, Arguments, Display, Formatter, Write};
use std::time::Instant;

use crate::resilience::breaker::force::Hold;
use crate::resilience::breaker::spec::Enforcement;
use crate::resilience::breaker::state::{Mode, State};
use crate::resilience::breaker::transition::{Cause, Evidence, Measure};
use crate::resilience::breaker::view::{Probes, View};
use crate::resilience::span::span;

/// Says what the breaker does and why. `clock` formats an instant for people, since pure code knows no wall clock.
///
/// "open since 02:14:09 because 5 consecutive calls failed (4 timeout, 1 status 503); next probe in 42 s; 318 calls rejected"
pub fn explain(view: &View, clock: impl Fn(Instant) -> String) -> String {
    let mut told = Told(String::with_capacity(160));
    match &view.hold {
        Some(hold) => held(&mut told, view, hold, &clock),
        None => automatic(&mut told, view, &clock),
    }
    // A state from before the restart is marked as such; a later one has its own time.
    if let Some(resumed) = view.resumed.filter(|resumed| view.since < *resumed) {
        told.part(format_args!(
            "resumed after a restart at {}",
            clock(resumed)
        ));
    }
    match view.standing.enforcement {
        Enforcement::Enforce => {}
        Enforcement::Shadow => told.part(format_args!("shadow: rejects nothing by itself")),
        Enforcement::Off => told.part(format_args!("off: counts and rejects nothing by itself")),
    }
    told.0
}

/// The sentence so far: one growing text, since every refusal contains it.
struct Told(String);

impl Told {
    /// Begins a part.
    fn part(&mut self, words: Arguments<'_>) {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.more(words);
    }

    /// Continues a part.
    fn more(&mut self, words: Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(words);
    }
}

fn automatic(told: &mut Told, view: &View, clock: &impl Fn(Instant) -> String) {
    match view.standing.automatic {
        State::Closed => {
            told.part(format_args!("closed"));
            if let Some(ramp) = view.ramp {
                told.part(format_args!(
                    "ramping up: {} of calls pass, all of them in {}",
                    ramp.share,
                    left(view, ramp.full_at)
                ));
                rejected(told, view);
            }
            distances(told, view);
        }
        State::Open => {
            told.part(format_args!("open since {}", clock(view.since)));
            because(told, view);
            if let Some(at) = view.next_probe_at {
                told.part(format_args!("next probe in {}", left(view, at)));
            }
            rejected(told, view);
        }
        State::HalfOpen => {
            told.part(format_args!("half-open since {}", clock(view.since)));
            if let Some(probes) = &view.probes {
                probing(told, view, probes);
            }
            rejected(told, view);
        }
    }
}

fn held(told: &mut Told, view: &View, hold: &Hold, clock: &impl Fn(Instant) -> String) {
    let word = match hold.mode {
        Mode::ForcedOpen => "forced open",
        Mode::ForcedClosed | Mode::Auto => "forced closed",
    };
    told.part(format_args!(
        "{word} since {} by {}",
        clock(hold.since),
        hold.by
    ));
    match hold.until {
        Some(until) => told.more(format_args!(" until {}", clock(until))),
        None => told.more(format_args!(" until further notice")),
    }
    if let Some(reason) = &hold.reason {
        told.more(format_args!(" ({reason})"));
    }
    match view.standing.automatic {
        State::Closed => told.part(format_args!("by itself it would be closed")),
        State::Open => {
            told.part(format_args!("by itself it would be open"));
            because(told, view);
        }
        State::HalfOpen => told.part(format_args!("by itself it would be half-open")),
    }
    rejected(told, view);
}

fn distances(told: &mut Told, view: &View) {
    if let Some(distance) = view.distances.consecutive_failures {
        told.part(format_args!(
            "{} of {} consecutive failures",
            distance.reached, distance.threshold
        ));
    }
    let ratios = [
        (view.distances.failure_ratio, "failed"),
        (view.distances.slow_ratio, "slow"),
    ];
    let mut is_idle = false;
    for (distance, word) in ratios {
        let Some(distance) = distance else { continue };
        // Both look at one window, so this is said once.
        if distance.reached.is_none() && std::mem::replace(&mut is_idle, true) {
            continue;
        }
        let calls = distance.calls;
        match distance.reached {
            None => told.part(format_args!("no calls yet")),
            Some(share) => {
                let reached = Calls(calls.reached.into());
                told.part(format_args!("{share} of {reached} {word}"));
            }
        }
        if calls.reached < calls.threshold {
            let threshold = Calls(calls.threshold.into());
            told.more(format_args!(", judged from {threshold}"));
        } else {
            told.more(format_args!(", opens at {}", distance.threshold));
        }
    }
}

fn probing(told: &mut Told, view: &View, probes: &Probes) {
    match probes.verdict_by {
        None => told.part(format_args!("waiting for a probe")),
        Some(by) => told.part(format_args!(
            "{} of {} probes out, verdict within {}",
            probes.out,
            probes.max,
            left(view, by)
        )),
    }
    let succeeded = &probes.succeeded;
    told.part(format_args!(
        "{} of {} successful probes",
        succeeded.reached, succeeded.threshold
    ));
}

fn rejected(told: &mut Told, view: &View) {
    let rejects = match view.state() {
        State::Open | State::HalfOpen => {
            view.standing.mode == Mode::ForcedOpen || !view.standing.lets_all_pass()
        }
        State::Closed => view.ramp.is_some() && !view.standing.lets_all_pass(),
    };
    if rejects {
        told.part(format_args!("{} rejected", Calls(view.rejected_since)));
    }
}

/// Adds the clause that says why the breaker opened: "because 5 consecutive calls failed (4 timeout, 1 status 503)".
fn because(told: &mut Told, view: &View) {
    let Some(transition) = view.because.as_deref() else {
        return;
    };
    told.more(format_args!(" because "));
    let Evidence {
        observed,
        threshold,
        window,
        labels,
        exemplars: _,
    } = &transition.evidence;
    let calls = Calls(window.calls.into());
    match transition.cause {
        Cause::ConsecutiveFailures => match observed {
            Measure::Count(1) => told.more(format_args!("1 call failed")),
            Measure::Count(_) | Measure::Nothing | Measure::Share(_) | Measure::Time(_) => {
                told.more(format_args!("{observed} consecutive calls failed"));
            }
        },
        Cause::FailureRatio => told.more(format_args!(
            "{observed} of {calls} failed, at least {threshold}"
        )),
        Cause::SlowRatio => told.more(format_args!(
            "{observed} of {calls} were slow, at least {threshold}"
        )),
        Cause::ProbeFailed => told.more(format_args!("a probe failed")),
        Cause::ProbesSucceeded => told.more(format_args!("{observed} probes succeeded")),
        Cause::ResetTimeout => told.more(format_args!("its reset timeout passed")),
        Cause::HalfOpenTimeout => match observed {
            Measure::Time(time) => told.more(format_args!(
                "a probe had no verdict within {}",
                span(*time)
            )),
            Measure::Nothing | Measure::Count(_) | Measure::Share(_) => {
                told.more(format_args!("a probe had no verdict in time"));
            }
        },
        Cause::Forced => told.more(format_args!("an operator said so")),
        Cause::Config => told.more(format_args!("the configuration changed")),
    }
    let counts_failures = matches!(
        transition.cause,
        Cause::ConsecutiveFailures | Cause::FailureRatio | Cause::ProbeFailed
    );
    if counts_failures && let Some((first, others)) = labels.split_first() {
        told.more(format_args!(" ({first}"));
        for label in others {
            told.more(format_args!(", {label}"));
        }
        told.more(format_args!(")"));
    }
}

/// The time left until `at`.
fn left(view: &View, at: Instant) -> String {
    span(at.saturating_duration_since(view.now))
}

/// A number of calls, with the noun.
struct Calls(u64);

impl Display for Calls {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 call"),
            calls => write!(f, "{calls} calls"),
        }
    }
}

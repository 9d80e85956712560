//! A breaker in one plain sentence.
//!
//! Fixed phrases and our own numbers only: nothing an upstream sent is ever repeated. The reason of a hold is the operator's.

use std::fmt::Write;
use std::time::Instant;

use crate::resilience::breaker::force::Hold;
use crate::resilience::breaker::labels::LabelCount;
use crate::resilience::breaker::spec::Enforcement;
use crate::resilience::breaker::state::{Mode, State};
use crate::resilience::breaker::transition::{Cause, Evidence, Measure, Transition};
use crate::resilience::breaker::view::{Probes, View};
use crate::resilience::span::span;

/// Says what the breaker does and why. `clock` formats an instant for people, since pure code knows no wall clock.
///
/// "open since 02:14:09 because 5 consecutive calls failed (4 timeout, 1 status 503); next probe in 42 s; 318 calls rejected"
pub fn explain(view: &View, clock: impl Fn(Instant) -> String) -> String {
    let mut parts = match &view.hold {
        Some(hold) => held(view, hold, &clock),
        None => automatic(view, &clock),
    };
    // What began before the restart needs the word; what came after it has its own time.
    if let Some(resumed) = view.resumed.filter(|resumed| view.since < *resumed) {
        parts.push(format!("resumed after a restart at {}", clock(resumed)));
    }
    match view.standing.enforcement {
        Enforcement::Enforce => {}
        Enforcement::Shadow => parts.push("shadow: rejects nothing by itself".to_owned()),
        Enforcement::Off => parts.push("off: counts and rejects nothing by itself".to_owned()),
    }
    parts.join("; ")
}

fn automatic(view: &View, clock: &impl Fn(Instant) -> String) -> Vec<String> {
    let mut parts = Vec::new();
    match view.standing.automatic {
        State::Closed => {
            parts.push("closed".to_owned());
            if let Some(ramp) = view.ramp {
                let left = span(ramp.full_at.saturating_duration_since(view.now));
                parts.push(format!(
                    "ramping up: {} of calls pass, all of them in {left}",
                    ramp.share
                ));
                parts.extend(rejected(view));
            }
            parts.extend(distances(view));
        }
        State::Open => {
            parts.push(format!("open since {}{}", clock(view.since), because(view)));
            parts.extend(view.next_probe_at.map(|at| {
                format!(
                    "next probe in {}",
                    span(at.saturating_duration_since(view.now))
                )
            }));
            parts.extend(rejected(view));
        }
        State::HalfOpen => {
            parts.push(format!("half-open since {}", clock(view.since)));
            parts.extend(view.probes.as_ref().map(|probes| probing(view, probes)));
            parts.extend(rejected(view));
        }
    }
    parts
}

fn held(view: &View, hold: &Hold, clock: &impl Fn(Instant) -> String) -> Vec<String> {
    let word = match hold.mode {
        Mode::ForcedOpen => "forced open",
        Mode::ForcedClosed | Mode::Auto => "forced closed",
    };
    let mut sentence = format!("{word} since {} by {}", clock(hold.since), hold.by);
    // Writing to a String cannot fail.
    let _ = match hold.until {
        Some(until) => write!(sentence, " until {}", clock(until)),
        None => write!(sentence, " until further notice"),
    };
    if let Some(reason) = &hold.reason {
        let _ = write!(sentence, " ({reason})");
    }
    let mut parts = vec![sentence];
    parts.push(match view.standing.automatic {
        State::Closed => "by itself it would be closed".to_owned(),
        State::Open => format!("by itself it would be open{}", because(view)),
        State::HalfOpen => "by itself it would be half-open".to_owned(),
    });
    parts.extend(rejected(view));
    parts
}

fn distances(view: &View) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(distance) = view.distances.consecutive_failures {
        parts.push(format!(
            "{} of {} consecutive failures",
            distance.reached, distance.threshold
        ));
    }
    for (distance, word) in [
        (view.distances.failure_ratio, "failed"),
        (view.distances.slow_ratio, "slow"),
    ] {
        let Some(distance) = distance else { continue };
        let calls = distance.calls;
        let shown = distance.reached.map_or_else(
            || "no calls yet".to_owned(),
            |share| format!("{share} of {} {word}", number(calls.reached.into())),
        );
        parts.push(if calls.reached < calls.threshold {
            format!("{shown}, judged from {}", number(calls.threshold.into()))
        } else {
            format!("{shown}, opens at {}", distance.threshold)
        });
    }
    parts
}

fn probing(view: &View, probes: &Probes) -> String {
    let progress = format!(
        "{} of {} successful probes",
        probes.succeeded.reached, probes.succeeded.threshold
    );
    match probes.verdict_by {
        None => format!("waiting for a probe; {progress}"),
        Some(by) => {
            let left = span(by.saturating_duration_since(view.now));
            format!(
                "{} of {} probes out, verdict within {left}; {progress}",
                probes.out, probes.max
            )
        }
    }
}

fn rejected(view: &View) -> Option<String> {
    let rejects = match view.state() {
        State::Open | State::HalfOpen => {
            view.standing.mode == Mode::ForcedOpen || !view.standing.lets_all_pass()
        }
        State::Closed => view.ramp.is_some() && !view.standing.lets_all_pass(),
    };
    rejects.then(|| format!("{} rejected", number(view.rejected_since)))
}

fn because(view: &View) -> String {
    view.because
        .as_deref()
        .map_or_else(String::new, |transition| {
            format!(" because {}", reason(transition))
        })
}

/// The clause that says why a transition happened: "5 consecutive calls failed (4 timeout, 1 status 503)".
fn reason(transition: &Transition) -> String {
    let Evidence {
        observed,
        threshold,
        window,
        labels,
        exemplars: _,
    } = &transition.evidence;
    let calls = number(window.calls.into());
    match transition.cause {
        Cause::ConsecutiveFailures => match observed {
            Measure::Count(1) => format!("1 call failed{}", counted(labels)),
            Measure::Count(_) | Measure::Nothing | Measure::Share(_) | Measure::Time(_) => {
                format!("{observed} consecutive calls failed{}", counted(labels))
            }
        },
        Cause::FailureRatio => format!(
            "{observed} of {calls} failed, at least {threshold}{}",
            counted(labels)
        ),
        Cause::SlowRatio => format!("{observed} of {calls} were slow, at least {threshold}"),
        Cause::ProbeFailed => format!("a probe failed{}", counted(labels)),
        Cause::ProbesSucceeded => format!("{observed} probes succeeded"),
        Cause::ResetTimeout => "its reset timeout passed".to_owned(),
        Cause::HalfOpenTimeout => match observed {
            Measure::Time(time) => format!("a probe had no verdict within {}", span(*time)),
            Measure::Nothing | Measure::Count(_) | Measure::Share(_) => {
                "a probe had no verdict in time".to_owned()
            }
        },
        Cause::Forced => "an operator said so".to_owned(),
        Cause::Config => "the configuration changed".to_owned(),
    }
}

fn counted(labels: &[LabelCount]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let told: Vec<String> = labels.iter().map(ToString::to_string).collect();
    format!(" ({})", told.join(", "))
}

fn number(calls: u64) -> String {
    if calls == 1 {
        "1 call".to_owned()
    } else {
        format!("{calls} calls")
    }
}

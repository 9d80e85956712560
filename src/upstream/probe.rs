//! An active probe: when it is due, and what the last one proved. The caller decides who makes it and what follows from it.
//!
//! One probe per route is under way at a time, over all workers and across reloads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::plan::ProbePlan;
use crate::failure::Failure;

/// The pause between probes while a half-open breaker waits for a verdict: `half_open_timeout` could end before the usual
/// pause.
const HASTE: Duration = Duration::from_secs(1);

/// The active probe of a route, shared by all workers.
#[derive(Debug)]
pub struct Probe {
    plan: ProbePlan,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// When the next is due.
    due: Instant,
    /// When the one before began.
    began: Option<Instant>,
    is_out: bool,
    /// The upstream asked for a pause until this instant.
    not_before: Option<Instant>,
    last: Option<Report>,
}

/// What one probe proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it began.
    pub at: Instant,
    /// The status of the answer, or why there is none.
    pub answer: Result<u16, Failure>,
    /// Whether that is what the route expects.
    pub is_good: bool,
    /// From its beginning to the answer or the failure.
    pub took: Duration,
}

/// What a probe changed, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeNews {
    /// Nothing.
    None,
    /// It failed, and the one before did not.
    Failed,
    /// It went well, and the one before did not.
    Recovered,
}

/// How urgent a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// As the configuration says.
    Usual,
    /// A half-open breaker waits for it.
    Wanted,
}

/// The turn to probe. Dropping it ends it; the next probe is due one pause after the beginning of this one.
#[derive(Debug)]
#[must_use = "dropping it ends the turn"]
pub struct ProbeTurn {
    probe: Arc<Probe>,
    began: Instant,
}

impl Probe {
    /// A probe that is first due at a random point within its pause, drawn from `chance`, so that processes that start together
    /// do not probe together.
    #[must_use]
    pub fn new(plan: ProbePlan, now: Instant, chance: u64) -> Self {
        let due = now + share(plan.every, chance);
        Self {
            plan,
            progress: Mutex::new(Progress {
                due,
                began: None,
                is_out: false,
                not_before: None,
                last: None,
            }),
        }
    }

    /// The same probe with other settings: it keeps the last result, and is due when it was before, or earlier.
    #[must_use]
    pub fn respec(&self, plan: ProbePlan, now: Instant) -> Self {
        let before = self.lock();
        let due = before.due.min(now + plan.every);
        Self {
            plan,
            progress: Mutex::new(Progress {
                due,
                began: before.began,
                is_out: false,
                not_before: before.not_before,
                last: before.last,
            }),
        }
    }

    /// What it was made from.
    #[must_use]
    pub fn plan(&self) -> &ProbePlan {
        &self.plan
    }

    /// The turn to probe, if one is due and no other is under way. The pause until the next varies by up to a tenth, drawn from
    /// `chance`.
    pub fn turn(
        self: &Arc<Self>,
        urgency: Urgency,
        now: Instant,
        chance: u64,
    ) -> Option<ProbeTurn> {
        let mut progress = self.lock();
        if progress.is_out || now < progress.due_at(urgency) {
            return None;
        }
        let every = self.plan.every;
        progress.due = now + every * 9 / 10 + share(every / 5, chance);
        progress.began = Some(now);
        progress.not_before = None;
        progress.is_out = true;
        Some(ProbeTurn {
            probe: Arc::clone(self),
            began: now,
        })
    }

    /// What the last one proved, and when the next is due.
    #[must_use]
    pub fn seen(&self, urgency: Urgency) -> (Option<Report>, Instant) {
        let progress = self.lock();
        (progress.last, progress.due_at(urgency))
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn due_at(&self, urgency: Urgency) -> Instant {
        let soon = self.began.map(|began| began + HASTE);
        let due = match (urgency, soon) {
            (Urgency::Usual, _) | (Urgency::Wanted, None) => self.due,
            (Urgency::Wanted, Some(soon)) => self.due.min(soon),
        };
        self.not_before.map_or(due, |at| due.max(at))
    }
}

impl ProbeTurn {
    /// The probe that this is a turn of.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The upstream asked for a pause: the next probe is not due before `until`, however urgent a verdict is.
    pub fn put_off(&self, until: Instant) {
        self.probe.lock().not_before = Some(until);
    }

    /// Ends it with what it proved.
    pub fn finish(self, answer: Result<u16, Failure>, now: Instant) -> (Report, ProbeNews) {
        let report = Report {
            at: self.began,
            answer,
            is_good: answer.is_ok_and(|status| self.probe.plan.expects(status)),
            took: now.saturating_duration_since(self.began),
        };
        let before = self.probe.lock().last.replace(report);
        let was_good = before.is_none_or(|before| before.is_good);
        let news = match (was_good, report.is_good) {
            (true, false) => ProbeNews::Failed,
            (false, true) => ProbeNews::Recovered,
            (true, true) | (false, false) => ProbeNews::None,
        };
        (report, news)
    }
}

impl Drop for ProbeTurn {
    fn drop(&mut self) {
        self.probe.lock().is_out = false;
    }
}

/// A random share of a duration, drawn from `chance`.
fn share(duration: Duration, chance: u64) -> Duration {
    duration / 1000 * u32::try_from(chance % 1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn plan(every: u64) -> ProbePlan {
        ProbePlan {
            path: "/health".parse().unwrap(),
            every: secs(every),
            timeout: secs(1),
            expect: vec![200..=399],
        }
    }

    /// In which seconds a turn was had, each ended at once.
    fn turns(probe: &Arc<Probe>, start: Instant, urgency: Urgency, seconds: u64) -> Vec<u64> {
        let had = |second: &u64| probe.turn(urgency, start + secs(*second), 500).is_some();
        (0..seconds).filter(had).collect()
    }

    #[test]
    fn the_first_turn_comes_within_the_pause_and_the_others_a_pause_apart() {
        let start = now();
        let probe = Arc::new(Probe::new(plan(10), start, 700));
        assert_eq!(turns(&probe, start, Urgency::Usual, 40), [7, 17, 27, 37]);
        let wanted = Arc::new(Probe::new(plan(3600), start, 2));
        assert_eq!(
            turns(&wanted, start, Urgency::Wanted, 12),
            [8, 9, 10, 11],
            "after the first, a second apart while a verdict is wanted"
        );
    }

    #[test]
    fn one_probe_is_under_way_at_a_time_and_a_lost_one_gives_its_turn_back() {
        let start = now();
        let probe = Arc::new(Probe::new(plan(1), start, 0));
        let turn = probe.turn(Urgency::Usual, start, 0).unwrap();
        assert!(probe.turn(Urgency::Wanted, start + secs(60), 0).is_none());
        drop(turn);
        assert!(probe.turn(Urgency::Usual, start + secs(60), 0).is_some());
    }

    #[test]
    fn a_pause_that_was_asked_for_puts_the_next_off_even_where_a_verdict_is_wanted() {
        let start = now();
        let probe = Arc::new(Probe::new(plan(10), start, 0));
        let turn = probe.turn(Urgency::Wanted, start, 500).unwrap();
        turn.put_off(start + secs(25));
        drop(turn);
        assert_eq!(probe.seen(Urgency::Usual).1, start + secs(25));
        let probe = Arc::new(probe.respec(plan(9), start));
        let had = turns(&probe, start, Urgency::Wanted, 29);
        assert_eq!(had, [25, 26, 27, 28], "once");
    }

    #[test]
    fn only_a_change_is_news() {
        let start = now();
        let probe = Arc::new(Probe::new(plan(1), start, 0));
        let mut told = Vec::new();
        let answers = [Ok(204), Ok(404), Err(Failure::Timeout), Ok(301), Ok(200)];
        for (second, answer) in (0..).zip(answers) {
            let at = start + secs(second * 2);
            let turn = probe.turn(Urgency::Usual, at, 0).unwrap();
            told.push(turn.finish(answer, at).1);
        }
        use ProbeNews::{Failed, None, Recovered};
        assert_eq!(told, [None, Failed, None, Recovered, None]);
    }

    #[test]
    fn other_settings_keep_what_is_known_and_never_put_the_next_off() {
        let start = now();
        let probe = Arc::new(Probe::new(plan(3600), start, 0));
        let turn = probe.turn(Urgency::Usual, start, 0).unwrap();
        let _ = turn.finish(Ok(200), start);
        let probe = probe.respec(plan(10), start + secs(5));
        let (last, due) = probe.seen(Urgency::Usual);
        assert_eq!((last.unwrap().answer, due), (Ok(200), start + secs(15)));
        let probe = probe.respec(plan(3600), start + secs(6));
        assert_eq!(probe.seen(Urgency::Usual).1, start + secs(15));
    }
}

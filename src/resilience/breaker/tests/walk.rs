//! Case 127, rule 10: the machine equals the reference over a million random steps.

use super::reference::{Reference, Ticket, Told};
use super::*;

const WALKS: u64 = 1_000;
const STEPS: u64 = 1_000;
const LABELS: [Option<Label>; 6] = [
    None,
    Some(Label::Named("timeout")),
    Some(Label::Named("connect_timeout")),
    Some(Label::Status(500)),
    Some(Label::Status(502)),
    Some(Label::Status(503)),
];

/// Sensible keys with small numbers, so that a thousand steps see every state many times.
pub(super) fn random_keys(dice: &mut Dice) -> BreakerKeys {
    loop {
        let ratios = [
            None,
            None,
            Some(percent(10)),
            Ratio::from_hundredths(3_333),
            Some(percent(50)),
            Some(Ratio::ONE),
        ];
        let slow_ratio = dice.pick(&ratios);
        let keys = BreakerKeys {
            enforcement: dice
                .pick(&[Enforcement::Enforce; 6].map(Some))
                .filter(|_| dice.chance(80))
                .unwrap_or_else(|| {
                    if dice.chance(60) {
                        Enforcement::Shadow
                    } else {
                        Enforcement::Off
                    }
                }),
            failure_threshold: dice.roll(0..5) as u32,
            failure_ratio: dice.pick(&ratios),
            slow_ratio,
            slow_after: slow_ratio.map(|_| SECOND),
            window: match dice.chance(50) {
                true => WindowSpec::Time(SECOND * dice.pick(&[1, 2, 10])),
                false => WindowSpec::Calls(dice.roll(1..12) as u32),
            },
            min_calls: dice.roll(1..8) as u32,
            success_threshold: dice.roll(1..4) as u32,
            half_open_max: dice.roll(1..4) as u32,
            probe_timeout: None,
            half_open_timeout: SECOND * dice.pick(&[1, 5]),
            reset_timeout: SECOND * dice.pick(&[1, 3]),
            reset_backoff: ResetBackoff {
                factor: dice.pick(&[1.0, 1.5, 2.0]),
                max: SECOND * dice.pick(&[3, 10]),
                jitter: Ratio::ZERO,
            },
            ramp: dice.chance(50).then(|| RampSpec {
                from: dice.pick(&[percent(1), percent(10), percent(30), percent(99)]),
                over: Duration::from_millis(dice.pick(&[50, 700, 3_333, 10_000])),
            }),
        };
        if BreakerSpec::try_new(keys).is_ok() {
            return keys;
        }
    }
}

pub(super) fn random_sample(dice: &mut Dice) -> Sample {
    let outcome = match dice.roll(0..100) {
        0..40 => Outcome::Success,
        40..80 => Outcome::Failure,
        80..88 => Outcome::Alive,
        88..94 => Outcome::Throttled,
        _ => Outcome::Ignored,
    };
    let latency = dice.pick(&[
        None,
        Some(SECOND - Duration::from_nanos(1)),
        Some(SECOND),
        Some(SECOND * 3),
    ]);
    Sample {
        outcome,
        latency,
        label: dice.pick(&LABELS),
    }
}

/// Mostly little steps, sometimes exactly onto a bound or beside it, sometimes a long pause, sometimes back.
fn random_wait(dice: &mut Dice, now: u64, bound: Option<u64>) -> u64 {
    const MILLI: u64 = 1_000_000;
    match dice.roll(0..1_000) {
        0..300 => now,
        300..700 => now + dice.roll(0..100) * MILLI,
        700..900 => now + dice.roll(0..2_000) * MILLI,
        900..980 => bound.map_or(now, |bound| (bound + dice.roll(0..3)).saturating_sub(1)),
        980..990 => now.saturating_sub(dice.roll(0..5_000) * MILLI),
        990..998 => now + dice.roll(0..60_000) * MILLI,
        _ => now + 5 * 3_600_000 * MILLI,
    }
}

/// Both machines, driven by the same steps.
struct Pair {
    machine: Machine,
    reference: Reference,
    begin: Instant,
    out: Vec<(Admission, Ticket)>,
    told: usize,
}

impl Pair {
    fn at(&self, now: u64) -> Instant {
        self.begin + Duration::from_nanos(now)
    }

    fn since_begin(&self, at: Instant) -> u64 {
        (at - self.begin).as_nanos() as u64
    }

    fn step(&mut self, dice: &mut Dice, now: u64) {
        let at = self.at(now);
        match dice.roll(0..100) {
            0..45 if self.out.len() < 12 => {
                let machine = self.machine.admit(at);
                match (machine, self.reference.admit(now)) {
                    (Ok(admission), Ok(ticket)) => self.out.push((admission, ticket)),
                    (Err(refusal), Err((kind, retry_at))) => {
                        let told = refusal.retry_at.map(|at| self.since_begin(at));
                        assert_eq!((refusal.kind, told), (kind, retry_at));
                        assert_eq!(refusal.state, self.reference.standing().state());
                    }
                    (machine, reference) => panic!("machine {machine:?}, reference {reference:?}"),
                }
            }
            0..90 if !self.out.is_empty() => {
                let (admission, ticket) = self
                    .out
                    .swap_remove(dice.roll(0..self.out.len() as u64) as usize);
                if dice.chance(8) {
                    self.machine.release(admission);
                    self.reference.release(ticket);
                } else {
                    let sample = random_sample(dice);
                    self.machine.record(admission, sample, at);
                    self.reference.record(ticket, sample, now);
                }
            }
            90..92 => {
                let keys = random_keys(dice);
                self.machine.respec(spec(keys), at);
                self.reference.respec(keys, now);
            }
            92..94 => {
                let until = dice
                    .chance(60)
                    .then(|| now + dice.roll(0..4_000) * 1_000_000);
                let instant = until.map(|until| self.at(until));
                let holds = [
                    Order::Open { until: instant },
                    Order::HoldClosed { until: instant },
                ];
                let order = dice.pick(&[
                    holds[0],
                    holds[1],
                    Order::Close,
                    Order::Clear,
                    Order::Auto,
                    Order::Withdraw,
                    Order::Renew { until: instant },
                ]);
                self.machine.force(
                    ForceRequest {
                        order,
                        by: String::new(),
                        reason: None,
                    },
                    at,
                );
                self.reference.force(order, until, now);
            }
            _ => self.reference.pass(now),
        }
    }

    fn compare(&mut self, now: u64) {
        self.reference.pass(now);
        assert_eq!(
            self.machine.standing(self.at(now)),
            self.reference.standing()
        );
        while let Some(transition) = self.machine.next_transition() {
            let told = Told {
                at: self.since_begin(transition.at),
                cause: transition.cause,
                before: transition.before,
                after: transition.after,
                window: transition.evidence.window,
            };
            assert_eq!(Some(&told), self.reference.told.get(self.told));
            self.told += 1;
        }
        assert_eq!(self.told, self.reference.told.len());
        let latest = self.since_begin(self.machine.latest);
        assert_eq!(
            self.machine.window.counts(self.machine.latest),
            self.reference.window_counts(latest)
        );
        assert_eq!(
            self.machine.next_probe_at().map(|at| self.since_begin(at)),
            self.reference.next_probe_at()
        );
        assert_eq!(self.machine.rejects(), self.reference.rejects());
        assert_eq!(
            self.machine.statistics.consecutive_failures as usize,
            self.reference.run().len()
        );
    }

    /// What is dearer to ask.
    fn compare_views(&mut self, now: u64) {
        let view = self.machine.view(self.at(now));
        let reference = &self.reference;
        assert_eq!(self.since_begin(view.since), reference.since());
        let probes = view.probes.map(|probes| {
            (
                probes.out,
                probes.succeeded.reached,
                probes.verdict_by.map(|at| self.since_begin(at)),
            )
        });
        assert_eq!(probes, reference.probes());
        let ramp = view
            .ramp
            .map(|ramp| (ramp.share.hundredths(), self.since_begin(ramp.full_at)));
        assert_eq!(ramp, reference.ramping());
        let run = reference.run();
        for LabelCount { label, count } in view.run_labels {
            assert_eq!(
                count as usize,
                run.iter().filter(|told| **told == label).count()
            );
        }
        let results = |wanted| {
            reference
                .results
                .iter()
                .filter(|result| result.0 == wanted)
                .count() as u64
        };
        let timeouts = [
            Some(Label::Named("timeout")),
            Some(Label::Named("connect_timeout")),
        ];
        let is_timeout = |result: &&(Outcome, bool, Option<Label>)| {
            result.0 == Outcome::Failure && timeouts.contains(&result.2)
        };
        assert_eq!(
            view.statistics,
            Statistics {
                total_calls: reference.results.len() as u64 + reference.rejected,
                successes: results(Outcome::Success),
                failures: results(Outcome::Failure),
                alive: results(Outcome::Alive),
                throttled: results(Outcome::Throttled),
                ignored: results(Outcome::Ignored),
                rejected: reference.rejected,
                would_reject: reference.passed_over,
                timeouts: reference.results.iter().filter(is_timeout).count() as u64,
                slow: reference.results.iter().filter(|result| result.1).count() as u64,
                consecutive_failures: run.len() as u32,
                consecutive_successes: reference.consecutive_successes(),
            }
        );
    }
}

/// Walks one seed; says which causes it saw.
fn walk(seed: u64) -> Vec<Cause> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let keys = random_keys(&mut dice);
    let begin = crate::time::now();
    let mut pair = Pair {
        machine: Machine::new(spec(keys), seed, begin),
        reference: Reference::new(keys),
        begin,
        out: Vec::new(),
        told: 0,
    };
    let mut now = 0;
    for step in 0..STEPS {
        let bound = pair
            .reference
            .next_probe_at()
            .or(pair.reference.probes().and_then(|probes| probes.2))
            .or(pair.reference.ramping().map(|ramp| ramp.1));
        now = random_wait(&mut dice, now, bound);
        pair.step(&mut dice, now);
        pair.compare(now);
        if step % 32 == 0 {
            pair.compare_views(now);
        }
    }
    pair.reference.told.iter().map(|told| told.cause).collect()
}

fn walk_all(seeds: Range<u64>) {
    let mut seen = std::collections::HashSet::new();
    for seed in seeds {
        match std::panic::catch_unwind(|| walk(seed)) {
            Ok(causes) => seen.extend(causes),
            Err(panic) => {
                eprintln!("seed {seed} is red");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert_eq!(
        seen.len(),
        Cause::ALL.len(),
        "the walk missed a cause: {seen:?}"
    );
}

#[test]
fn case_127_the_machine_equals_the_reference_over_a_million_steps_first_quarter() {
    walk_all(0..WALKS / 4);
}

#[test]
fn case_127_the_machine_equals_the_reference_over_a_million_steps_second_quarter() {
    walk_all(WALKS / 4..WALKS / 2);
}

#[test]
fn case_127_the_machine_equals_the_reference_over_a_million_steps_third_quarter() {
    walk_all(WALKS / 2..WALKS / 4 * 3);
}

#[test]
fn case_127_the_machine_equals_the_reference_over_a_million_steps_fourth_quarter() {
    walk_all(WALKS / 4 * 3..WALKS);
}

//! The throttle equals a naive one over random steps: pauses of the route and of keys, calls that wait, reloads, and restarts over the
//! content of a state file.

use super::naive::{Millis, Naive, Went, Whom, millis};
use super::*;
use crate::resilience::memory::{Memory, Remembered};

/// Chance: `xorshift`, as good as any for a walk.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn spec(&mut self) -> Option<ThrottleSpec> {
        (self.roll(8) > 0).then(|| ThrottleSpec {
            min: Duration::from_millis(100 * (1 + self.roll(3))),
            max: SECOND * [2, 20, 300][self.roll(3) as usize],
            max_waiting: 3,
            ..ThrottleSpec::default()
        })
    }
}

struct Pair {
    bench: Bench,
    begin: Instant,
    naive: Naive,
    out: Vec<(Pass, Went)>,
    /// By the numbers that the naive line has.
    places: Vec<(usize, Place)>,
    joined: usize,
    restarts: u32,
}

fn key(whom: Whom) -> Option<Key> {
    whom.map(|number| Key::of(&[number]))
}

impl Pair {
    fn new() -> Self {
        let spec = ThrottleSpec {
            max_waiting: 3,
            ..ThrottleSpec::default()
        };
        let bench = Bench::new(spec);
        Self {
            begin: bench.now,
            bench,
            naive: Naive {
                spec: Some(spec),
                ..Naive::default()
            },
            out: Vec::new(),
            places: Vec::new(),
            joined: 0,
            restarts: 0,
        }
    }

    fn since(&self, at: Instant) -> Millis {
        millis(at - self.begin)
    }

    fn take(&mut self, real: Result<Pass, Halt>, naive: Result<Went, Millis>) {
        match (real, naive) {
            (Ok(pass), Ok(went)) => {
                let decides = went.route_pause.is_some() || went.key_pause.is_some();
                assert_eq!(pass.decides(), decides);
                self.out.push((pass, went));
            }
            (Err(halt), Err(again)) => assert_eq!(self.since(halt.retry_at), again),
            (real, naive) => panic!("{real:?}, and naively may it go: {}", naive.is_ok()),
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        let now = self.bench.now;
        let whom = [None, None, Some(1), Some(2)][dice.roll(4) as usize];
        let pick = |dice: &mut Dice, length: usize| {
            (length > 0).then(|| dice.roll(length.max(1) as u64) as usize)
        };
        match dice.roll(100) {
            0..30 if self.out.len() < 8 => {
                let real = self.bench.throttle.admit(key(whom), now);
                let naive = self.naive.ask(whom, None);
                self.take(real, naive);
            }
            0..60 => {
                let Some(at) = pick(dice, self.out.len()) else {
                    return;
                };
                let (pass, went) = self.out.swap_remove(at);
                let outcome = Outcome::ALL[dice.roll(Outcome::ALL.len() as u64) as usize];
                let outcome = if dice.roll(3) == 0 {
                    Outcome::Throttled
                } else {
                    outcome
                };
                let scope = [Scope::Route, Scope::Key][dice.roll(2) as usize];
                let wish = (dice.roll(3) > 0).then(|| 50 * dice.roll(400));
                let signal = Signal {
                    scope,
                    pause: wish.map(Duration::from_millis),
                };
                let signal = (outcome == Outcome::Throttled).then_some(signal);
                self.bench.throttle.settle(pass, outcome, signal, now);
                self.naive
                    .settle(went, outcome, signal.map(|_| (scope, wish)));
            }
            60..64 => {
                let Some(at) = pick(dice, self.out.len()) else {
                    return;
                };
                let (pass, went) = self.out.swap_remove(at);
                drop(pass);
                self.naive.settle(went, Outcome::Ignored, None);
            }
            64..70 => {
                let place = self.bench.throttle.join(key(whom), Arc::new(|| {}));
                let has_room = self.naive.spec.is_some() && self.naive.line.len() < 3;
                assert_eq!(place.is_some(), has_room);
                if let Some(place) = place {
                    self.joined += 1;
                    self.places.push((self.joined, place));
                    self.naive.line.push((self.joined, whom));
                }
            }
            70..78 => {
                let Some(at) = pick(dice, self.places.len()) else {
                    return;
                };
                let whom = self.naive.line[at].1;
                let real = self.places[at].1.ask(now);
                let naive = self.naive.ask(whom, Some(at));
                if real.is_ok() {
                    drop(self.places.remove(at));
                }
                self.take(real, naive);
            }
            78..80 => {
                let Some(at) = pick(dice, self.places.len()) else {
                    return;
                };
                drop(self.places.remove(at));
                self.naive.line.remove(at);
            }
            80..82 => {
                let spec = dice.spec();
                self.bench.throttle.respec(spec, now);
                self.naive.respec(spec);
            }
            82 => {
                self.bench.throttle.release(now);
                self.naive.end_all();
            }
            83 => self.restart([0, 700, 30_000, 90_000][dice.roll(4) as usize]),
            _ => {
                let most = [200, 3_000, 70_000][dice.roll(3) as usize];
                let time = 50 * dice.roll(most / 50);
                self.bench.pass(Duration::from_millis(time));
                self.naive.now += time;
            }
        }
    }

    /// Over the content of a state file.
    fn restart(&mut self, later: Millis) {
        self.restarts += 1;
        self.out.clear();
        self.places.clear();
        self.compare();
        let throttle = &self.bench.throttle;
        let remembered = Remembered {
            pauses: Some(throttle.save(100, self.bench.now)),
            ..Remembered::default()
        };
        let routes = [("r".to_owned(), remembered)].into();
        let content = Memory::new(std::time::SystemTime::UNIX_EPOCH, routes).encode();
        let memory = Memory::decode(content.as_bytes()).unwrap();
        let saved = memory.routes["r"].pauses.as_ref().unwrap();

        let elapsed = Duration::from_millis(later);
        let next = Bench::at(throttle.spec(), self.bench.now + elapsed);
        next.throttle.resume(saved, elapsed, next.now);
        self.bench = next;
        self.naive.restart(later);
    }

    fn compare(&mut self) {
        // Dropped passes and places were given up and left.
        if self.out.is_empty() && self.places.is_empty() {
            self.naive.line.clear();
            self.naive
                .pauses
                .values_mut()
                .for_each(|pause| pause.is_tried = false);
        }
        self.naive.sweep();
        let view = self.bench.view();
        let route = self.naive.pauses.get(&None);
        assert_eq!(
            view.since.map(|at| self.since(at)),
            route.map(|it| it.since)
        );
        let until = route.map(|it| it.until).filter(|end| *end > self.naive.now);
        assert_eq!(view.until.map(|at| self.since(at)), until);
        assert_eq!(view.signals_in_a_row, route.map_or(0, |it| it.in_a_row));
        assert_eq!(view.keys, self.naive.keys());
        assert_eq!(view.waiting, self.naive.line.len());
        assert_eq!(millis(view.paused), self.naive.paused());
        let shut = self.naive.is_shut(None);
        assert_eq!(self.bench.throttle.is_shut(self.bench.now), shut);
        let mut told: Vec<_> = std::mem::take(&mut *self.bench.told.lock().unwrap())
            .into_iter()
            .filter_map(|change| match change {
                Change::Throttled { key, in_a_row, .. } => Some((key, Some(in_a_row))),
                Change::Released { key, .. } => Some((key, None)),
                Change::Lengthened { .. } => None,
            })
            .collect();
        let naive = std::mem::take(&mut self.naive.told).into_iter();
        let mut naive: Vec<_> = naive.map(|(whom, row)| (key(whom), row)).collect();
        // Those that a reload or an operator ends at once are told in no order.
        told.sort();
        naive.sort();
        assert_eq!(told, naive);
    }
}

fn walk(seed: u64) -> u32 {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut pair = Pair::new();
    for _ in 0..500 {
        pair.step(&mut dice);
        pair.compare();
    }
    pair.restarts
}

#[test]
fn the_throttle_equals_a_naive_one_over_a_hundred_thousand_random_steps_and_restarts() {
    let mut restarts = 0;
    for seed in 0..200 {
        match std::panic::catch_unwind(|| walk(seed)) {
            Ok(more) => restarts += more,
            Err(panic) => {
                eprintln!("seed {seed} is red");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(restarts > 200, "{restarts}");
}

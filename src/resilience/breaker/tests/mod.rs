//! The rules of the breaker as claims; "rule" numbers are those of the specification's list, "case" numbers those of the case table.

mod evictions;
mod exemplars;
mod file;
mod flapping;
mod forcing;
mod kept;
mod keys;
mod lane;
mod orders;
mod probing;
mod ramping;
mod reference;
mod reload;
mod rules;
mod saved;
mod sentences;
mod shadows;
mod simulation;
mod threads;
mod walk;

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::resilience::memory::{Memory, Remembered};
use crate::resilience::outcome::{Label, Outcome};
use crate::resilience::ramp::RampSpec;
use crate::resilience::ratio::Ratio;

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Sample = Sample::failure(Label::Named("timeout"));
const SUCCESS: Sample = Sample::new(Outcome::Success);

/// The words of the tests' labels.
fn words(word: &str) -> Option<&'static str> {
    ["timeout", "connect_timeout", "slow"]
        .into_iter()
        .find(|known| *known == word)
}

/// A small seeded generator: a red test names its seed, and the seed is the test.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, range: Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + (self.0 >> 11) % (range.end - range.start)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(0..from.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(0..100) < percent
    }
}

fn percent(percent: u16) -> Ratio {
    Ratio::from_hundredths(percent * 100).unwrap()
}

fn spec(keys: BreakerKeys) -> BreakerSpec {
    BreakerSpec::try_new(keys).unwrap()
}

/// Five failures open, two probes close, one probe at a time, 30 s until it probes.
fn usual() -> BreakerKeys {
    BreakerKeys {
        failure_threshold: 5,
        reset_timeout: SECOND * 30,
        ..BreakerKeys::default()
    }
}

/// A breaker with a clock and everything its observer was told.
struct Bed {
    breaker: Arc<Breaker>,
    now: Instant,
    told: Arc<Mutex<Vec<Transition>>>,
}

impl Bed {
    fn new(keys: BreakerKeys) -> Self {
        Self::at(keys, crate::time::now())
    }

    fn at(keys: BreakerKeys, now: Instant) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&told);
        let observer: Observer =
            Box::new(move |transition| ear.lock().unwrap().push(transition.clone()));
        Self {
            breaker: Breaker::new(spec(keys), 1, now, observer),
            now,
            told,
        }
    }

    /// Another process, begun so long after this one ended, with what this one saved in a file.
    fn restarted(&self, keys: BreakerKeys, pause: Duration) -> Self {
        let next = Self::at(keys, self.now + pause);
        if let Some(saved) = self.breaker.save(self.now) {
            let breaker = Some(saved);
            let remembered = Remembered {
                breaker,
                ..Remembered::default()
            };
            let routes = [("route".to_owned(), remembered)].into();
            let memory = Memory::new(std::time::SystemTime::UNIX_EPOCH, routes);
            let memory = Memory::decode(memory.encode().as_bytes()).unwrap();
            let saved = memory.routes["route"].breaker.as_ref().unwrap();
            next.breaker.resume(saved, pause, &words, next.now);
        }
        next
    }

    /// One that was opened by as many failures as it takes.
    fn open(keys: BreakerKeys) -> Self {
        let bed = Self::new(keys);
        bed.calls(keys.failure_threshold, TIMEOUT);
        assert_eq!(bed.state(), State::Open);
        bed
    }

    /// One whose reset time has just passed.
    fn half_open(keys: BreakerKeys) -> Self {
        let mut bed = Self::open(keys);
        bed.wait(keys.reset_timeout);
        assert_eq!(bed.state(), State::HalfOpen);
        bed
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&self) -> Result<Permit, Refusal> {
        self.breaker.admit(self.now)
    }

    fn call(&self, sample: Sample) {
        self.admit().unwrap().finish(sample, self.now);
    }

    fn calls(&self, times: u32, sample: Sample) {
        for _ in 0..times {
            self.call(sample);
        }
    }

    fn view(&self) -> View {
        self.breaker.view(self.now)
    }

    fn state(&self) -> State {
        self.breaker.in_force(self.now).0
    }

    fn force(&self, order: Order) -> bool {
        let request = ForceRequest {
            order,
            by: "ana".to_owned(),
            reason: Some("maintenance".to_owned()),
        };
        self.breaker.force(request, self.now)
    }

    fn told(&self) -> Vec<Transition> {
        self.told.lock().unwrap().clone()
    }

    /// What the observer was told, in short.
    fn moves(&self) -> Vec<(State, State, Cause)> {
        self.told()
            .iter()
            .map(|transition| (transition.from(), transition.to(), transition.cause))
            .collect()
    }
}

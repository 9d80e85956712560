//! What a throttle promises.

mod keys;
mod line;
mod naive;
mod orders;
mod saved;
mod walk;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::resilience::ratio::Ratio;
use crate::resilience::signal::Scope;

const SECOND: Duration = Duration::from_secs(1);

/// A throttle with its clock and what it told.
struct Bench {
    throttle: Arc<Throttle>,
    now: Instant,
    told: Arc<Mutex<Vec<Change>>>,
}

impl Bench {
    fn new(spec: ThrottleSpec) -> Self {
        Self::at(Some(spec), crate::time::now())
    }

    fn at(spec: Option<ThrottleSpec>, now: Instant) -> Self {
        let told = Arc::<Mutex<Vec<Change>>>::default();
        let tell = Arc::clone(&told);
        let observer = Box::new(move |change: &Change| tell.lock().unwrap().push(*change));
        Self {
            throttle: Throttle::new(spec, 1, now, observer),
            now,
            told,
        }
    }

    fn standard() -> Self {
        Self::new(ThrottleSpec::default())
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&self) -> Result<Pass, Halt> {
        self.throttle.admit(None, self.now)
    }

    /// Admitted or not, and the wait in milliseconds.
    fn wait(&self) -> Option<u128> {
        let halt = self.admit().err()?;
        Some((halt.retry_at - self.now).as_millis())
    }

    fn settle(&self, pass: Pass, outcome: Outcome) {
        self.throttle.settle(pass, outcome, None, self.now);
    }

    fn signal(&self, pass: Pass, pause: Option<Duration>) {
        let signal = Signal {
            scope: Scope::Route,
            pause,
        };
        self.throttle
            .settle(pass, Outcome::Throttled, Some(signal), self.now);
    }

    fn signal_for_key(&self, pass: Pass, pause: Duration) {
        let signal = Signal {
            scope: Scope::Key,
            pause: Some(pause),
        };
        self.throttle
            .settle(pass, Outcome::Throttled, Some(signal), self.now);
    }

    fn view(&self) -> ThrottleView {
        self.throttle.view(self.now)
    }

    fn join(&self, key: Option<Key>) -> (Place, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let woken = Arc::clone(&count);
        let wake: Wake = Arc::new(move || {
            woken.fetch_add(1, Ordering::Relaxed);
        });
        (self.throttle.join(key, wake).unwrap(), count)
    }
}

#[test]
fn a_wish_pauses_the_route_for_its_time_and_a_success_after_it_ends_it() {
    let mut bench = Bench::standard();
    bench.signal(bench.admit().unwrap(), Some(SECOND * 30));
    assert_eq!(bench.wait(), Some(30_000));
    bench.pass(SECOND * 30 - Duration::from_nanos(1));
    assert_eq!(bench.wait(), Some(0));
    bench.pass(Duration::from_nanos(1));
    let tries = bench.admit().unwrap();
    assert!(tries.decides());
    assert_eq!(bench.wait(), Some(100), "one at a time");
    bench.settle(tries, Outcome::Success);
    assert!((0..100).all(|_| bench.admit().is_ok_and(|pass| !pass.decides())));
    let told = bench.told.lock().unwrap().clone();
    let [
        Change::Throttled {
            key: None,
            wish,
            in_a_row: 1,
            ..
        },
        Change::Released { key: None, after },
    ] = told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((wish, after), (Some(SECOND * 30), SECOND * 30));
}

#[test]
fn whatever_answer_asks_for_no_pause_releases_and_a_failure_lets_the_next_one_try() {
    for (outcome, is_released) in [
        (Outcome::Success, true),
        (Outcome::Alive, true),
        (Outcome::Failure, false),
        (Outcome::Ignored, false),
    ] {
        let mut bench = Bench::standard();
        bench.signal(bench.admit().unwrap(), Some(SECOND));
        bench.pass(SECOND);
        bench.settle(bench.admit().unwrap(), outcome);
        let next = bench.admit().unwrap();
        assert_eq!(next.decides(), !is_released, "{outcome:?}");
        drop(next);
        let next = bench.admit().unwrap();
        assert_eq!(
            next.decides(),
            !is_released,
            "{outcome:?}, one was given up"
        );
    }
}

#[test]
fn without_a_hint_wishes_in_a_row_double_the_pause_until_a_success() {
    let mut bench = Bench::standard();
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let pass = bench.admit().unwrap();
        bench.signal(pass, None);
        assert_eq!(bench.wait(), Some(seconds * 1_000));
        bench.pass(SECOND * seconds as u32);
    }
    assert_eq!(bench.view().signals_in_a_row, 8);
    bench.settle(bench.admit().unwrap(), Outcome::Success);
    bench.signal(bench.admit().unwrap(), None);
    assert_eq!(bench.wait(), Some(1_000));
}

#[test]
fn jitter_comes_after_all_else_lengthens_a_pause_and_shortens_none() {
    let spec = ThrottleSpec {
        max: SECOND * 60,
        jitter: Ratio::from_hundredths(5_000).unwrap(),
        ..ThrottleSpec::default()
    };
    for (wish, least) in [(SECOND * 10, 10_000), (SECOND * 3_600, 60_000)] {
        let told: Vec<_> = (0..300)
            .map(|seed| {
                let now = crate::time::now();
                let bench = Bench {
                    throttle: Throttle::new(Some(spec), seed, now, Box::new(|_| {})),
                    now,
                    told: Arc::default(),
                };
                bench.signal(bench.admit().unwrap(), Some(wish));
                bench.wait().unwrap()
            })
            .collect();
        assert!(
            told.iter()
                .all(|wait| (least..least * 3 / 2).contains(wait))
        );
        let spread = (told.iter().min().unwrap(), told.iter().max().unwrap());
        assert!(
            *spread.0 < least * 11 / 10 && *spread.1 > least * 14 / 10,
            "{spread:?}"
        );
    }
}

#[test]
fn a_route_is_shut_while_it_is_paused_and_while_a_call_tries_and_asking_takes_no_turn() {
    let mut bench = Bench::standard();
    let shut = |bench: &Bench| bench.throttle.is_shut(bench.now);
    assert!(!shut(&bench));
    bench.signal(bench.admit().unwrap(), Some(SECOND));
    assert!(shut(&bench));
    bench.pass(SECOND);
    assert!(!shut(&bench) && !shut(&bench), "the pause is over");
    let tries = bench.admit().unwrap();
    assert!(shut(&bench));
    bench.settle(tries, Outcome::Success);
    let key = Some(Key::of(b"a"));
    let pass = bench.throttle.admit(key, bench.now).unwrap();
    bench.signal_for_key(pass, SECOND);
    assert!(!shut(&bench), "a key is not the route");
}

#[test]
fn many_calls_refused_at_once_are_one_wish_and_not_many_in_a_row() {
    let bench = Bench::standard();
    let passes: Vec<_> = (0..50).map(|_| bench.admit().unwrap()).collect();
    for pass in passes {
        bench.signal(pass, None);
    }
    assert_eq!(
        (bench.wait(), bench.view().signals_in_a_row),
        (Some(1_000), 1)
    );
    assert_eq!(bench.told.lock().unwrap().len(), 1, "told once");
}

#[test]
fn a_later_end_extends_a_pause_and_an_earlier_one_never_shortens_it() {
    let mut bench = Bench::standard();
    let [a, b, c] = [(); 3].map(|()| bench.admit().unwrap());
    bench.signal(a, Some(SECOND * 10));
    bench.signal(b, Some(SECOND * 3));
    assert_eq!(bench.wait(), Some(10_000));
    bench.pass(SECOND * 5);
    bench.signal(c, Some(SECOND * 20));
    assert_eq!(bench.wait(), Some(20_000));
    let until = bench.view().until.unwrap();
    let told = bench.told.lock().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    let lengthened = Change::Lengthened {
        key: None,
        until,
        wish: SECOND * 20,
    };
    assert_eq!(told[1], lengthened);
}

#[test]
fn a_success_of_a_call_sent_before_the_pause_does_not_end_it() {
    let mut bench = Bench::standard();
    let (early, signals) = (bench.admit().unwrap(), bench.admit().unwrap());
    bench.signal(signals, Some(SECOND * 9));
    bench.settle(early, Outcome::Success);
    assert_eq!(bench.wait(), Some(9_000));
    // Nor does one that was let out after the pause, when a later wish has begun the next.
    let stale = Bench::standard();
    let (early, signals) = (stale.admit().unwrap(), stale.admit().unwrap());
    stale.signal(signals, Some(SECOND));
    bench.pass(SECOND * 9);
    let now = stale.now + SECOND;
    let tries = stale.throttle.admit(None, now).unwrap();
    let signal = Signal {
        scope: Scope::Route,
        pause: Some(SECOND * 5),
    };
    stale
        .throttle
        .settle(early, Outcome::Throttled, Some(signal), now);
    stale.throttle.settle(tries, Outcome::Success, None, now);
    assert!(stale.throttle.admit(None, now).is_err());
}

#[test]
fn a_reload_keeps_a_pause_within_the_new_settings_and_off_ends_it() {
    let mut bench = Bench::standard();
    bench.signal(bench.admit().unwrap(), Some(SECOND * 100));
    bench.pass(SECOND);
    let spec = |seconds| ThrottleSpec {
        max: SECOND * seconds,
        ..ThrottleSpec::default()
    };
    bench.throttle.respec(Some(spec(300)), bench.now);
    assert_eq!(bench.wait(), Some(99_000));
    bench.throttle.respec(Some(spec(10)), bench.now);
    assert_eq!(bench.wait(), Some(9_000));
    let (_place, woken) = bench.join(None);
    bench.throttle.respec(None, bench.now);
    assert_eq!((bench.wait(), woken.load(Ordering::Relaxed)), (None, 1));
    bench.signal(bench.admit().unwrap(), None);
    assert_eq!(bench.wait(), None, "off obeys no wish");
}

#[test]
fn the_time_paused_advances_while_it_is_paused_and_not_after_its_end() {
    let mut bench = Bench::standard();
    bench.signal(bench.admit().unwrap(), Some(SECOND * 10));
    bench.pass(SECOND * 4);
    assert_eq!(bench.view().paused, SECOND * 4);
    bench.pass(SECOND * 60);
    assert_eq!(bench.view().paused, SECOND * 10);
    bench.signal(bench.admit().unwrap(), Some(SECOND * 10));
    bench.pass(SECOND);
    assert_eq!(bench.view().paused, SECOND * 11);
    bench.throttle.release(bench.now);
    bench.pass(SECOND);
    assert_eq!(bench.view().paused, SECOND * 11);
}

#[test]
fn the_sentence_says_how_long_why_and_who_waits() {
    let mut bench = Bench::standard();
    assert_eq!(bench.view().explain(), None);
    bench.signal(bench.admit().unwrap(), Some(SECOND * 42));
    let _place = bench.join(None);
    let told = |bench: &Bench| bench.view().explain().unwrap();
    assert_eq!(
        told(&bench),
        "throttled for another 42 s because the upstream asked for a pause; 1 call waiting"
    );
    drop(_place);
    bench.pass(SECOND * 42);
    bench.signal(bench.admit().unwrap(), None);
    assert_eq!(
        told(&bench),
        "throttled for another 2 s because the upstream asked for a pause 2 times in a row"
    );
    bench.pass(SECOND * 2);
    assert!(told(&bench).starts_with("throttled until a call succeeds"));
}

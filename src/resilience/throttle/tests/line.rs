//! Who waits, and who goes next.

use proptest::prelude::*;

use super::*;

#[test]
fn who_waits_goes_in_the_order_of_arrival_and_one_by_one() {
    let mut bench = Bench::standard();
    bench.signal(bench.admit().unwrap(), Some(SECOND));
    let (first, first_woken) = bench.join(None);
    let (second, second_woken) = bench.join(None);
    let (third, third_woken) = bench.join(None);
    bench.pass(SECOND);
    assert!(third.ask(bench.now).is_err() && second.ask(bench.now).is_err());
    assert!(
        bench.admit().is_err(),
        "a new one goes before none that waits"
    );
    let tries = first.ask(bench.now).unwrap();
    assert!(second.ask(bench.now).is_err(), "one at a time");
    bench.settle(tries, Outcome::Failure);
    assert_eq!(second_woken.load(Ordering::Relaxed), 1);
    assert_eq!(third_woken.load(Ordering::Relaxed), 0, "woken one by one");
    bench.settle(second.ask(bench.now).unwrap(), Outcome::Success);
    assert_eq!(third_woken.load(Ordering::Relaxed), 1);
    assert!(third.ask(bench.now).is_ok_and(|pass| !pass.decides()));
    assert_eq!(first_woken.load(Ordering::Relaxed), 0);
    assert_eq!(bench.view().waiting, 0);
}

#[test]
fn a_waiting_call_that_leaves_leaves_no_hole() {
    let mut bench = Bench::standard();
    bench.signal(bench.admit().unwrap(), Some(SECOND));
    let (gone, _) = bench.join(None);
    let (next, woken) = bench.join(None);
    bench.pass(SECOND);
    assert!(bench.admit().is_err());
    drop(gone);
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    // One that was let out and is given up leaves none either.
    drop(next.ask(bench.now).unwrap());
    assert!(bench.admit().is_ok_and(|pass| pass.decides()));
}

#[test]
fn a_new_pause_wakes_all_that_wait_since_they_may_not_want_to_wait_that_long() {
    let mut bench = Bench::standard();
    bench.signal(bench.admit().unwrap(), Some(SECOND));
    bench.pass(SECOND);
    let tries = bench.admit().unwrap();
    let (place, woken) = bench.join(None);
    bench.signal(tries, Some(SECOND * 7));
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    let halt = place.ask(bench.now).unwrap_err();
    assert_eq!(
        (halt.retry_at - bench.now, halt.is_releasing),
        (SECOND * 7, false)
    );
}

#[test]
fn a_paused_key_at_the_head_of_the_line_holds_up_no_other() {
    let mut bench = Bench::standard();
    let (mine, other) = (Some(Key::of(b"a")), Some(Key::of(b"b")));
    let passes = [mine, None].map(|key| bench.throttle.admit(key, bench.now).unwrap());
    let [mine_signals, route_signals] = passes;
    bench.signal_for_key(mine_signals, SECOND * 60);
    bench.signal(route_signals, Some(SECOND));
    let (held, _) = bench.join(mine);
    let (goes, _) = bench.join(other);
    bench.pass(SECOND);
    assert!(held.ask(bench.now).is_err());
    assert!(goes.ask(bench.now).is_ok());
}

#[test]
fn the_line_is_bounded() {
    let bench = Bench::new(ThrottleSpec {
        max_waiting: 1,
        ..ThrottleSpec::default()
    });
    let _place = bench.join(None);
    assert!(bench.throttle.join(None, Arc::new(|| {})).is_none());
}

proptest! {
    /// Any mix of calls, wishes, waits and departures: no two calls are out to try, and nobody is stuck when it is over.
    #[test]
    fn at_most_one_call_tries_and_nothing_stays_stuck(
        steps in proptest::collection::vec((0_u8..7, 0_u64..4_000), 1..200)
    ) {
        let mut bench = Bench::new(ThrottleSpec { max_waiting: 3, ..ThrottleSpec::default() });
        let (mut out, mut places): (Vec<Pass>, Vec<Place>) = (Vec::new(), Vec::new());
        for (step, number) in steps {
            let pick = |length: usize| (length > 0).then(|| number as usize % length.max(1));
            match step {
                0 => bench.pass(Duration::from_millis(number)),
                1 => out.extend(bench.admit()),
                2 => places.extend(bench.throttle.join(None, Arc::new(|| {}))),
                3 => if let Some(at) = pick(places.len())
                    && let Ok(pass) = places[at].ask(bench.now)
                {
                    prop_assert!(at == 0 || !pass.decides(), "FIFO");
                    out.push(pass);
                    drop(places.remove(at));
                },
                4 => if let Some(at) = pick(places.len()) { drop(places.remove(at)); },
                5 => if let Some(at) = pick(out.len()) {
                    let wish = number.is_multiple_of(2).then(|| Duration::from_millis(number));
                    bench.signal(out.swap_remove(at), wish);
                },
                _ => if let Some(at) = pick(out.len()) {
                    let outcome = Outcome::ALL[number as usize % Outcome::ALL.len()];
                    bench.settle(out.swap_remove(at), outcome);
                },
            }
            prop_assert!(bench.view().waiting <= 3);
        }
        drop((out, places));
        bench.pass(SECOND * 400);
        let pass = bench.admit();
        prop_assert!(pass.is_ok(), "stuck");
        bench.settle(pass.unwrap(), Outcome::Success);
        prop_assert!(bench.admit().is_ok_and(|pass| !pass.decides()));
    }
}

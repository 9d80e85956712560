//! Pauses of single keys.

use super::*;

#[test]
fn a_key_is_paused_alone_and_a_wish_without_a_key_concerns_nobody_else() {
    let mut bench = Bench::standard();
    let (mine, other) = (Some(Key::of(b"a")), Some(Key::of(b"b")));
    let pass = bench.throttle.admit(mine, bench.now).unwrap();
    bench.signal_for_key(pass, SECOND * 5);
    assert!(bench.throttle.admit(mine, bench.now).is_err());
    assert!(bench.throttle.admit(other, bench.now).is_ok());
    assert!(bench.admit().is_ok());
    assert_eq!((bench.view().keys, bench.view().since), (1, None));
    bench.pass(SECOND * 5);
    let tries = bench.throttle.admit(mine, bench.now).unwrap();
    assert!(tries.decides() && bench.throttle.admit(mine, bench.now).is_err());
    bench.settle(tries, Outcome::Success);
    assert_eq!(bench.view().keys, 0);

    bench.signal_for_key(bench.admit().unwrap(), SECOND);
    assert!(!bench.view().is_throttled());
}

#[test]
fn keys_are_bounded_and_forgotten_when_their_pause_is_long_over() {
    let mut bench = Bench::standard();
    let key = |number: usize| Some(Key::of(&number.to_be_bytes()));
    for number in 0..machine::MAX_KEYS + 5 {
        let pass = bench.throttle.admit(key(number), bench.now).unwrap();
        bench.signal_for_key(pass, SECOND * 5);
    }
    assert_eq!(bench.view().keys, machine::MAX_KEYS);
    assert!(
        bench
            .throttle
            .admit(key(machine::MAX_KEYS), bench.now)
            .is_ok()
    );
    bench.pass(SECOND * 65);
    assert_eq!(bench.view().keys, 0);
    assert!(
        bench.admit().is_ok_and(|pass| !pass.decides()),
        "and calls pass without the lock again"
    );
    assert_eq!(bench.throttle.0.all_pass(), Some(machine::MAX_KEYS as u64));
}

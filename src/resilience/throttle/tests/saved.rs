//! What a throttle takes over from the process before it.

use super::*;

/// Another process, begun so long after this one ended, with what this one saved.
fn restarted(bench: &Bench, spec: Option<ThrottleSpec>, pause: Duration) -> Bench {
    let saved = bench.throttle.save(100, bench.now);
    let text = serde_json::to_string(&saved).unwrap();
    let read: SavedPauses = serde_json::from_str(&text).unwrap();
    assert_eq!(read, saved);
    let next = Bench::at(spec, bench.now + pause);
    next.throttle.resume(&read, pause, next.now);
    next
}

const USUAL: Option<ThrottleSpec> = Some(ThrottleSpec {
    min: Duration::from_millis(100),
    max: Duration::from_secs(300),
    wait: Duration::ZERO,
    max_waiting: 100,
    jitter: crate::resilience::ratio::Ratio::ZERO,
});

#[test]
fn a_pause_resumes_with_the_rest_of_its_time_and_a_success_after_it_ends_it() {
    let mut old = Bench::standard();
    old.signal(old.admit().unwrap(), Some(SECOND * 60));
    old.pass(SECOND * 10);
    let mut new = restarted(&old, USUAL, SECOND * 20);
    assert_eq!(new.wait(), Some(30_000));
    let view = new.view();
    assert_eq!(view.since, Some(new.now - SECOND * 30));
    assert_eq!(view.paused, Duration::ZERO, "counters begin anew");
    assert!(new.told.lock().unwrap().is_empty(), "it is no new pause");
    new.pass(SECOND * 30);
    assert_eq!(new.view().paused, SECOND * 30);
    new.settle(new.admit().unwrap(), Outcome::Success);
    assert!(new.admit().is_ok_and(|pass| !pass.decides()));
}

#[test]
fn a_pause_that_ended_meanwhile_lets_calls_leave_one_by_one() {
    let old = Bench::standard();
    old.signal(old.admit().unwrap(), Some(SECOND));
    let new = restarted(&old, USUAL, SECOND * 60);
    let tries = new.admit().unwrap();
    assert!(tries.decides() && new.admit().is_err());
}

#[test]
fn wishes_in_a_row_go_on_being_counted() {
    let mut old = Bench::standard();
    for seconds in [1, 2, 4] {
        old.signal(old.admit().unwrap(), None);
        old.pass(SECOND * seconds);
    }
    let new = restarted(&old, USUAL, SECOND);
    new.signal(new.admit().unwrap(), None);
    assert_eq!(new.wait(), Some(8_000));
}

#[test]
fn pauses_of_keys_resume_too_and_of_too_many_those_that_end_last() {
    let old = Bench::standard();
    let key = |number: u64| Some(Key::of(&number.to_be_bytes()));
    for number in 1..=150 {
        let pass = old.throttle.admit(key(number), old.now).unwrap();
        old.signal_for_key(pass, SECOND * number as u32);
    }
    let saved = old.throttle.save(100, old.now);
    assert_eq!((saved.count(), saved.keys()), (100, 100));
    assert_eq!(saved.of_route().count(), 0);
    let new = restarted(&old, USUAL, SECOND);
    assert!(new.throttle.admit(key(150), new.now).is_err());
    assert!(new.throttle.admit(key(50), new.now).is_ok());
    assert!(new.admit().is_ok(), "the route is not paused");
}

#[test]
fn the_settings_bound_what_was_saved_and_off_takes_up_nothing() {
    let old = Bench::standard();
    old.signal(old.admit().unwrap(), Some(SECOND * 200));
    let short = ThrottleSpec {
        max: SECOND * 5,
        ..ThrottleSpec::default()
    };
    assert_eq!(
        restarted(&old, Some(short), Duration::ZERO).wait(),
        Some(5_000)
    );
    assert_eq!(restarted(&old, None, Duration::ZERO).wait(), None);
    assert_eq!(Bench::standard().throttle.save(9, old.now).count(), 0);
    let text = r#"{"route": {"since": 18446744073709551615, "left": 18446744073709551615, "inARow": 4294967295}}"#;
    let saved: SavedPauses = serde_json::from_str(text).unwrap();
    let bench = Bench::standard();
    bench.throttle.resume(&saved, Duration::MAX, bench.now);
    assert!(bench.admit().is_ok_and(|pass| pass.decides()));
    bench.throttle.resume(&saved, Duration::ZERO, bench.now);
    assert_eq!(bench.wait(), Some(300_000));
}

//! A reload gives a breaker new settings and takes nothing from it.

use super::*;

#[test]
fn rule_8_changed_thresholds_keep_the_state_and_what_was_counted() {
    let bed = Bed::open(usual());
    let before = bed.view();
    bed.breaker.respec(
        spec(BreakerKeys {
            failure_threshold: 50,
            reset_timeout: SECOND * 5,
            ..usual()
        }),
        bed.now,
    );
    let after = bed.view();
    assert_eq!(
        (after.standing, after.since, after.next_probe_at),
        (before.standing, before.since, before.next_probe_at)
    );
    assert_eq!(
        (after.statistics, after.window),
        (before.statistics, before.window)
    );
    assert_eq!(bed.told().len(), 1);
}

#[test]
fn rule_8_a_reload_while_half_open_leaks_no_probe() {
    let bed = Bed::half_open(BreakerKeys {
        half_open_max: 2,
        ..usual()
    });
    let probes = [bed.admit().unwrap(), bed.admit().unwrap()];
    bed.breaker.respec(spec(usual()), bed.now);
    assert!(bed.admit().is_err());
    for probe in probes {
        assert!(bed.admit().is_err(), "two are out where one may be");
        probe.finish(Sample::new(Outcome::Ignored), bed.now);
    }
    assert_eq!(bed.view().probes.unwrap().out, 0);
    assert!(bed.admit().is_ok());
}

#[test]
fn a_changed_window_keeps_the_state_and_starts_empty() {
    let bed = Bed::new(usual());
    bed.calls(4, TIMEOUT);
    bed.breaker.respec(
        spec(BreakerKeys {
            window: WindowSpec::Calls(100),
            ..usual()
        }),
        bed.now,
    );
    let view = bed.view();
    assert_eq!(
        (view.window.calls, view.statistics.consecutive_failures),
        (0, 4)
    );
    bed.call(TIMEOUT);
    assert_eq!(bed.state(), State::Open);
}

#[test]
fn an_unchanged_window_keeps_its_calls() {
    let bed = Bed::new(usual());
    bed.calls(3, SUCCESS);
    bed.breaker.respec(
        spec(BreakerKeys {
            min_calls: 3,
            ..usual()
        }),
        bed.now,
    );
    assert_eq!(bed.view().window.calls, 3);
}

#[test]
fn a_changed_enforcement_keeps_the_state_and_is_told() {
    let bed = Bed::open(usual());
    bed.breaker.respec(
        spec(BreakerKeys {
            enforcement: Enforcement::Shadow,
            ..usual()
        }),
        bed.now,
    );
    assert_eq!((bed.state(), bed.view().rejects), (State::Open, None));
    let told = bed.told();
    assert_eq!(
        (told[1].cause, told[1].changes_state()),
        (Cause::Config, false)
    );
    assert_eq!(told[1].after.enforcement, Enforcement::Shadow);
    bed.breaker.respec(spec(usual()), bed.now);
    assert_eq!(bed.admit().unwrap_err().kind, RefusalKind::CircuitOpen);
}

#[test]
fn a_probe_that_comes_back_while_off_frees_its_slot() {
    let bed = Bed::half_open(usual());
    let probe = bed.admit().unwrap();
    bed.breaker.respec(
        spec(BreakerKeys {
            enforcement: Enforcement::Off,
            ..usual()
        }),
        bed.now,
    );
    probe.finish(TIMEOUT, bed.now);
    bed.breaker.respec(spec(usual()), bed.now);
    assert_eq!(
        (bed.state(), bed.view().probes.unwrap().out),
        (State::HalfOpen, 0)
    );
}

#[test]
fn a_hold_survives_a_reload() {
    let bed = Bed::new(usual());
    bed.force(Order::Open { until: None });
    bed.breaker.respec(
        spec(BreakerKeys {
            failure_threshold: 9,
            ..usual()
        }),
        bed.now,
    );
    assert_eq!(
        bed.breaker.in_force(bed.now),
        (State::Open, Mode::ForcedOpen)
    );
}

#[test]
fn calls_in_flight_over_a_reload_still_count() {
    let bed = Bed::new(usual());
    let out: Vec<Permit> = (0..5).map(|_| bed.admit().unwrap()).collect();
    bed.breaker.respec(
        spec(BreakerKeys {
            failure_threshold: 4,
            ..usual()
        }),
        bed.now,
    );
    out.into_iter()
        .for_each(|permit| permit.finish(TIMEOUT, bed.now));
    assert_eq!(bed.state(), State::Open);
}

#[test]
fn calls_that_began_while_it_was_off_do_not_count_once_it_is_on() {
    let bed = Bed::new(BreakerKeys {
        enforcement: Enforcement::Off,
        ..usual()
    });
    let out: Vec<Permit> = (0..5).map(|_| bed.admit().unwrap()).collect();
    bed.breaker.respec(spec(usual()), bed.now);
    out.into_iter()
        .for_each(|permit| permit.finish(TIMEOUT, bed.now));
    assert_eq!(
        (bed.state(), bed.view().statistics.failures),
        (State::Closed, 5)
    );
}

//! What operators order.

use super::*;

const FOR_EVER: Option<Instant> = None;

#[test]
fn forced_open_rejects_whatever_the_enforcement() {
    for enforcement in [Enforcement::Enforce, Enforcement::Shadow, Enforcement::Off] {
        let bed = Bed::new(BreakerKeys {
            enforcement,
            ..usual()
        });
        assert!(bed.force(Order::Open { until: FOR_EVER }));
        let refusal = bed.admit().unwrap_err();
        assert_eq!(
            refusal,
            Refusal {
                kind: RefusalKind::ForcedOpen,
                state: State::Open,
                retry_at: None
            }
        );
        assert_eq!(
            bed.breaker.in_force(bed.now),
            (State::Open, Mode::ForcedOpen)
        );
        assert_eq!(bed.moves(), [(State::Closed, State::Open, Cause::Forced)]);
    }
}

#[test]
fn the_same_order_twice_changes_something_once() {
    let bed = Bed::new(usual());
    let until = Some(bed.now + SECOND * 60);
    for order in [
        Order::Open { until: FOR_EVER },
        Order::Open { until },
        Order::HoldClosed { until },
        Order::Auto,
    ] {
        assert!(bed.force(order), "{order:?}");
        assert!(!bed.force(order), "{order:?} again");
    }
    bed.call(TIMEOUT);
    for order in [Order::Close, Order::Clear] {
        assert!(bed.force(order), "{order:?}");
        assert!(!bed.force(order), "{order:?} again");
    }
    assert_eq!(
        bed.told().len(),
        3,
        "open, closed, auto: a new end of a hold is no transition"
    );
}

#[test]
fn a_hold_ends_by_itself_at_its_instant() {
    let mut bed = Bed::new(usual());
    let until = bed.now + SECOND * 900;
    bed.force(Order::Open { until: Some(until) });
    assert_eq!(bed.admit().unwrap_err().retry_at, Some(until));
    assert_eq!(bed.view().hold.unwrap().until, Some(until));
    bed.wait(SECOND * 3600);
    assert_eq!(bed.breaker.in_force(bed.now), (State::Closed, Mode::Auto));
    let told = bed.told();
    assert_eq!((told[1].cause, told[1].at), (Cause::Forced, until));
    assert_eq!(
        told[1].author.as_ref().map(|author| &*author.by),
        Some("ana")
    );
}

#[test]
fn a_hold_that_ends_before_it_begins_is_over_at_once() {
    let mut bed = Bed::new(usual());
    bed.wait(SECOND);
    assert!(bed.force(Order::Open {
        until: Some(bed.now - SECOND)
    }));
    assert_eq!(bed.breaker.in_force(bed.now), (State::Closed, Mode::Auto));
    assert!(bed.told().iter().all(|transition| transition.at == bed.now));
}

#[test]
fn forced_open_says_the_later_of_its_own_end_and_the_reset() {
    let bed = Bed::open(usual());
    bed.force(Order::Open {
        until: Some(bed.now + SECOND),
    });
    assert_eq!(
        bed.admit().unwrap_err().retry_at,
        Some(bed.now + SECOND * 30)
    );
    assert_eq!(bed.view().next_probe_at, Some(bed.now + SECOND * 30));
}

#[test]
fn close_is_a_one_shot_recovery() {
    let bed = Bed::open(usual());
    let late = bed.view().statistics;
    assert!(bed.force(Order::Close));
    let view = bed.view();
    assert_eq!(
        (
            view.state(),
            view.mode(),
            view.statistics.consecutive_failures
        ),
        (State::Closed, Mode::Auto, 0)
    );
    assert_eq!(
        view.statistics.failures, late.failures,
        "the statistics stay"
    );
    bed.calls(5, TIMEOUT);
    assert_eq!(bed.state(), State::Open, "it decides by itself again");
}

#[test]
fn calls_that_were_out_at_a_close_do_not_undo_it() {
    let bed = Bed::new(BreakerKeys {
        failure_threshold: 1,
        ..usual()
    });
    let out = bed.admit().unwrap();
    bed.call(TIMEOUT);
    bed.force(Order::Close);
    out.finish(TIMEOUT, bed.now);
    assert_eq!(bed.state(), State::Closed);
}

#[test]
fn clear_makes_statistics_zero_too_but_keeps_the_history() {
    let bed = Bed::open(usual());
    bed.force(Order::Open { until: FOR_EVER });
    assert!(bed.force(Order::Clear));
    let view = bed.view();
    assert_eq!(view.statistics, Statistics::default());
    assert_eq!(
        (view.state(), view.mode(), view.last_failure),
        (State::Closed, Mode::Auto, None)
    );
    assert_eq!(view.transitions.len(), 3);
}

#[test]
fn forced_closed_lets_everything_pass_while_the_automatic_state_goes_on() {
    let mut bed = Bed::new(usual());
    bed.force(Order::HoldClosed { until: FOR_EVER });
    bed.calls(8, TIMEOUT);
    let view = bed.view();
    assert_eq!(
        (view.state(), view.standing.automatic, view.rejects),
        (State::Closed, State::Open, None)
    );
    assert_eq!(view.statistics.would_reject, 3);
    let told = bed.told();
    assert!(!told[1].changes_state(), "it happened underneath");
    assert_eq!(
        (told[1].cause, told[1].after.automatic),
        (Cause::ConsecutiveFailures, State::Open)
    );
    bed.wait(SECOND * 30);
    let probe = bed.admit().unwrap();
    bed.call(TIMEOUT);
    probe.finish(SUCCESS, bed.now);
    bed.call(SUCCESS);
    assert_eq!(bed.view().standing.automatic, State::Closed);
}

#[test]
fn auto_drops_the_hold_and_keeps_the_automatic_state() {
    let mut bed = Bed::open(usual());
    let opened = bed.now;
    bed.force(Order::Open { until: FOR_EVER });
    bed.wait(SECOND * 31);
    assert_eq!(bed.state(), State::Open);
    assert!(bed.force(Order::Auto));
    assert_eq!(
        (bed.state(), bed.view().since),
        (State::HalfOpen, opened + SECOND * 30)
    );
}

#[test]
fn forced_open_takes_no_probe_and_lets_probes_that_are_out_decide() {
    let bed = Bed::half_open(usual());
    let probe = bed.admit().unwrap();
    bed.force(Order::Open { until: FOR_EVER });
    assert!(bed.admit().is_err());
    probe.finish(TIMEOUT, bed.now);
    assert_eq!(bed.view().standing.automatic, State::Open);
}

#[test]
fn a_hold_says_who_why_and_since_when() {
    let mut bed = Bed::new(usual());
    bed.wait(SECOND);
    let since = bed.now;
    bed.force(Order::Open { until: FOR_EVER });
    bed.wait(SECOND);
    bed.force(Order::Open {
        until: Some(bed.now + SECOND),
    });
    let hold = bed.view().hold.unwrap();
    assert_eq!(
        (hold.since, &*hold.by, hold.reason.as_deref()),
        (since, "ana", Some("maintenance"))
    );
    assert_eq!(bed.view().since, since);
}

//! When it opens, and what does not open it.

use super::*;

#[test]
fn it_opens_at_the_threshold_and_not_one_failure_before() {
    let bed = Bed::new(usual());
    bed.calls(4, TIMEOUT);
    assert_eq!(bed.state(), State::Closed);
    bed.call(Sample::failure(Label::Status(503)));
    let told = bed.told();
    assert_eq!(
        bed.moves(),
        [(State::Closed, State::Open, Cause::ConsecutiveFailures)]
    );
    assert_eq!(
        (told[0].evidence.observed, told[0].evidence.threshold),
        (Measure::Count(5), Measure::Count(5))
    );
    let labels = [(Label::Named("timeout"), 4), (Label::Status(503), 1)];
    assert_eq!(
        told[0].evidence.labels,
        labels.map(|(label, count)| LabelCount {
            label: Some(label),
            count
        })
    );
    assert_eq!(told[0].at, bed.now);
}

#[test]
fn an_open_breaker_rejects_and_says_when_to_come_back() {
    let mut bed = Bed::open(usual());
    let reset_at = bed.now + SECOND * 30;
    bed.wait(SECOND * 29);
    let refusal = bed.admit().unwrap_err();
    assert_eq!(
        refusal,
        Refusal {
            kind: RefusalKind::CircuitOpen,
            state: State::Open,
            retry_at: Some(reset_at)
        }
    );
    assert_eq!(
        (bed.view().statistics.rejected, bed.view().rejected_since),
        (1, 1)
    );
}

#[test]
fn a_success_ends_the_run_of_failures() {
    let bed = Bed::new(usual());
    for _ in 0..10 {
        bed.calls(4, TIMEOUT);
        bed.call(SUCCESS);
    }
    assert_eq!(bed.state(), State::Closed);
    assert_eq!(bed.view().run_labels, []);
}

#[test]
fn alive_and_throttled_neither_count_as_failures_nor_end_their_run() {
    for outcome in [Outcome::Alive, Outcome::Throttled] {
        let bed = Bed::new(usual());
        bed.calls(100, Sample::new(outcome));
        assert_eq!(bed.state(), State::Closed);
        bed.calls(4, TIMEOUT);
        bed.call(Sample::new(outcome));
        assert_eq!(bed.view().statistics.consecutive_failures, 4);
        bed.call(TIMEOUT);
        assert_eq!(bed.state(), State::Open, "{outcome:?}");
    }
}

#[test]
fn case_131_ignored_and_abandoned_calls_change_nothing() {
    let bed = Bed::new(BreakerKeys {
        failure_ratio: Some(percent(50)),
        min_calls: 2,
        ..usual()
    });
    bed.call(TIMEOUT);
    bed.calls(100, Sample::new(Outcome::Ignored).after(SECOND * 100));
    (0..100).for_each(|_| drop(bed.admit().unwrap()));
    let view = bed.view();
    assert_eq!(
        (view.window.calls, view.statistics.consecutive_failures),
        (1, 1)
    );
    assert_eq!(
        (
            view.statistics.ignored,
            view.statistics.slow,
            view.statistics.total_calls
        ),
        (200, 0, 201)
    );
    assert_eq!(bed.state(), State::Closed);
}

#[test]
fn case_132_each_failure_counts_once() {
    let bed = Bed::new(BreakerKeys {
        failure_threshold: 100,
        ..usual()
    });
    for label in ["timeout", "connect_timeout", "reset", "truncated", "tls"].map(Label::Named) {
        bed.call(Sample::failure(label));
    }
    bed.call(Sample::failure(Label::Status(500)));
    let view = bed.view();
    assert_eq!(
        (
            view.statistics.failures,
            view.statistics.timeouts,
            view.window.failed
        ),
        (6, 2, 6)
    );
    let last = view.last_failure.unwrap();
    assert_eq!((last.at, last.label), (bed.now, Some(Label::Status(500))));
}

#[test]
fn case_134_the_failure_ratio_opens_at_50_00_and_not_at_49_99_percent() {
    let keys = BreakerKeys {
        failure_threshold: 0,
        failure_ratio: Some(percent(50)),
        window: WindowSpec::Calls(10_000),
        min_calls: 10_000,
        ..usual()
    };
    for (failures, state) in [(4_999, State::Closed), (5_000, State::Open)] {
        let bed = Bed::new(keys);
        bed.calls(failures, TIMEOUT);
        bed.calls(10_000 - failures, SUCCESS);
        assert_eq!(bed.state(), state, "{failures}");
        assert_eq!(
            bed.view().failure_ratio,
            Ratio::from_hundredths(failures as u16)
        );
    }
}

#[test]
fn case_134_a_ratio_waits_for_min_calls() {
    let keys = BreakerKeys {
        failure_threshold: 0,
        failure_ratio: Some(percent(50)),
        min_calls: 20,
        ..usual()
    };
    let bed = Bed::new(keys);
    bed.calls(19, TIMEOUT);
    assert_eq!(bed.state(), State::Closed);
    bed.call(TIMEOUT);
    assert_eq!(
        bed.moves(),
        [(State::Closed, State::Open, Cause::FailureRatio)]
    );
    assert_eq!(bed.told()[0].evidence.observed, Measure::Share(Ratio::ONE));
}

#[test]
fn case_134_a_call_is_slow_from_slow_after_on_whatever_its_outcome() {
    let keys = BreakerKeys {
        failure_threshold: 0,
        slow_ratio: Some(percent(50)),
        slow_after: Some(SECOND),
        min_calls: 4,
        ..usual()
    };
    let bed = Bed::new(keys);
    bed.call(SUCCESS.after(SECOND));
    bed.call(SUCCESS.after(SECOND - Duration::from_nanos(1)));
    bed.call(SUCCESS);
    assert_eq!(bed.view().statistics.slow, 1);
    bed.call(Sample::new(Outcome::Alive).after(SECOND * 2));
    assert_eq!(
        bed.moves(),
        [(State::Closed, State::Open, Cause::SlowRatio)]
    );
}

#[test]
fn case_134_what_left_the_time_window_no_longer_counts() {
    let keys = BreakerKeys {
        failure_threshold: 0,
        failure_ratio: Some(percent(50)),
        min_calls: 4,
        ..usual()
    };
    let mut bed = Bed::new(keys);
    bed.calls(3, TIMEOUT);
    bed.wait(SECOND * 30);
    bed.calls(3, TIMEOUT);
    assert_eq!((bed.state(), bed.view().window.calls), (State::Closed, 3));
}

#[test]
fn rule_5_the_ratio_is_of_calls_that_reached_the_upstream() {
    let mut bed = Bed::half_open(BreakerKeys {
        failure_ratio: Some(percent(50)),
        min_calls: 6,
        ramp: Some(RampSpec {
            from: percent(10),
            over: SECOND * 3_600,
        }),
        ..usual()
    });
    bed.calls(2, SUCCESS);
    assert_eq!(bed.state(), State::Closed);
    // On the ramp one call in ten reaches the upstream; nine are refused. Of those that reach it, what proves nothing is no call.
    let reach = |bed: &Bed, sample: Sample| {
        let permit = (0..100).find_map(|_| bed.admit().ok());
        permit.unwrap().finish(sample, bed.now);
    };
    for sample in [SUCCESS, SUCCESS, SUCCESS, TIMEOUT, TIMEOUT] {
        reach(&bed, sample);
        reach(&bed, Sample::new(Outcome::Ignored));
    }
    let view = bed.view();
    assert_eq!((view.window.calls, view.state()), (5, State::Closed));
    assert!(view.statistics.rejected >= 45, "{:?}", view.statistics);
    bed.wait(SECOND);
    reach(&bed, TIMEOUT);
    assert_eq!(bed.state(), State::Open, "three of six");
}

#[test]
fn the_first_rule_that_is_met_is_the_cause() {
    let keys = BreakerKeys {
        failure_threshold: 3,
        failure_ratio: Some(percent(10)),
        min_calls: 3,
        ..usual()
    };
    let bed = Bed::open(keys);
    assert_eq!(
        bed.moves(),
        [(State::Closed, State::Open, Cause::ConsecutiveFailures)]
    );
}

#[test]
fn rule_7_hours_without_a_call_trip_nothing() {
    let mut bed = Bed::new(usual());
    bed.calls(4, TIMEOUT);
    let permit = bed.admit().unwrap();
    bed.wait(SECOND * 3600 * 5);
    permit.finish(SUCCESS, bed.now);
    assert_eq!((bed.state(), bed.moves().len()), (State::Closed, 0));
}

#[test]
fn an_instant_of_the_past_is_taken_as_the_latest_one_seen() {
    let mut bed = Bed::half_open(usual());
    bed.now -= SECOND * 20;
    assert_eq!(bed.state(), State::HalfOpen);
    bed.call(SUCCESS);
    assert_eq!(bed.view().probes.unwrap().succeeded.reached, 1);
}

#[test]
fn shadow_decides_and_reports_but_rejects_nothing() {
    let mut bed = Bed::open(BreakerKeys {
        enforcement: Enforcement::Shadow,
        ..usual()
    });
    bed.calls(7, TIMEOUT);
    let view = bed.view();
    assert_eq!((view.state(), view.rejects), (State::Open, None));
    assert_eq!(
        (view.statistics.would_reject, view.statistics.rejected),
        (7, 0)
    );
    bed.wait(SECOND * 30);
    let probe = bed.admit().unwrap();
    let bystander = bed.admit().unwrap();
    bystander.finish(TIMEOUT, bed.now);
    assert_eq!(
        bed.state(),
        State::HalfOpen,
        "what would have been rejected decides nothing"
    );
    probe.finish(SUCCESS, bed.now);
    bed.call(SUCCESS);
    assert_eq!(bed.state(), State::Closed);
}

#[test]
fn off_lets_everything_pass_and_only_counts() {
    let bed = Bed::new(BreakerKeys {
        enforcement: Enforcement::Off,
        ..usual()
    });
    bed.calls(100, TIMEOUT);
    let view = bed.view();
    assert_eq!(
        (
            view.state(),
            view.statistics.failures,
            view.statistics.consecutive_failures
        ),
        (State::Closed, 100, 0)
    );
}

#[test]
fn statistics_add_up() {
    let mut bed = Bed::half_open(usual());
    for outcome in Outcome::ALL {
        bed.call(Sample::new(outcome));
        bed.wait(SECOND * 30);
    }
    let out = bed.admit().unwrap();
    assert!(bed.admit().is_err());
    let told = bed.view().statistics;
    let ended =
        told.successes + told.failures + told.alive + told.throttled + told.ignored + told.rejected;
    assert_eq!(told.total_calls, ended, "the one that is out has not ended");
    drop(out);
    assert_eq!(bed.view().statistics.ignored, told.ignored + 1);
}

#[test]
fn only_the_last_32_transitions_are_remembered() {
    let mut bed = Bed::open(usual());
    for _ in 0..40 {
        bed.wait(SECOND * 30);
        bed.call(TIMEOUT);
    }
    let told = bed.told();
    let view = bed.view();
    assert_eq!((told.len(), view.transitions.len()), (81, 32));
    assert!(
        view.transitions
            .iter()
            .map(|kept| (**kept).clone())
            .eq(told[49..].iter().cloned())
    );
}

#[test]
fn a_breaker_costs_at_most_a_kibibyte_without_its_window() {
    let counters = 2 * std::mem::size_of::<usize>();
    assert!(
        std::mem::size_of::<Breaker>() + counters <= 1024,
        "{}",
        std::mem::size_of::<Breaker>()
    );
}

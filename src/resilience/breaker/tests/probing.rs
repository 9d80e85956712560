//! From open back to closed.

use super::*;

#[test]
fn it_turns_half_open_at_the_very_instant_and_reports_that_one() {
    let mut bed = Bed::open(usual());
    let opened = bed.now;
    bed.wait(SECOND * 30 - Duration::from_nanos(1));
    assert_eq!(bed.state(), State::Open);
    bed.wait(SECOND * 3600);
    let view = bed.view();
    assert_eq!(
        (view.state(), view.since),
        (State::HalfOpen, opened + SECOND * 30)
    );
    assert_eq!(
        view.probes.unwrap().verdict_by,
        None,
        "it waits for a probe"
    );
    assert_eq!(bed.told()[1].at, opened + SECOND * 30);
    assert_eq!(
        bed.moves()[1],
        (State::Open, State::HalfOpen, Cause::ResetTimeout)
    );
}

#[test]
fn enough_successful_probes_close_and_counters_begin_anew() {
    let bed = Bed::half_open(usual());
    bed.call(SUCCESS);
    assert_eq!(bed.state(), State::HalfOpen);
    bed.call(SUCCESS);
    assert_eq!(
        bed.moves()[2],
        (State::HalfOpen, State::Closed, Cause::ProbesSucceeded)
    );
    let view = bed.view();
    assert_eq!(
        (
            view.statistics.consecutive_failures,
            view.window.calls,
            view.run_labels.len()
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_probe_that_no_call_asked_for_is_had_only_from_a_half_open_breaker_and_refuses_nobody() {
    for bed in [Bed::new(usual()), Bed::open(usual())] {
        assert!(bed.breaker.try_probe(bed.now).is_none());
        assert_eq!(bed.view().statistics.rejected, 0);
    }
    let bed = Bed::half_open(usual());
    let permit = bed.breaker.try_probe(bed.now).unwrap();
    assert!(permit.is_probe());
    assert!(
        bed.breaker.try_probe(bed.now).is_none(),
        "they count together"
    );
    assert!(bed.admit().is_err());
    permit.finish(SUCCESS, bed.now);
    bed.breaker
        .try_probe(bed.now)
        .unwrap()
        .finish(SUCCESS, bed.now);
    assert_eq!(bed.state(), State::Closed);
    assert_eq!(bed.view().statistics.rejected, 1, "the call's");
}

#[test]
fn a_permit_says_whether_it_is_a_probe() {
    assert!(Bed::half_open(usual()).admit().unwrap().is_probe());
    assert!(!Bed::new(usual()).admit().unwrap().is_probe());
    let shadow = BreakerKeys {
        enforcement: Enforcement::Shadow,
        ..usual()
    };
    assert!(!Bed::open(shadow).admit().unwrap().is_probe());
}

#[test]
fn alive_counts_as_success_for_a_probe() {
    let bed = Bed::half_open(usual());
    bed.calls(2, Sample::new(Outcome::Alive));
    assert_eq!(bed.state(), State::Closed);
}

#[test]
fn throttled_and_ignored_probes_give_their_slot_back_and_decide_nothing() {
    let bed = Bed::half_open(usual());
    bed.calls(20, Sample::new(Outcome::Throttled));
    bed.calls(20, Sample::new(Outcome::Ignored));
    let probes = bed.view().probes.unwrap();
    assert_eq!(
        (probes.out, probes.succeeded.reached, bed.state()),
        (0, 0, State::HalfOpen)
    );
}

#[test]
fn a_failed_probe_reopens_at_once() {
    let mut bed = Bed::half_open(BreakerKeys {
        half_open_max: 3,
        success_threshold: 3,
        ..usual()
    });
    let others = [bed.admit().unwrap(), bed.admit().unwrap()];
    bed.call(Sample::failure(Label::Status(502)));
    assert_eq!(
        bed.moves()[2],
        (State::HalfOpen, State::Open, Cause::ProbeFailed)
    );
    assert_eq!(
        bed.told()[2].evidence.labels,
        [LabelCount {
            label: Some(Label::Status(502)),
            count: 1
        }]
    );
    bed.wait(SECOND * 30);
    for late in others {
        late.finish(TIMEOUT, bed.now);
    }
    assert_eq!(
        (bed.state(), bed.view().probes.unwrap().out),
        (State::HalfOpen, 0)
    );
}

#[test]
fn probes_beyond_the_maximum_are_rejected() {
    let bed = Bed::half_open(BreakerKeys {
        half_open_max: 2,
        ..usual()
    });
    let probes = [bed.admit().unwrap(), bed.admit().unwrap()];
    let refusal = bed.admit().unwrap_err();
    assert_eq!(
        refusal,
        Refusal {
            kind: RefusalKind::HalfOpenFull,
            state: State::HalfOpen,
            retry_at: None
        }
    );
    assert_eq!(bed.view().rejects, Some(RefusalKind::HalfOpenFull));
    drop(probes);
    assert!(bed.admit().is_ok());
}

#[test]
fn rule_3_a_dropped_probe_returns_its_slot() {
    let bed = Bed::half_open(usual());
    for _ in 0..100 {
        drop(bed.admit().unwrap());
    }
    assert_eq!(
        (bed.state(), bed.view().probes.unwrap().out),
        (State::HalfOpen, 0)
    );
}

#[test]
fn rule_3_a_panicked_probe_returns_its_slot() {
    let bed = Bed::half_open(usual());
    let probe = bed.admit().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = probe;
        panic!("a defect while the probe is out");
    }));
    assert!(panicked.is_err());
    assert!(bed.admit().is_ok());
}

#[test]
fn rule_4_late_results_of_an_older_generation_change_no_state() {
    let mut bed = Bed::new(usual());
    let late: Vec<Permit> = (0..40).map(|_| bed.admit().unwrap()).collect();
    bed.calls(5, TIMEOUT);
    let mut late = late.into_iter();
    // While open, neither success nor failure moves it.
    late.by_ref()
        .take(10)
        .for_each(|permit| permit.finish(SUCCESS, bed.now));
    late.by_ref()
        .take(10)
        .for_each(|permit| permit.finish(TIMEOUT, bed.now));
    assert_eq!((bed.state(), bed.moves().len()), (State::Open, 1));
    // While half-open, they are no probes.
    bed.wait(SECOND * 30);
    late.by_ref()
        .take(5)
        .for_each(|permit| permit.finish(SUCCESS, bed.now));
    late.by_ref()
        .take(5)
        .for_each(|permit| permit.finish(TIMEOUT, bed.now));
    late.by_ref().take(5).for_each(drop);
    let probes = bed.view().probes.unwrap();
    assert_eq!(
        (bed.state(), probes.out, probes.succeeded.reached),
        (State::HalfOpen, 0, 0)
    );
    // While closed again, they are no failures of it.
    bed.calls(2, SUCCESS);
    late.for_each(|permit| permit.finish(TIMEOUT, bed.now));
    let view = bed.view();
    assert_eq!(
        (
            view.state(),
            view.statistics.consecutive_failures,
            view.window.calls
        ),
        (State::Closed, 0, 0)
    );
    assert_eq!(
        (
            view.statistics.successes,
            view.statistics.failures,
            view.statistics.ignored
        ),
        (17, 25, 5)
    );
}

#[test]
fn a_hung_probe_holds_nobody_hostage() {
    let mut bed = Bed::half_open(usual());
    bed.wait(SECOND * 100);
    let hung = bed.admit().unwrap();
    let admitted = bed.now;
    bed.wait(SECOND * 30 - Duration::from_nanos(1));
    assert_eq!(bed.state(), State::HalfOpen);
    bed.wait(SECOND * 10);
    assert_eq!(bed.state(), State::Open);
    assert_eq!(
        bed.moves()[2],
        (State::HalfOpen, State::Open, Cause::HalfOpenTimeout)
    );
    assert_eq!(bed.told()[2].at, admitted + SECOND * 30);
    assert_eq!(bed.view().next_probe_at, Some(admitted + SECOND * 60));
    bed.wait(SECOND * 30);
    let probe = bed
        .admit()
        .expect("the hung one holds no slot of the new round");
    hung.finish(TIMEOUT, bed.now);
    probe.finish(SUCCESS, bed.now);
    assert_eq!(bed.state(), State::HalfOpen);
}

#[test]
fn a_row_of_probes_that_are_given_up_holds_nobody_hostage_either() {
    let mut bed = Bed::half_open(usual());
    let begun = bed.now;
    while bed.state() == State::HalfOpen {
        let probe = bed.admit().unwrap();
        bed.wait(SECOND * 7);
        drop(probe);
    }
    let moves = bed.moves();
    let last = moves.last().unwrap();
    assert_eq!(
        *last,
        (State::HalfOpen, State::Open, Cause::HalfOpenTimeout)
    );
    assert_eq!(bed.told().last().unwrap().at, begun + SECOND * 30);
}

#[test]
fn a_success_begins_the_wait_for_a_verdict_anew() {
    let mut bed = Bed::half_open(usual());
    bed.call(SUCCESS);
    bed.wait(SECOND * 29);
    let probe = bed.admit().unwrap();
    bed.wait(SECOND * 29);
    probe.finish(SUCCESS, bed.now);
    assert_eq!(bed.state(), State::Closed);
}

#[test]
fn without_traffic_half_open_just_waits() {
    let mut bed = Bed::half_open(usual());
    bed.call(SUCCESS);
    drop(bed.admit().unwrap());
    bed.wait(SECOND * 3600);
    assert_eq!(bed.state(), State::HalfOpen);
    bed.call(SUCCESS);
    assert_eq!(bed.state(), State::Closed);
}

#[test]
fn one_look_after_a_long_pause_reports_every_change_at_its_own_instant() {
    let mut bed = Bed::open(usual());
    let opened = bed.now;
    bed.wait(SECOND * 30);
    let _hung = bed.admit().unwrap();
    bed.wait(SECOND * 3600);
    assert_eq!(bed.state(), State::HalfOpen);
    let at: Vec<_> = bed
        .told()
        .iter()
        .map(|transition| (transition.at - opened).as_secs())
        .collect();
    assert_eq!(at, [0, 30, 60, 90]);
}

#[test]
fn the_reset_timeout_grows_with_each_reopening_and_falls_back_after_staying_closed() {
    let reset_backoff = ResetBackoff {
        factor: 2.0,
        max: SECOND * 100,
        jitter: Ratio::ZERO,
    };
    let mut bed = Bed::open(BreakerKeys {
        reset_backoff,
        ..usual()
    });
    let told = |bed: &Bed| (bed.view().next_probe_at.unwrap() - bed.now).as_secs();
    let mut waits = vec![told(&bed)];
    for _ in 0..3 {
        bed.wait(SECOND * waits[waits.len() - 1] as u32);
        bed.call(TIMEOUT);
        waits.push(told(&bed));
    }
    assert_eq!(waits, [30, 60, 100, 100]);
    // Closed, but not for a whole reset_timeout: still in a row.
    bed.wait(SECOND * 100);
    bed.calls(2, SUCCESS);
    bed.wait(SECOND * 30 - Duration::from_nanos(1));
    bed.calls(5, TIMEOUT);
    assert_eq!(told(&bed), 100);
    // Closed for a whole reset_timeout: a new row.
    bed.wait(SECOND * 100);
    bed.calls(2, SUCCESS);
    bed.wait(SECOND * 30);
    bed.calls(5, TIMEOUT);
    assert_eq!(told(&bed), 30);
}

#[test]
fn rule_6_gauge_view_refusal_and_sentence_agree_at_every_instant() {
    let mut bed = Bed::open(BreakerKeys {
        half_open_timeout: SECOND * 7,
        ..usual()
    });
    let mut held = None;
    for _ in 0..1_000 {
        bed.wait(Duration::from_millis(333));
        let asked = bed.admit();
        let view = bed.view();
        assert_eq!(bed.breaker.in_force(bed.now), (view.state(), view.mode()));
        assert_eq!(
            bed.told().last().map(Transition::to),
            Some(view.state()),
            "the gauge"
        );
        let word = match view.state() {
            State::Closed => "closed",
            State::Open => "open since",
            State::HalfOpen => "half-open since",
        };
        assert!(explain(&view, |_| String::new()).starts_with(word));
        match asked {
            Err(refusal) => {
                assert_eq!(
                    (refusal.state, refusal.retry_at),
                    (view.state(), view.next_probe_at)
                );
                assert_eq!(Some(refusal.kind), view.rejects);
            }
            Ok(permit) => held = Some(permit),
        }
    }
    drop(held);
}

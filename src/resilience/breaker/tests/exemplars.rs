//! Which calls an operator is told of.

use super::*;

/// A call that the caller knows by `id`.
fn call(bed: &Bed, sample: Sample, id: &str) {
    let permit = bed.admit().unwrap();
    permit.finish_as(sample, bed.now, || Identity::new(id, "GET", "/x"));
}

fn ids(exemplars: &[Arc<Exemplar>]) -> Vec<&str> {
    let calls = exemplars.iter().map(|one| one.call.as_ref().unwrap());
    calls.map(|call| &*call.id).collect()
}

#[test]
fn an_opening_names_the_last_five_calls_of_the_run_and_none_before_it() {
    let mut bed = Bed::new(BreakerKeys {
        failure_threshold: 7,
        ..usual()
    });
    call(&bed, TIMEOUT, "before");
    call(&bed, SUCCESS, "good");
    for number in 0..7 {
        bed.wait(SECOND);
        call(&bed, TIMEOUT, &number.to_string());
        let told = ids(&bed.view().run_exemplars).len();
        assert_eq!(told, 5.min(number + 1), "the run has no others");
    }
    let [opened] = &bed.told()[..] else {
        panic!("it opened once")
    };
    let exemplars = &opened.evidence.exemplars;
    assert_eq!(ids(exemplars), ["2", "3", "4", "5", "6"]);
    assert!(exemplars.windows(2).all(|pair| pair[0].at < pair[1].at));
    assert_eq!(exemplars[4].label, TIMEOUT.label);
    let last = bed.view().last_failure.unwrap();
    assert_eq!(ids(&[last]), ["6"]);
}

#[test]
fn a_ratio_names_failures_that_its_window_still_holds() {
    let bed = Bed::new(BreakerKeys {
        failure_threshold: 0,
        failure_ratio: Some(percent(50)),
        window: WindowSpec::Calls(4),
        min_calls: 4,
        ..usual()
    });
    call(&bed, TIMEOUT, "forgotten");
    for _ in 0..4 {
        call(&bed, SUCCESS, "good");
    }
    call(&bed, TIMEOUT, "a");
    call(&bed, SUCCESS, "good");
    call(&bed, TIMEOUT, "b");
    let opened = bed.told().pop().unwrap();
    assert_eq!(opened.cause, Cause::FailureRatio);
    assert_eq!(ids(&opened.evidence.exemplars), ["a", "b"]);
}

#[test]
fn a_slow_ratio_names_slow_calls_whatever_their_outcome() {
    let bed = Bed::new(BreakerKeys {
        failure_threshold: 0,
        slow_ratio: Some(percent(50)),
        slow_after: Some(SECOND),
        min_calls: 4,
        ..usual()
    });
    call(&bed, TIMEOUT, "quick failure");
    call(&bed, SUCCESS.after(SECOND / 2), "quick");
    call(&bed, SUCCESS.after(SECOND), "slow success");
    call(&bed, TIMEOUT.after(SECOND), "slow failure");
    let opened = bed.told().pop().unwrap();
    assert_eq!(opened.cause, Cause::SlowRatio);
    let exemplars = &opened.evidence.exemplars;
    assert_eq!(ids(exemplars), ["slow success", "slow failure"]);
    assert_eq!(exemplars[0].label, Some(Label::Named("slow")));
    assert_eq!(exemplars[1].label, TIMEOUT.label);
}

#[test]
fn a_failed_probe_is_the_one_call_that_reopened() {
    let bed = Bed::half_open(usual());
    call(&bed, TIMEOUT, "probe");
    let opened = bed.told().pop().unwrap();
    assert_eq!(opened.cause, Cause::ProbeFailed);
    assert_eq!(ids(&opened.evidence.exemplars), ["probe"]);
}

#[test]
fn nobody_is_asked_which_call_went_well() {
    let bed = Bed::new(usual());
    for outcome in Outcome::ALL {
        let permit = bed.admit().unwrap();
        let mut asked = 0;
        let sample = Sample::new(outcome).after(SECOND * 60);
        permit.finish_as(sample, bed.now, || {
            asked += 1;
            Identity::new("", "", "")
        });
        assert_eq!(asked, u32::from(outcome == Outcome::Failure), "{outcome:?}");
    }
    // A reload that judges slow calls asks for those from then on.
    let slow = BreakerKeys {
        slow_ratio: Some(percent(50)),
        slow_after: Some(SECOND),
        ..usual()
    };
    bed.breaker.respec(spec(slow), bed.now);
    for (latency, wanted) in [(SECOND / 2, false), (SECOND, true)] {
        let mut asked = false;
        let permit = bed.admit().unwrap();
        permit.finish_as(SUCCESS.after(latency), bed.now, || {
            asked = true;
            Identity::new("", "", "")
        });
        assert_eq!(asked, wanted);
    }
}

#[test]
fn a_late_failure_is_the_last_one_but_no_reason_of_what_comes() {
    let mut bed = Bed::new(usual());
    let late = bed.admit().unwrap();
    bed.calls(5, TIMEOUT);
    bed.wait(usual().reset_timeout);
    bed.calls(2, SUCCESS);
    late.finish_as(TIMEOUT, bed.now, || Identity::new("late", "GET", "/x"));
    for number in 0..5 {
        call(&bed, TIMEOUT, &number.to_string());
    }
    let opened = bed.told().pop().unwrap();
    assert_eq!(ids(&opened.evidence.exemplars), ["0", "1", "2", "3", "4"]);
}

#[test]
fn what_is_kept_goes_when_the_breaker_has_recovered_or_is_closed() {
    let bed = Bed::half_open(usual());
    assert!(bed.breaker.teller.look(|machine| machine.recent.is_some()));
    bed.calls(2, SUCCESS);
    assert!(bed.breaker.teller.look(|machine| machine.recent.is_none()));
    call(&bed, TIMEOUT, "one");
    bed.force(Order::Close);
    assert!(bed.breaker.teller.look(|machine| machine.recent.is_none()));
    assert_eq!(ids(&[bed.view().last_failure.unwrap()]), ["one"]);
    bed.force(Order::Clear);
    assert_eq!(bed.view().last_failure, None);
}

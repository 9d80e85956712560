//! Case 141, rule 9: what a breaker costs does not grow with what happened to it, nor with how many others there are.

use super::*;

/// How much a breaker keeps, in things that could grow.
fn kept(breaker: &Breaker, now: Instant) -> [usize; 4] {
    let view = breaker.view(now);
    let exemplars = view
        .transitions
        .iter()
        .map(|kept| kept.evidence.exemplars.len());
    let look = |machine: &mut Machine| (machine.history.len(), machine.has_transition());
    let (history, has_transition) = breaker.teller.look(look);
    [
        view.transitions.len(),
        history,
        usize::from(has_transition),
        exemplars.max().unwrap_or(0),
    ]
}

/// Opens and closes it again so many times.
fn flap(breaker: &Arc<Breaker>, times: u32, mut now: Instant) -> Instant {
    for _ in 0..times {
        breaker.admit(now).unwrap().finish(TIMEOUT, now);
        assert!(breaker.admit(now).is_err());
        now += SECOND * 30;
        breaker.admit(now).unwrap().finish(SUCCESS, now);
    }
    now
}

fn flapping() -> BreakerSpec {
    spec(BreakerKeys {
        failure_threshold: 1,
        success_threshold: 1,
        ..usual()
    })
}

#[test]
fn case_141_a_breaker_that_flapped_ten_thousand_times_keeps_no_more_than_after_a_hundred() {
    let begin = crate::time::now();
    let breaker = Breaker::new(flapping(), 1, begin, Box::new(|_| {}));
    let now = flap(&breaker, 100, begin);
    let after_hundred = kept(&breaker, now);
    let now = flap(&breaker, 9_900, now);
    assert_eq!(kept(&breaker, now), after_hundred);
    assert_eq!(after_hundred, [32, 32, 0, 1]);
}

#[test]
fn case_141_of_ten_thousand_flapping_breakers_each_is_as_if_it_were_alone() {
    let begin = crate::time::now();
    let new = || Breaker::new(flapping(), 1, begin, Box::new(|_| {}));
    let alone = new();
    let now = flap(&alone, 3, begin);
    let all: Vec<_> = (0..10_000).map(|_| new()).collect();
    for breaker in &all {
        flap(breaker, 3, begin);
    }
    let view = alone.view(now);
    for breaker in &all {
        let other = breaker.view(now);
        assert_eq!(
            (other.standing, other.statistics),
            (view.standing, view.statistics)
        );
        assert_eq!(kept(breaker, now), kept(&alone, now));
    }
}

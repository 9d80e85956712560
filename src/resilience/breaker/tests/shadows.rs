//! Candidates that watch and never reject.

use super::*;

fn candidates(list: &[(&str, BreakerKeys)]) -> Vec<(String, BreakerSpec)> {
    let entry = |(name, keys): &(&str, BreakerKeys)| ((*name).to_owned(), spec(*keys));
    list.iter().map(entry).collect()
}

fn strict() -> BreakerKeys {
    BreakerKeys {
        failure_threshold: 2,
        reset_timeout: SECOND * 10,
        ..usual()
    }
}

fn shadows(bed: &Bed, list: &[(&str, BreakerKeys)]) -> Arc<Shadows> {
    Shadows::new(&candidates(list), None, bed.now, Arc::new(|_, _| {}))
}

fn call(bed: &Bed, shadows: &Arc<Shadows>, sample: Sample) {
    let permit = shadows.watch(bed.admit().unwrap(), bed.now);
    permit.finish(sample, bed.now);
}

fn report(shadows: &Shadows, now: Instant) -> ShadowReport {
    shadows.views(now)[0].report
}

#[test]
fn a_candidate_says_how_often_it_would_have_opened_and_whom_it_would_have_rejected() {
    let bed = Bed::new(usual());
    let shadows = shadows(&bed, &[("strict", strict())]);
    for sample in [TIMEOUT, TIMEOUT, SUCCESS, TIMEOUT, SUCCESS] {
        call(&bed, &shadows, sample);
    }
    assert_eq!(bed.state(), State::Closed);
    let views = shadows.views(bed.now);
    assert_eq!(
        (&*views[0].name, views[0].view.state()),
        ("strict", State::Open)
    );
    assert_eq!(
        views[0].report,
        ShadowReport {
            would_open: 1,
            would_reject: 3,
            rejected_successes: 2,
            rejected_failures: 1,
        }
    );
}

#[test]
fn what_it_would_have_rejected_tells_it_nothing() {
    let mut bed = Bed::new(usual());
    let shadows = shadows(&bed, &[("strict", strict())]);
    call(&bed, &shadows, TIMEOUT);
    call(&bed, &shadows, TIMEOUT);
    for _ in 0..3 {
        call(&bed, &shadows, SUCCESS);
    }
    assert_eq!(shadows.views(bed.now)[0].view.statistics.successes, 0);
    bed.wait(SECOND * 10);
    assert_eq!(shadows.views(bed.now)[0].view.state(), State::HalfOpen);
    // Its own probes decide: one at a time, two that succeed.
    let first = shadows.watch(bed.admit().unwrap(), bed.now);
    let second = shadows.watch(bed.admit().unwrap(), bed.now);
    second.finish(SUCCESS, bed.now);
    first.finish(SUCCESS, bed.now);
    assert_eq!(shadows.views(bed.now)[0].view.state(), State::HalfOpen);
    call(&bed, &shadows, SUCCESS);
    assert_eq!(shadows.views(bed.now)[0].view.state(), State::Closed);
    assert_eq!(report(&shadows, bed.now).would_reject, 4);
}

#[test]
fn a_call_that_took_no_place_is_shown_to_no_candidate() {
    let bed = Bed::open(usual());
    let shadows = shadows(&bed, &[("strict", strict())]);
    assert!(bed.admit().is_err());
    assert_eq!(report(&shadows, bed.now), ShadowReport::default());
}

#[test]
fn an_abandoned_call_gives_its_slot_back_to_candidates_too() {
    let mut bed = Bed::new(usual());
    let shadows = shadows(&bed, &[("strict", strict())]);
    call(&bed, &shadows, TIMEOUT);
    call(&bed, &shadows, TIMEOUT);
    bed.wait(SECOND * 10);
    drop(shadows.watch(bed.admit().unwrap(), bed.now));
    let view = &shadows.views(bed.now)[0].view;
    assert_eq!(view.probes.unwrap().out, 0);
    assert_eq!(view.statistics.ignored, 1);
}

#[test]
fn rule_8_a_reload_keeps_what_a_candidate_counted_and_forgets_the_one_that_went() {
    let bed = Bed::new(usual());
    let before = shadows(&bed, &[("strict", strict()), ("lax", usual())]);
    call(&bed, &before, TIMEOUT);
    call(&bed, &before, TIMEOUT);
    let under_way = before.watch(bed.admit().unwrap(), bed.now);
    let stricter = BreakerKeys {
        failure_threshold: 1,
        ..strict()
    };
    let list = candidates(&[("new", stricter), ("strict", stricter)]);
    let after = Shadows::new(&list, Some(&before), bed.now, Arc::new(|_, _| {}));
    after.respec(&list, bed.now);
    under_way.finish(SUCCESS, bed.now);
    let views = after.views(bed.now);
    let told: Vec<_> = views
        .iter()
        .map(|view| (&*view.name, view.report.would_open))
        .collect();
    assert_eq!(told, [("new", 0), ("strict", 1)]);
    assert_eq!(views[1].report.rejected_successes, 1);
    assert_eq!(
        views[1]
            .view
            .distances
            .consecutive_failures
            .unwrap()
            .threshold,
        1
    );
}

#[test]
fn each_change_of_a_candidate_is_told_once() {
    let told: Arc<Mutex<Vec<_>>> = Arc::default();
    let ear = Arc::clone(&told);
    let bed = Bed::new(usual());
    let shadows = Shadows::new(
        &candidates(&[("strict", strict())]),
        None,
        bed.now,
        Arc::new(move |name, transition| {
            let step = (name.to_owned(), transition.to(), transition.cause);
            ear.lock().unwrap().push(step);
        }),
    );
    (0..4).for_each(|_| call(&bed, &shadows, TIMEOUT));
    let told = told.lock().unwrap().clone();
    assert_eq!(
        told,
        [("strict".to_owned(), State::Open, Cause::ConsecutiveFailures)]
    );
}

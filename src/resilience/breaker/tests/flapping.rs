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

#[test]
fn case_141_no_question_makes_more_than_four_changes_however_long_nobody_asked() {
    for seed in 1..300 {
        let mut dice = Dice(seed);
        let mut bed = Bed::new(walk::random_keys(&mut dice));
        let mut out: Vec<Permit> = Vec::new();
        for _ in 0..200 {
            let wait = match dice.roll(0..10) {
                0..4 => Duration::ZERO,
                4..8 => Duration::from_millis(dice.roll(0..4_000)),
                _ => SECOND * 3_600 * dice.roll(1..100) as u32,
            };
            bed.now += wait;
            let before = bed.told().len();
            match dice.roll(0..10) {
                0..5 => out.extend(bed.admit().ok()),
                5..8 if !out.is_empty() => {
                    let permit = out.swap_remove(dice.roll(0..out.len() as u64) as usize);
                    permit.finish(walk::random_sample(&mut dice), bed.now);
                }
                8 => {
                    let until = Some(bed.now + SECOND * dice.roll(1..9) as u32);
                    bed.force(dice.pick(&[
                        Order::Open { until },
                        Order::HoldClosed { until },
                        Order::Auto,
                        Order::Close,
                    ]));
                }
                _ => drop(bed.view()),
            }
            // A hold that ends, a wait for a verdict that ends, the reset after it, and what the question itself comes to.
            let changes = bed.told().len() - before;
            assert!(changes <= 4, "seed {seed}: {changes}");
        }
    }
}

/// The bytes that a breaker with this machine has on the heap, its window apart: what each piece was asked for.
fn bytes(machine: &Machine) -> usize {
    const ARC: usize = 2 * size_of::<usize>();
    let mut transitions: Vec<_> = machine.history.iter().chain(&machine.because).collect();
    transitions.sort_by_key(|transition| Arc::as_ptr(transition));
    transitions.dedup_by_key(|transition| Arc::as_ptr(transition));
    let mut exemplars: Vec<_> = transitions
        .iter()
        .flat_map(|transition| &transition.evidence.exemplars)
        .chain(machine.recent.iter().flat_map(|recent| recent.all()))
        .chain(&machine.last_failure)
        .collect();
    exemplars.sort_by_key(|exemplar| Arc::as_ptr(exemplar));
    exemplars.dedup_by_key(|exemplar| Arc::as_ptr(exemplar));
    let calls = exemplars.iter().map(|exemplar| {
        let call = exemplar.call.as_ref();
        let texts = call.map_or(0, |call| {
            call.id.len() + call.method.len() + call.path.len()
        });
        ARC + size_of::<Exemplar>() + texts
    });
    let changes = transitions.iter().map(|transition| {
        let evidence = &transition.evidence;
        ARC + size_of::<Transition>()
            + evidence.labels.capacity() * size_of::<LabelCount>()
            + evidence.exemplars.capacity() * size_of::<usize>()
    });
    ARC + size_of::<Breaker>()
        + ARC
        + machine.history.len() * size_of::<usize>()
        + machine.labels.bytes()
        + machine.run.as_deref().map_or(0, size_of_val)
        + machine.recent.as_ref().map_or(0, |recent| recent.bytes())
        + calls.sum::<usize>()
        + changes.sum::<usize>()
}

/// Opens and closes it again so many times; all of its calls are slow, fail, and have the longest names that are kept.
fn flap_at_length(breaker: &Arc<Breaker>, times: u32, mut now: Instant) {
    let call = || Identity::new(&"i".repeat(128), &"M".repeat(24), &"/".repeat(500));
    for _ in 0..times {
        for status in 500..505 {
            let sample = Sample::failure(Label::Status(status)).after(SECOND * 9);
            breaker.admit(now).unwrap().finish_as(sample, now, call);
        }
        now += SECOND * 30;
        let sample = Sample::new(Outcome::Success).after(SECOND * 9);
        for _ in 0..2 {
            breaker.admit(now).unwrap().finish_as(sample, now, call);
        }
        assert_eq!(breaker.in_force(now).0, State::Closed);
    }
}

#[test]
fn case_141_a_flapping_breaker_weighs_at_most_64_kib_and_that_of_a_key_8() {
    let spec = spec(BreakerKeys {
        slow_ratio: Some(percent(100)),
        slow_after: Some(SECOND),
        min_calls: 1_000,
        ..usual()
    });
    let begin = crate::time::now();
    let own = Breaker::new(spec.clone(), 1, begin, Box::new(|_| {}));
    let keyed = Keyed::new(spec, 10, 1, Arc::new(|_, _| {}));
    let child = keyed
        .get_or_make(crate::resilience::key::Key::of(b"a"), begin)
        .unwrap();
    for (breaker, most) in [(&own, 64 << 10), (&child, 8 << 10)] {
        flap_at_length(breaker, 100, begin);
        let bytes = breaker.teller.look(|machine| bytes(machine));
        assert!(bytes <= most, "{bytes}");
        assert!(bytes > most / 4, "{bytes} is far from what is promised");
    }
    let shown = child.view(begin + SECOND * 3_000).transitions;
    assert_eq!(shown.len(), 4);
}

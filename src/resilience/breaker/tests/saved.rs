//! What a breaker takes over from the process before it.

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn sentence(bed: &Bed) -> String {
    let view = bed.view();
    explain(&view, |at| format!("-{}s", (view.now - at).as_secs()))
}

#[test]
fn an_open_breaker_resumes_with_what_was_left_of_its_time_and_its_reasons() {
    let mut old = Bed::new(usual());
    old.calls(4, TIMEOUT);
    let last = old.admit().unwrap();
    last.finish_as(Sample::failure(Label::Status(503)), old.now, || {
        Identity::new("test-123", "POST", "/x")
    });
    old.wait(SECOND * 10);
    old.admit().unwrap_err();
    let mut new = old.restarted(usual(), SECOND * 5);
    assert_eq!(
        sentence(&new),
        "open since -15s because 5 consecutive calls failed (4 timeout, 1 status 503); next probe in 15 s; 0 calls rejected; \
         resumed after a restart at -0s"
    );
    assert_eq!(new.moves(), [], "nothing happened to it yet");
    let view = new.view();
    let call = view.last_failure.as_ref().unwrap().call.clone();
    assert_eq!(call, Some(Identity::new("test-123", "POST", "/x")));
    let because = view.because.unwrap();
    assert_eq!(because.at, new.now - SECOND * 15);
    assert_eq!(
        because.evidence,
        old.view().because.unwrap().evidence.at(&because)
    );
    assert_eq!(
        view.statistics,
        Statistics::default(),
        "counters begin anew"
    );

    assert!(new.admit().is_err());
    new.wait(SECOND * 15);
    new.calls(2, SUCCESS);
    assert_eq!(new.state(), State::Closed);
    assert!(!sentence(&new).contains("restart"), "{}", sentence(&new));
}

impl Evidence {
    /// The same with the instants of another, which lie on another clock.
    fn at(&self, other: &Transition) -> Self {
        let mut same = self.clone();
        for (one, other) in same.exemplars.iter_mut().zip(&other.evidence.exemplars) {
            Arc::make_mut(one).at = other.at;
        }
        same
    }
}

#[test]
fn an_open_breaker_whose_time_passed_meanwhile_is_half_open_since_then() {
    let old = Bed::open(usual());
    let new = old.restarted(usual(), MINUTE);
    let told = new.told();
    assert_eq!(
        (told.len(), told[0].cause, told[0].at),
        (1, Cause::ResetTimeout, old.now + usual().reset_timeout)
    );
    assert_eq!(
        sentence(&new),
        "half-open since -30s; waiting for a probe; 0 of 2 successful probes; 0 calls rejected; resumed after a restart at -0s"
    );
    assert!(new.admit().is_ok());
}

#[test]
fn a_half_open_breaker_begins_its_probes_anew() {
    let old = Bed::half_open(usual());
    old.call(SUCCESS);
    let _hung = old.admit().unwrap();
    let new = old.restarted(usual(), SECOND);
    let probes = new.view().probes.unwrap();
    assert_eq!((probes.out, probes.succeeded.reached), (0, 0));
    new.calls(2, SUCCESS);
    assert_eq!(new.state(), State::Closed);
}

#[test]
fn a_hold_goes_on_until_its_end_and_one_that_is_over_is_gone() {
    let old = Bed::new(usual());
    let until = Some(old.now + MINUTE * 15);
    old.force(Order::Open { until });
    let new = old.restarted(usual(), MINUTE);
    let hold = new.view().hold.unwrap();
    assert_eq!((hold.since, hold.until), (old.now, until));
    assert_eq!(
        sentence(&new),
        "forced open since -60s by ana until -0s (maintenance); by itself it would be closed; 0 calls rejected; \
         resumed after a restart at -0s"
    );
    assert_eq!(old.restarted(usual(), MINUTE * 15).view().hold, None);

    old.force(Order::HoldClosed { until: None });
    let new = old.restarted(usual(), MINUTE * 60);
    assert_eq!(
        new.breaker.in_force(new.now),
        (State::Closed, Mode::ForcedClosed)
    );
}

#[test]
fn the_back_off_goes_on_from_the_openings_in_a_row() {
    let keys = BreakerKeys {
        reset_backoff: ResetBackoff {
            factor: 2.0,
            max: MINUTE * 10,
            jitter: Ratio::ZERO,
        },
        ..usual()
    };
    let mut old = Bed::half_open(keys);
    old.call(TIMEOUT);
    old.wait(MINUTE);
    let new = old.restarted(keys, Duration::ZERO);
    new.call(TIMEOUT);
    assert_eq!(new.view().next_probe_at, Some(new.now + MINUTE * 2));
}

#[test]
fn a_breaker_as_good_as_new_is_not_saved() {
    let mut bed = Bed::new(usual());
    assert_eq!(bed.breaker.save(bed.now), None);
    bed.calls(4, TIMEOUT);
    assert_eq!(bed.breaker.save(bed.now), None, "what was only counted");
    bed.call(TIMEOUT);
    bed.wait(usual().reset_timeout);
    bed.calls(2, SUCCESS);
    assert!(
        bed.breaker.save(bed.now).is_some(),
        "its next opening is one in a row"
    );
    bed.wait(usual().reset_timeout);
    assert_eq!(bed.breaker.save(bed.now), None);
}

#[test]
fn a_breaker_on_its_ramp_goes_on_from_its_share() {
    let keys = BreakerKeys {
        ramp: Some(RampSpec {
            from: percent(10),
            over: SECOND * 90,
        }),
        ..usual()
    };
    let mut old = Bed::half_open(keys);
    old.calls(2, SUCCESS);
    old.wait(SECOND * 30);
    let new = old.restarted(keys, SECOND * 30);
    assert_eq!(new.breaker.ramp_share(new.now), Some(percent(70)));
    let without = old.restarted(usual(), SECOND * 30);
    assert_eq!(without.view().ramp, None);
}

#[test]
fn the_new_settings_are_in_force_over_what_was_saved() {
    let old = Bed::open(usual());
    let keys = BreakerKeys {
        enforcement: Enforcement::Shadow,
        reset_timeout: MINUTE * 10,
        ..usual()
    };
    let mut new = old.restarted(keys, SECOND * 10);
    assert!(new.admit().is_ok(), "a shadow rejects nothing");
    new.wait(SECOND * 20);
    assert_eq!(
        new.state(),
        State::HalfOpen,
        "its time was counted by the old ones"
    );
}

#[test]
fn whatever_was_saved_it_stays_open_no_longer_than_its_own_settings_allow() {
    let backoff = |factor, jitter| BreakerKeys {
        reset_backoff: ResetBackoff {
            factor,
            max: MINUTE * 5,
            jitter,
        },
        ..usual()
    };
    let years = r#"{"state":"open","since":0,"left":315576000000,"openings":0,"ramp":null,"hold":null,"lastFailure":null,"because":null,
        "transitions":[]}"#;
    let saved: Saved = serde_json::from_str(years).unwrap();
    for (keys, longest) in [
        (usual(), usual().reset_timeout),
        (backoff(1.0, Ratio::ZERO), usual().reset_timeout),
        (backoff(2.0, Ratio::ZERO), MINUTE * 5),
        (backoff(1.0, percent(10)), MINUTE * 5),
    ] {
        let mut bed = Bed::new(keys);
        bed.breaker.resume(&saved, Duration::ZERO, &words, bed.now);
        assert_eq!(bed.view().next_probe_at, Some(bed.now + longest));
        bed.wait(longest);
        assert!(bed.admit().is_ok());
    }
}

#[test]
fn rule_7_a_wall_clock_that_was_set_back_leaves_what_was_left() {
    let saved_at = std::time::SystemTime::UNIX_EPOCH + MINUTE * 60;
    let memory = Memory::new(saved_at, std::collections::BTreeMap::new());
    assert_eq!(memory.age(saved_at + MINUTE), MINUTE);
    assert_eq!(memory.age(saved_at - MINUTE), Duration::ZERO);
}

#[test]
fn distances_beyond_any_clock_are_cut_and_no_panic() {
    let text = r#"{"state":"open","since":18446744073709551615,"left":18446744073709551615,"openings":4294967295,"ramp":65535,
        "hold":{"mode":"forced_open","since":18446744073709551615,"left":18446744073709551615,"by":"a\n","reason":null},
        "lastFailure":{"ago":18446744073709551615,"label":{"named":"unheard of"},"call":["\u001b","",""]},
        "because":null,"transitions":[]}"#;
    let saved: Saved = serde_json::from_str(text).unwrap();
    for pause in [Duration::ZERO, Duration::MAX] {
        let bed = Bed::new(usual());
        bed.breaker.resume(&saved, pause, &words, bed.now);
        let view = bed.view();
        assert_eq!(view.standing.mode, Mode::ForcedOpen);
        let hold = view.hold.as_ref().unwrap();
        assert_eq!((&*hold.by, hold.until), ("a\u{fffd}", None));
        let failure = view.last_failure.as_ref().unwrap();
        assert_eq!(failure.label, None, "only our own words are told");
        assert_eq!(&*failure.call.as_ref().unwrap().id, "\u{fffd}");
        assert!(!sentence(&bed).is_empty());
        bed.force(Order::Auto);
        let latest = bed.now + usual().reset_timeout;
        assert!(bed.view().next_probe_at.is_none_or(|at| at <= latest));
    }
}

/// A walk's breaker, saved.
fn saved(seed: u64, steps: u64) -> Option<Saved> {
    let mut dice = Dice(seed | 1);
    let mut bed = Bed::new(super::walk::random_keys(&mut dice));
    for _ in 0..steps {
        bed.wait(Duration::from_micros(dice.roll(0..1_000_000)));
        match dice.roll(0..20) {
            0 => drop(bed.force(Order::Open {
                until: Some(bed.now + SECOND * 5),
            })),
            1 => drop(bed.force(Order::Auto)),
            _ => {
                if let Ok(permit) = bed.admit() {
                    let sample = super::walk::random_sample(&mut dice);
                    permit.finish_as(sample, bed.now, || Identity::new("id", "GET", "/ä"));
                }
            }
        }
    }
    bed.breaker.save(bed.now)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_saved_comes_back_whole(seed in any::<u64>(), steps in 1..80_u64) {
        let Some(saved) = saved(seed, steps) else { return Ok(()) };
        let bed = Bed::new(super::walk::random_keys(&mut Dice(seed | 1)));
        let all = |word: &str| Some(&*Box::leak(word.to_owned().into_boxed_str()));
        bed.breaker.resume(&saved, Duration::ZERO, &all, bed.now);
        prop_assert_eq!(bed.breaker.save(bed.now), Some(saved));
    }

    #[test]
    fn a_file_that_was_cut_or_in_which_a_bit_was_flipped_is_refused(seed in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let breaker = saved(seed, 40);
        let remembered = Remembered { breaker, overridden: Some("0123456789abcdef".to_owned()), ..Remembered::default() };
        let wall = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_123);
        let memory = Memory::new(wall, [("crm".to_owned(), remembered)].into());
        let content = memory.encode().into_bytes();
        prop_assert_eq!(Memory::decode(&content), Ok(memory.clone()));
        let at = at.index(content.len());
        prop_assert!(Memory::decode(&content[..at]).is_err());
        let mut flipped = content.clone();
        flipped[at] ^= 1 << bit;
        prop_assert!(Memory::decode(&flipped).is_err());
        let mut longer = content;
        longer.push(b'\n');
        prop_assert!(Memory::decode(&longer).is_err());
    }
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_file_is_refused() {
    // A short one: the walk costs its length squared. Longer ones are cut and flipped by chance above.
    let breaker = Bed::open(usual()).breaker;
    let breaker = breaker.save(crate::time::now());
    assert!(breaker.is_some());
    let remembered = Remembered {
        breaker,
        ..Remembered::default()
    };
    let wall = std::time::SystemTime::UNIX_EPOCH;
    let content = Memory::new(wall, [("r".to_owned(), remembered)].into()).encode();
    let mut content = content.into_bytes();
    for at in 0..content.len() {
        assert!(Memory::decode(&content[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            content[at] ^= 1 << bit;
            assert!(Memory::decode(&content).is_err(), "bit {bit} of byte {at}");
            content[at] ^= 1 << bit;
        }
    }
    assert!(Memory::decode(&content).is_ok());
}

//! What breakers of keys and candidates take over from the process before them.

use super::*;
use crate::resilience::key::Key;

fn keyed(max_keys: usize) -> Arc<Keyed> {
    Keyed::new(spec(usual()), max_keys, 1, Arc::new(|_, _| {}))
}

fn key(number: u64) -> Key {
    Key::of(&number.to_be_bytes())
}

/// Breakers of keys below one of a route that hardly ever opens.
fn bed() -> Bed {
    Bed::new(BreakerKeys {
        failure_threshold: 1_000_000,
        ..usual()
    })
}

fn fail(bed: &Bed, keyed: &Keyed, key: Key, times: u32) {
    for _ in 0..times {
        let permit = keyed.admit(&bed.breaker, key, bed.now).unwrap();
        permit.finish(TIMEOUT, bed.now);
    }
}

#[test]
fn keys_that_have_something_to_remember_are_saved_and_resume_with_the_rest_of_their_time() {
    let (mut bed, keyed) = (bed(), keyed(10));
    let [open, held, closed] = [1, 2, 3].map(key);
    fail(&bed, &keyed, open, 5);
    fail(&bed, &keyed, closed, 4);
    let lockout = ForceRequest {
        order: Order::Open { until: None },
        by: "ana".to_owned(),
        reason: Some("INC-9".to_owned()),
    };
    let child = keyed.get_or_make(held, bed.now).unwrap();
    assert!(child.force(lockout, bed.now));
    bed.wait(SECOND * 10);
    let saved = keyed.save(10, bed.now);
    let mut names: Vec<Key> = saved.iter().map(|(key, _)| *key).collect();
    names.sort();
    let mut expected = [open, held];
    expected.sort();
    assert_eq!(names, expected);

    let next = self::keyed(10);
    bed.wait(SECOND * 5);
    for (key, saved) in &saved {
        assert!(next.resume(*key, (saved, SECOND * 5), &words, bed.now));
    }
    let view = next.get(open).unwrap().view(bed.now);
    assert_eq!(view.next_probe_at, Some(bed.now + SECOND * 15));
    let because = &view.because.as_ref().unwrap().evidence;
    assert_eq!(because.labels[0].count, 5, "and its reasons");
    assert!(because.exemplars.is_empty(), "without the single calls");
    let view = next.get(held).unwrap().view(bed.now);
    assert_eq!(view.hold.unwrap().reason.as_deref(), Some("INC-9"));
    assert!(next.get(closed).is_none());
}

#[test]
fn of_too_many_keys_the_worst_are_saved_and_no_more_resume_than_there_is_room_for() {
    let (bed, keyed) = (bed(), keyed(100));
    for number in 0..20 {
        fail(&bed, &keyed, key(number), 5);
    }
    let held = keyed.get_or_make(key(99), bed.now).unwrap();
    let hold = ForceRequest {
        order: Order::HoldClosed { until: None },
        by: "ana".to_owned(),
        reason: None,
    };
    assert!(held.force(hold, bed.now));
    let saved = keyed.save(20, bed.now);
    assert_eq!(saved.len(), 20);
    assert!(
        saved.iter().all(|(saved, _)| *saved != key(99)),
        "what rejects goes before what is held closed"
    );
    let next = self::keyed(7);
    let resumes =
        |(key, saved): &&(Key, Saved)| next.resume(*key, (saved, Duration::ZERO), &words, bed.now);
    assert_eq!(saved.iter().filter(resumes).count(), 7);
    assert_eq!(next.counts(bed.now).open, 7);
}

fn candidates() -> [(String, BreakerSpec); 2] {
    ["calm", "strict"].map(|name| {
        let keys = BreakerKeys {
            failure_threshold: if name == "strict" { 2 } else { 50 },
            ..usual()
        };
        (name.to_owned(), spec(keys))
    })
}

fn shadows(bed: &Bed) -> Arc<Shadows> {
    Shadows::new(&candidates(), None, bed.now, Arc::new(|_, _| {}))
}

fn opened(bed: &Bed) -> Arc<Shadows> {
    let shadows = shadows(bed);
    for _ in 0..3 {
        let permit = shadows.watch(bed.admit().unwrap(), bed.now);
        permit.finish(TIMEOUT, bed.now);
    }
    shadows
}

#[test]
fn a_candidate_that_is_open_resumes_so_and_its_report_begins_anew() {
    let mut bed = bed();
    let saved = opened(&bed).save(bed.now);
    assert_eq!(saved.keys().collect::<Vec<_>>(), ["strict"]);
    bed.wait(SECOND * 10);
    let next = shadows(&bed);
    next.resume(&saved, SECOND * 10, &words, bed.now);
    let strict = next.views(bed.now).remove(1);
    assert_eq!(strict.view.next_probe_at, Some(bed.now + SECOND * 20));
    assert_eq!(strict.report, ShadowReport::default());
    assert_eq!(next.views(bed.now)[0].view.state(), State::Closed);
}

#[test]
fn clear_lets_candidates_begin_anew_and_takes_nothing_from_what_only_grows() {
    let bed = bed();
    let shadows = opened(&bed);
    let grown = |shadows: &Shadows| {
        let reports = shadows.reports(bed.now);
        reports.map(|(_, report)| report).collect::<Vec<_>>()[1]
    };
    let before = grown(&shadows);
    assert_eq!((before.would_open, before.would_reject), (1, 1));
    assert!(shadows.clear("ana", bed.now));
    for one in shadows.views(bed.now) {
        assert_eq!(one.view.state(), State::Closed);
        assert_eq!(one.view.statistics, Statistics::default());
        assert_eq!(one.report, ShadowReport::default());
    }
    assert_eq!(grown(&shadows), before);
    assert!(!shadows.clear("ana", bed.now), "once is enough");
}

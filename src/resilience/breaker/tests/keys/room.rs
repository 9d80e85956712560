//! How many keys there is room for, and which of them make room.

use super::*;
use crate::resilience::breaker::keyed::{LOOKED_AT, WAITED};

#[test]
fn the_key_unused_for_longest_makes_room_for_a_new_one() {
    let route = Route::new(usual(), 3);
    for text in ["a", "b", "c", "a", "d"] {
        route.calls(text, 1, SUCCESS);
    }
    let kept = ["a", "b", "c", "d"].map(|text| route.child(text).is_some());
    assert_eq!(kept, [true, false, true, true]);
    assert_eq!(route.keyed.counts(route.now).total, 3);
}

#[test]
fn a_key_whose_breaker_would_reject_ramps_is_held_or_has_a_call_out_is_never_forgotten() {
    let keys = BreakerKeys {
        ramp: Some(RampSpec {
            from: percent(10),
            over: SECOND * 30,
        }),
        ..usual()
    };
    let mut route = Route::new(keys, 5);
    for text in ["ramping", "half-open"] {
        route.calls(text, 4, TIMEOUT);
        route.calls(text, 1, SUCCESS);
        let child = route.child(text).unwrap();
        for _ in 0..5 {
            child.admit(route.now).unwrap().finish(TIMEOUT, route.now);
        }
    }
    route.now += SECOND * 30;
    route.calls("ramping", 2, SUCCESS);
    for _ in 0..5 {
        let child = route.keyed.get_or_make(key("open"), route.now).unwrap();
        child.admit(route.now).unwrap().finish(TIMEOUT, route.now);
    }
    let forced = route.keyed.get_or_make(key("forced"), route.now).unwrap();
    Route::force(&forced, Order::HoldClosed { until: None }, route.now);
    drop(forced);
    let out = route.admit("out").unwrap();
    for text in ["new", "newer", "newest"] {
        route.calls(text, 1, SUCCESS);
    }
    let kept = ["ramping", "half-open", "open", "forced", "out"];
    assert!(kept.iter().all(|text| route.child(text).is_some()));
    let counts = route.keyed.counts(route.now);
    assert_eq!((counts.total, counts.untracked), (5, 3));
    assert_eq!((counts.open, counts.half_open, counts.forced), (1, 1, 1));
    // The call comes back: now it is closed and nothing more.
    out.finish(SUCCESS, route.now);
    route.calls("new", 1, SUCCESS);
    assert!(route.child("new").is_some() && route.child("out").is_none());
}

#[test]
fn a_key_without_room_is_watched_by_the_routes_breaker_alone() {
    let route = Route::new(usual(), 1);
    let first = route.admit(ONE).unwrap();
    assert!(first.key().is_some());
    route.calls(TWO, 9, TIMEOUT);
    assert!(route.admit(TWO).unwrap().key().is_none());
    route.calls(TWO, 1, TIMEOUT);
    assert!(route.admit(TWO).is_err());
    assert_eq!(route.keyed.counts(route.now).untracked, 12);
}

#[test]
fn rule_9_a_new_key_looks_at_a_few_others_only_and_the_next_one_at_the_next_few() {
    let route = Route::new(usual(), 100);
    let out: Vec<Permit> = (0..100)
        .map(|tenant| route.admit(&tenant.to_string()).unwrap())
        .collect();
    // All but the last have calls out; it is found after as many new keys as it takes to look at the others.
    let mut out = out;
    out.pop().unwrap().finish(SUCCESS, route.now);
    let needed = 100_usize.div_ceil(LOOKED_AT);
    for _ in 1..needed {
        route.calls("new", 1, SUCCESS);
        assert!(route.child("new").is_none());
    }
    route.calls("new", 1, SUCCESS);
    assert!(route.child("new").is_some() && route.child("99").is_none());
    assert!(route.child("0").is_some());
}

#[test]
fn a_key_whose_calls_go_well_costs_at_most_a_kibibyte_without_its_window() {
    // The breaker with its counters, its observer with what that knows, its place in the queue and in the table.
    let breaker = size_of::<Breaker>() + 2 * size_of::<usize>();
    let observer = size_of::<KeyObserver>() + size_of::<Key>();
    let place = size_of::<(Key, Arc<Breaker>)>() + 2 * size_of::<usize>();
    let entry = 2 * size_of::<usize>() * 2 + 1;
    let all = breaker + observer + place + entry;
    assert!(all <= 1_024, "{all}");
}

#[test]
fn keys_that_failed_and_never_return_make_room_for_others() {
    let mut route = Route::new(usual(), 3);
    for text in ["a", "b", "c"] {
        let child = route.keyed.get_or_make(key(text), route.now).unwrap();
        for _ in 0..5 {
            child.admit(route.now).unwrap().finish(TIMEOUT, route.now);
        }
    }
    // Looked at, it is half-open; the others have not noticed yet that their time has come.
    route.now += SECOND * 30;
    assert_eq!(route.state("a"), Some(State::HalfOpen));
    route.now += SECOND * 30 * WAITED - SECOND / 1_000;
    route.calls("new", 1, SUCCESS);
    assert!(route.child("new").is_none());
    route.now += SECOND / 1_000;
    for text in ["new", "newer", "newest"] {
        route.calls(text, 5, TIMEOUT);
        assert_eq!(route.state(text), Some(State::Open));
        Route::force(&route.own, Order::Clear, route.now);
    }
}

proptest::proptest! {
    #[test]
    fn no_breaker_of_a_key_is_forgotten_that_would_reject_now(
        steps in proptest::collection::vec((0..6_u8, 0..4_u8, 0..4_u32), 1..80),
    ) {
        let keys = BreakerKeys { failure_threshold: 1, ..usual() };
        let mut route = Route::new(keys, 3);
        let names = ["a", "b", "c", "d", "e", "f"];
        for (place, deed, wait) in steps {
            route.now += SECOND * 45 * wait;
            let rejecting: Vec<_> = names
                .into_iter()
                .filter(|text| route.child(text).is_some_and(|child| child.view(route.now).rejects.is_some()))
                .collect();
            let name = names[usize::from(place)];
            match (deed, route.child(name)) {
                (0, Some(child)) => drop(child.force(
                    ForceRequest { order: Order::Open { until: None }, by: "ana".to_owned(), reason: None },
                    route.now,
                )),
                (1, Some(child)) => drop(child.force(
                    ForceRequest { order: Order::Auto, by: "ana".to_owned(), reason: None },
                    route.now,
                )),
                _ => if let Ok(permit) = route.admit(name) {
                    permit.finish(if deed == 3 { SUCCESS } else { TIMEOUT }, route.now);
                },
            }
            for text in rejecting {
                proptest::prop_assert!(route.child(text).is_some(), "{text}");
            }
        }
    }
}

//! A breaker for each key below a route's own.

mod room;

use super::*;
use crate::resilience::key::Key;
use crate::resilience::ramp::RampSpec;

const ONE: &str = "tenant-1";
const TWO: &str = "tenant-2";

/// A route's breaker, those of its keys, a clock, and what the keys' observer was told.
struct Route {
    own: Arc<Breaker>,
    keyed: Arc<Keyed>,
    now: Instant,
    told: Arc<Mutex<Vec<(Key, State, State)>>>,
}

fn key(text: &str) -> Key {
    Key::of(text.as_bytes())
}

impl Route {
    /// The route's own breaker opens at twice as many failures as its keys' would, to tell them apart.
    fn new(keys: BreakerKeys, max_keys: usize) -> Self {
        let now = crate::time::now();
        let told: Arc<Mutex<Vec<_>>> = Arc::default();
        let ear = Arc::clone(&told);
        let own = BreakerKeys {
            failure_threshold: keys.failure_threshold * 2,
            ..keys
        };
        Self {
            own: Breaker::new(spec(own), 1, now, Box::new(|_| {})),
            keyed: Keyed::new(
                spec(keys),
                max_keys,
                1,
                Arc::new(move |key, transition| {
                    let step = (key, transition.from(), transition.to());
                    ear.lock().unwrap().push(step);
                }),
            ),
            now,
            told,
        }
    }

    fn admit(&self, text: &str) -> Result<Permit, Rejection> {
        self.keyed.admit(&self.own, key(text), self.now)
    }

    fn calls(&self, text: &str, times: u32, sample: Sample) {
        for _ in 0..times {
            self.admit(text).unwrap().finish(sample, self.now);
        }
    }

    fn child(&self, text: &str) -> Option<Arc<Breaker>> {
        self.keyed.get(key(text))
    }

    fn state(&self, text: &str) -> Option<State> {
        Some(self.child(text)?.in_force(self.now).0)
    }

    fn force(breaker: &Arc<Breaker>, order: Order, now: Instant) {
        let request = ForceRequest {
            order,
            by: "ana".to_owned(),
            reason: None,
        };
        assert!(breaker.force(request, now));
    }
}

#[test]
fn the_failures_of_one_key_open_its_own_breaker_and_nobody_elses() {
    let route = Route::new(usual(), 10);
    route.calls(ONE, 5, TIMEOUT);
    let rejection = route.admit(ONE).unwrap_err();
    assert_eq!(rejection.refusal.kind, RefusalKind::CircuitOpen);
    let child = route.child(ONE).unwrap();
    assert!(Arc::ptr_eq(rejection.by_key.as_ref().unwrap(), &child));
    route.calls(TWO, 1, SUCCESS);
    assert_eq!(route.state(TWO), Some(State::Closed));
    assert_eq!(route.own.in_force(route.now).0, State::Closed);
    let told = route.told.lock().unwrap().clone();
    assert_eq!(told, [(key(ONE), State::Closed, State::Open)]);
}

#[test]
fn outcomes_feed_both_and_what_all_keys_suffer_from_opens_the_routes_breaker() {
    let route = Route::new(usual(), 100);
    for tenant in 0..10 {
        route.calls(&format!("tenant-{tenant}"), 1, TIMEOUT);
    }
    assert_eq!(route.own.in_force(route.now).0, State::Open);
    let rejection = route.admit("tenant-11").unwrap_err();
    assert!(rejection.by_key.is_none());
    assert_eq!(route.keyed.counts(route.now).open, 0);
    assert_eq!(route.own.view(route.now).statistics.failures, 10);
}

#[test]
fn a_call_that_its_key_rejects_takes_no_probe_of_the_routes_and_counts_nothing_there() {
    let mut route = Route::new(usual(), 10);
    route.calls(ONE, 5, TIMEOUT);
    Route::force(
        &route.own,
        Order::Open {
            until: Some(route.now + SECOND),
        },
        route.now,
    );
    route.now += SECOND;
    // Five more failures of others open the route's own, and then both wait for a probe.
    route.calls(TWO, 4, TIMEOUT);
    route.calls("tenant-3", 1, TIMEOUT);
    assert_eq!(route.own.in_force(route.now).0, State::Open);
    let child = route.child(ONE).unwrap();
    route.now += SECOND * 29;
    assert_eq!(child.in_force(route.now).0, State::HalfOpen);
    let probe = child.admit(route.now).unwrap();
    route.now += SECOND;
    assert_eq!(route.own.in_force(route.now).0, State::HalfOpen);
    let before = route.own.view(route.now);
    let rejection = route.admit(ONE).unwrap_err();
    assert_eq!(rejection.refusal.kind, RefusalKind::HalfOpenFull);
    assert!(rejection.by_key.is_some());
    let after = route.own.view(route.now);
    assert_eq!(
        (after.probes, after.statistics),
        (before.probes, before.statistics)
    );
    assert!(route.admit(TWO).is_ok(), "the route's probe is still there");
    drop(probe);
}

#[test]
fn a_call_that_the_route_rejects_takes_no_probe_and_no_turn_of_its_keys() {
    let mut route = Route::new(usual(), 10);
    route.calls(ONE, 5, TIMEOUT);
    route.now += SECOND * 30;
    Route::force(&route.own, Order::Open { until: None }, route.now);
    let child = route.child(ONE).unwrap();
    let before = child.view(route.now);
    let rejection = route.admit(ONE).unwrap_err();
    assert_eq!(rejection.refusal.kind, RefusalKind::ForcedOpen);
    let after = child.view(route.now);
    assert_eq!(
        (after.probes, after.statistics),
        (before.probes, before.statistics)
    );
    Route::force(&route.own, Order::Auto, route.now);
    assert!(route.admit(ONE).unwrap().is_probe());
}

#[test]
fn a_turn_on_a_keys_ramp_that_the_route_rejects_is_the_next_calls() {
    let keys = BreakerKeys {
        ramp: Some(RampSpec {
            from: percent(10),
            over: SECOND * 30,
        }),
        ..usual()
    };
    let mut route = Route::new(keys, 10);
    route.calls(ONE, 5, TIMEOUT);
    route.now += SECOND * 30;
    route.calls(ONE, 2, SUCCESS);
    Route::force(&route.own, Order::Open { until: None }, route.now);
    assert!(route.admit(ONE).is_err());
    Route::force(&route.own, Order::Auto, route.now);
    route.calls(ONE, 1, SUCCESS);
    assert_eq!(
        route.admit(ONE).unwrap_err().refusal.kind,
        RefusalKind::Ramping
    );
}

#[test]
fn where_both_would_reject_the_routes_breaker_says_why_and_counts_it() {
    let route = Route::new(usual(), 10);
    route.calls(ONE, 5, TIMEOUT);
    route.calls(TWO, 5, TIMEOUT);
    let rejection = route.admit(ONE).unwrap_err();
    assert!(rejection.by_key.is_none());
    assert_eq!(route.own.view(route.now).statistics.rejected, 1);
}

#[test]
fn a_cancelled_call_gives_back_both_slots() {
    let mut route = Route::new(usual(), 10);
    route.calls(ONE, 5, TIMEOUT);
    route.now += SECOND * 30;
    drop(route.admit(ONE).unwrap());
    let child = route.child(ONE).unwrap();
    assert_eq!(child.view(route.now).probes.unwrap().out, 0);
    route.calls(ONE, 2, SUCCESS);
    assert_eq!(route.state(ONE), Some(State::Closed));
}

#[test]
fn rule_8_a_reload_keeps_the_states_of_keys_and_lets_go_of_what_is_too_many() {
    let route = Route::new(usual(), 100);
    route.calls(ONE, 5, TIMEOUT);
    for tenant in 10..60 {
        route.calls(&tenant.to_string(), 1, SUCCESS);
    }
    let permit = route.admit("59").unwrap();
    let keys = BreakerKeys {
        failure_threshold: 1,
        ..usual()
    };
    route.keyed.respec(&spec(keys), 10, route.now);
    let counts = route.keyed.counts(route.now);
    assert_eq!((counts.total, counts.open), (10, 1));
    assert_eq!(route.keyed.max_keys(), 10);
    permit.finish(TIMEOUT, route.now);
    assert_eq!(route.state("59"), Some(State::Open), "by the new threshold");
    assert_eq!(route.state(ONE), Some(State::Open));
    route.calls("new", 1, TIMEOUT);
    assert_eq!(route.state("new"), Some(State::Open));
}

#[test]
fn breakers_that_do_nothing_need_no_breakers_for_keys() {
    let keys = BreakerKeys {
        enforcement: Enforcement::Off,
        ..usual()
    };
    let route = Route::new(keys, 10);
    route.calls(ONE, 20, TIMEOUT);
    assert_eq!(route.keyed.counts(route.now), KeyCounts::default());
}

#[test]
fn the_worst_are_those_that_reject_then_those_that_failed_most() {
    let mut route = Route::new(usual(), 100);
    for (text, failures) in [("a", 1), ("b", 3), ("c", 0)] {
        route.calls(text, 1, SUCCESS);
        route.calls(text, failures, TIMEOUT);
    }
    let open = route.keyed.get_or_make(key("open"), route.now).unwrap();
    for _ in 0..5 {
        open.admit(route.now).unwrap().finish(TIMEOUT, route.now);
    }
    let worst = route.keyed.worst(3, route.now);
    let told: Vec<_> = worst
        .iter()
        .map(|(key, view)| (*key, view.state()))
        .collect();
    assert_eq!(
        told,
        [
            (key("open"), State::Open),
            (key("b"), State::Closed),
            (key("a"), State::Closed)
        ]
    );
    route.now += SECOND * 30;
    assert_eq!(route.keyed.counts(route.now).half_open, 1);
}

#[test]
fn a_failed_call_is_named_in_both() {
    let route = Route::new(
        BreakerKeys {
            failure_threshold: 1,
            ..usual()
        },
        10,
    );
    let identity = || Identity::new("test-1", "GET", "/x");
    let permit = route.admit(ONE).unwrap();
    permit.finish_as(TIMEOUT, route.now, identity);
    let named = |breaker: &Arc<Breaker>| {
        let last = breaker.view(route.now).last_failure.unwrap();
        last.call.as_ref().unwrap().id.clone()
    };
    assert_eq!(&*named(&route.own), "test-1");
    assert_eq!(&*named(&route.child(ONE).unwrap()), "test-1");
}

//! Several endpoints of one upstream: who gets the calls, who is left alone, who is tried again.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sidefuse::resilience::{Ejection, State};
use sidefuse::time::{Deadline, now, sleep_until};
use sidefuse::upstream::EndpointView;

use crate::support::memory::{Script, Stage, always, on_stage_with, silent};

const A: &str = "10.0.0.1:80";
const B: &str = "10.0.0.2:80";
const C: &str = "10.0.0.3:80";

/// A route `r` to these endpoints.
fn config(endpoints: &[&str], upstream: &str, settings: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: {{url: http://origin, endpoints: {endpoints:?}, {upstream}}}, {settings}}}}}\n"
    )
}

/// Runs a test with an origin at each of these addresses.
fn with<F: Future<Output = ()>>(
    config: &str,
    origins: &[(&str, Script)],
    test: impl FnOnce(Rc<Stage>) -> F,
) {
    on_stage_with(config, always(418), origins, test);
}

fn after(time: Duration) -> Script {
    Arc::new(move |request| {
        let answer = always(200)(request);
        Box::pin(async move {
            sleep_until(Deadline::after(now(), time)).await;
            answer.await
        })
    })
}

async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

/// The statuses of so many calls, one after the other.
async fn calls(stage: &Stage, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(stage.get("/r/x").await.status);
    }
    statuses
}

fn view(stage: &Stage, address: &str) -> EndpointView {
    let views = stage.route("r").upstream.endpoints().view();
    views
        .into_iter()
        .find(|view| &*view.address == address)
        .unwrap()
}

fn is_ejected(stage: &Stage, address: &str) -> bool {
    view(stage, address).ejection != Ejection::Available
}

/// How long until its trial is due, in seconds.
fn ejected_for(stage: &Stage, address: &str) -> u64 {
    match view(stage, address).ejection {
        Ejection::Ejected { until } => (until - now()).as_secs_f64().round() as u64,
        Ejection::Available => 0,
    }
}

fn state(stage: &Stage) -> State {
    stage.route("r").breaker.in_force(now()).0
}

#[test]
fn case_116_an_endpoint_that_fails_is_ejected_and_the_others_serve() {
    let bad = || always(500);
    let config = config(&[A, B, C], "", "");
    let origins = [(A, bad()), (B, always(200)), (C, always(200))];
    with(&config, &origins, async |stage| {
        let statuses = calls(&stage, 60).await;
        assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 5);
        assert_eq!(stage.at(A).calls(), 5, "and then it is left alone");
        assert_eq!(stage.at(B).calls() + stage.at(C).calls(), 55);
        assert!(stage.at(B).calls() > 15 && stage.at(C).calls() > 15);
        assert!(is_ejected(&stage, A));
        assert_eq!(state(&stage), State::Closed);

        // Its trial fails: one caller sees that, and it is left alone for twice as long.
        pass(10).await;
        let statuses = calls(&stage, 20).await;
        assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 1);
        assert_eq!((stage.at(A).calls(), ejected_for(&stage, A)), (6, 20));

        // Its trial succeeds: it has its share again.
        stage.at(A).becomes(always(200));
        pass(20).await;
        assert_eq!(calls(&stage, 30).await, [200; 30]);
        assert!(!is_ejected(&stage, A));
        assert!(stage.at(A).calls() > 10, "{}", stage.at(A).calls());
        let view = stage.route("r").breaker.view(now());
        assert_eq!(
            (view.statistics.failures, state(&stage)),
            (6, State::Closed)
        );
    });
}

#[test]
fn a_call_that_cannot_be_sent_to_one_endpoint_is_sent_to_another_and_the_breaker_hears_nothing() {
    let config = config(&[A, B, C], "", "breaker: {failure_threshold: 1}");
    let origins = [(A, always(200)), (B, always(200)), (C, always(200))];
    with(&config, &origins, async |stage| {
        stage.at(A).refuses();
        assert_eq!(calls(&stage, 60).await, [200; 60]);
        assert!(is_ejected(&stage, A));
        assert_eq!(state(&stage), State::Closed);
        assert_eq!(stage.route("r").breaker.view(now()).statistics.failures, 0);

        stage.at(A).is_back();
        pass(10).await;
        assert_eq!(calls(&stage, 30).await, [200; 30]);
        assert!(!is_ejected(&stage, A) && stage.at(A).calls() > 0);
        let lines = stage.lines();
        assert!(lines.iter().all(|line| line["attempts"] == 1), "{lines:?}");
        let asked: Vec<_> = lines.iter().map(|line| line["upstream"].clone()).collect();
        assert_eq!(
            asked[..60].iter().filter(|asked| **asked == A).count(),
            0,
            "the line names the endpoint that was asked in fact"
        );
        assert!(asked[60..].iter().any(|asked| *asked == A));
    });
}

#[test]
fn an_endpoint_that_swallows_connections_costs_a_call_the_connect_timeout_and_no_more() {
    let config = config(&[A, B], "connect_timeout: 1s", "");
    with(
        &config,
        &[(A, always(200)), (B, always(200))],
        async |stage| {
            stage.at(A).becomes_a_black_hole();
            let begin = now();
            assert_eq!(calls(&stage, 30).await, [200; 30]);
            assert_eq!(
                (now() - begin).as_secs(),
                5,
                "five times, then it is ejected"
            );
            assert!(is_ejected(&stage, A));
        },
    );
}

#[test]
fn when_no_endpoint_can_be_reached_that_is_one_failure_of_the_attempt() {
    let config = config(&[A, B], "", "breaker: {failure_threshold: 3}");
    with(
        &config,
        &[(A, always(200)), (B, always(200))],
        async |stage| {
            for endpoint in [A, B] {
                stage.at(endpoint).refuses();
            }
            let got = stage.get("/r/x").await;
            assert_eq!((got.status, got.reason.as_deref()), (502, Some("connect")));
            let failures = || stage.route("r").breaker.view(now()).statistics.failures;
            assert_eq!(failures(), 1);
            calls(&stage, 2).await;
            assert_eq!((failures(), state(&stage)), (3, State::Open));
        },
    );
}

#[test]
fn at_most_half_are_ejected_and_what_is_left_opens_the_breaker() {
    for (endpoints, ejected) in [(&[A][..], 0), (&[A, B], 1), (&[A, B, C], 1)] {
        let origins: Vec<_> = endpoints.iter().map(|at| (*at, always(500))).collect();
        let config = config(endpoints, "", "breaker: {failure_threshold: 100}");
        with(&config, &origins, async |stage| {
            calls(&stage, 99).await;
            let count = stage.route("r").upstream.endpoints().count();
            assert_eq!(count, (endpoints.len(), ejected));
            assert_eq!(state(&stage), State::Closed);
            calls(&stage, 1).await;
            assert_eq!(state(&stage), State::Open);
        });
    }
}

#[test]
fn a_slow_endpoint_gets_fewer_calls() {
    let (slow, fast) = (after(Duration::from_millis(200)), || {
        after(Duration::from_millis(20))
    });
    let config = config(&[A, B, C], "", "");
    with(
        &config,
        &[(A, slow), (B, fast()), (C, fast())],
        async |stage| {
            let mut callers = Vec::new();
            for _ in 0..6 {
                let stage = Rc::clone(&stage);
                callers.push(tokio::task::spawn_local(async move {
                    assert_eq!(calls(&stage, 100).await, [200; 100]);
                }));
            }
            for caller in callers {
                caller.await.unwrap();
            }
            let [a, b, c] = [A, B, C].map(|at| stage.at(at).calls());
            assert_eq!(a + b + c, 600);
            assert!(a > 0 && a * 4 < b && a * 4 < c, "{a} {b} {c}");
            let latency = view(&stage, A).latency.unwrap().as_millis();
            assert!((195..=205).contains(&latency), "{latency} ms");
        },
    );
}

#[test]
fn max_is_exact_over_all_endpoints() {
    let config = config(&[A, B, C], "pool: {max: 4}", "");
    let origins = [(A, silent()), (B, silent()), (C, silent())];
    with(&config, &origins, async |stage| {
        for _ in 0..10 {
            let mut caller = stage.caller().await;
            tokio::task::spawn_local(async move { caller.get("/r/x").await });
        }
        pass(1).await;
        let pool = stage.route("r").upstream.statistics();
        assert_eq!((pool.size, pool.using, pool.waiting), (4, 4, 6));
        let connections = [A, B, C].map(|at| stage.at(at).connections());
        assert_eq!(connections.iter().sum::<usize>(), 4);
        let counted = [A, B, C].map(|at| view(&stage, at).connections);
        assert_eq!(counted, connections);
    });
}

#[test]
fn at_max_an_unused_connection_to_another_endpoint_serves_as_well() {
    for version in ["1", "2"] {
        let config = config(&[A, B], &format!("pool: {{max: 1}}, http: {version}"), "");
        with(
            &config,
            &[(A, always(200)), (B, always(200))],
            async |stage| {
                assert_eq!(calls(&stage, 20).await, [200; 20]);
                let opened = stage.at(A).connections() + stage.at(B).connections();
                assert_eq!(opened, 1, "none is closed to open another");
            },
        );
    }
}

#[test]
fn at_max_an_unused_connection_to_an_ejected_endpoint_is_given_up() {
    let config = config(&[A, B], "pool: {max: 1}", "");
    with(
        &config,
        &[(A, always(200)), (B, always(200))],
        async |stage| {
            calls(&stage, 1).await;
            let (first, other) = if stage.at(A).calls() == 1 {
                (A, B)
            } else {
                (B, A)
            };
            stage.at(first).becomes(always(500));
            assert_eq!(calls(&stage, 5).await, [500; 5]);
            assert!(is_ejected(&stage, first));
            assert_eq!(calls(&stage, 5).await, [200; 5]);
            assert_eq!(stage.at(other).calls(), 5);
            assert_eq!(stage.route("r").upstream.statistics().size, 1);
        },
    );
}

#[test]
fn each_endpoint_has_an_http2_connection_of_its_own_that_calls_share() {
    let script = || after(Duration::from_millis(50));
    let config = config(&[A, B], "http: 2", "");
    with(&config, &[(A, script()), (B, script())], async |stage| {
        let mut callers = Vec::new();
        for _ in 0..40 {
            let stage = Rc::clone(&stage);
            callers.push(tokio::task::spawn_local(
                async move { calls(&stage, 2).await },
            ));
        }
        for caller in callers {
            assert_eq!(caller.await.unwrap(), [200, 200]);
        }
        for at in [A, B] {
            assert_eq!(stage.at(at).connections(), 1);
            assert!((30..=50).contains(&stage.at(at).calls()), "{at}");
        }
        stage.at(A).becomes(always(500));
        let statuses = calls(&stage, 30).await;
        assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 5);
    });
}

#[test]
fn connections_opened_ahead_are_spread_over_the_endpoints() {
    let config = config(&[A, B, C], "pool: {min: 6}", "");
    let origins = [(A, always(200)), (B, always(200)), (C, always(200))];
    with(&config, &origins, async |stage| {
        pass(2).await;
        assert_eq!([A, B, C].map(|at| stage.at(at).connections()), [2, 2, 2]);
        assert_eq!(stage.route("r").upstream.statistics().available, 6);
    });
}

#[test]
fn a_caller_that_leaves_during_a_trial_leaves_the_trial_to_the_next() {
    let config = config(&[A, B], "", "");
    with(
        &config,
        &[(A, always(500)), (B, always(200))],
        async |stage| {
            calls(&stage, 40).await;
            assert!(is_ejected(&stage, A));
            stage.at(A).becomes(silent());
            pass(10).await;
            let mut caller = stage.caller().await;
            let trial = tokio::task::spawn_local(async move { caller.get("/r/x").await });
            pass(1).await;
            assert_eq!((stage.at(A).calls(), view(&stage, A).in_flight), (6, 1));
            assert_eq!(calls(&stage, 5).await, [200; 5], "others go on without it");
            trial.abort();
            pass(1).await;
            assert_eq!(view(&stage, A).in_flight, 0);
            stage.at(A).becomes(always(200));
            calls(&stage, 1).await;
            assert_eq!((stage.at(A).calls(), is_ejected(&stage, A)), (7, false));
        },
    );
}

#[test]
fn a_reload_of_the_list_keeps_what_survives() {
    let before = config(&[A, B], "", "");
    let origins = [(A, always(500)), (B, always(200)), (C, always(200))];
    with(&before, &origins, async |stage| {
        calls(&stage, 40).await;
        let upstream = stage.route("r").upstream.id();
        let (ejection, b) = (view(&stage, A).ejection, view(&stage, B));
        assert!(is_ejected(&stage, A));

        stage.reload(&config(&[C, A, B], "", ""));
        assert_eq!(stage.route("r").upstream.id(), upstream);
        assert_eq!((view(&stage, A).ejection, view(&stage, B)), (ejection, b));
        assert_eq!(calls(&stage, 40).await, [200; 40]);
        assert!(stage.at(C).calls() > 10);
        assert_eq!((stage.at(A).calls(), stage.at(B).connections()), (5, 1));

        // B goes, and its unused connection with it; of two that are left one may be out.
        stage.reload(&config(&[A, C], "", ""));
        let c = stage.at(C).calls();
        assert_eq!(calls(&stage, 5).await, [200; 5]);
        assert_eq!(stage.at(C).calls(), c + 5);
        pass(2).await;
        assert_eq!(stage.route("r").upstream.statistics().size, 1);
        assert!(is_ejected(&stage, A));

        // Alone it cannot be left alone.
        stage.reload(&config(&[A], "", ""));
        assert!(!is_ejected(&stage, A));
        assert_eq!(calls(&stage, 1).await, [500]);

        // Another setting makes another upstream.
        stage.reload(&config(&[A], "connect_timeout: 7s", ""));
        assert_ne!(stage.route("r").upstream.id(), upstream);
    });
}

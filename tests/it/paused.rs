//! The whole data path on a paused clock: the numbers of the original system, to the millisecond.

use std::time::Duration;

use sidefuse::resilience::State;
use sidefuse::time::{Deadline, now, sleep_until};

use crate::support::memory::{always, on_stage, silent};

const WHATSAPP: &str =
    "version: 1\nroutes: {whatsapp: {preset: whatsapp, upstream: http://origin}}\n";

async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

/// The clock moves by whole milliseconds, and a timer may fire one late.
fn is_about(took: Duration, seconds: u64) -> bool {
    let wanted = Duration::from_secs(seconds);
    took >= wanted && took <= wanted + Duration::from_millis(3)
}

#[test]
fn the_whatsapp_preset_times_out_after_15_s_opens_after_5_and_probes_after_60_s() {
    on_stage(WHATSAPP, silent(), async |stage| {
        for _ in 0..5 {
            let begin = now();
            let got = stage.get("/whatsapp/x").await;
            assert_eq!((got.status, got.reason.as_deref()), (504, Some("timeout")));
            assert!(is_about(got.at - begin, 15), "{:?}", got.at - begin);
        }
        let begin = now();
        let refused = stage.get("/whatsapp/x").await;
        assert_eq!(
            (refused.status, refused.reason.as_deref()),
            (503, Some("circuit_open"))
        );
        assert_eq!(refused.retry_after.as_deref(), Some("60"));
        assert_eq!(
            refused.at - begin,
            Duration::ZERO,
            "a refusal waits for nothing"
        );
        assert_eq!(stage.origin.calls(), 5);

        stage.origin.becomes(always(200));
        pass(59).await;
        assert_eq!(stage.get("/whatsapp/x").await.status, 503);
        pass(1).await;
        assert_eq!(stage.get("/whatsapp/x").await.status, 200);
        assert_eq!(
            stage
                .snapshot
                .route("whatsapp")
                .unwrap()
                .breaker
                .in_force(now())
                .0,
            State::HalfOpen
        );
        assert_eq!(stage.get("/whatsapp/x").await.status, 200);
        assert_eq!(
            stage
                .snapshot
                .route("whatsapp")
                .unwrap()
                .breaker
                .in_force(now())
                .0,
            State::Closed
        );
        assert_eq!(stage.lines().len(), 9, "one line per exchange");
    });
}

#[test]
fn a_connection_that_does_not_come_about_is_given_up_after_3_s_and_counts_as_a_failure() {
    on_stage(WHATSAPP, always(200), async |stage| {
        stage.origin.becomes_a_black_hole();
        let begin = now();
        let got = stage.get("/whatsapp/x").await;
        assert_eq!(
            (got.status, got.reason.as_deref()),
            (504, Some("connect_timeout"))
        );
        assert!(is_about(got.at - begin, 3), "{:?}", got.at - begin);
        let view = stage
            .snapshot
            .route("whatsapp")
            .unwrap()
            .breaker
            .view(now());
        assert_eq!((view.statistics.failures, view.statistics.timeouts), (1, 1));
    });
}

#[test]
fn calls_that_wait_for_the_same_http2_connection_fail_with_it_and_not_one_after_the_other() {
    let config = "version: 1\nroutes: {r: {upstream: {url: http://origin, http: 2}}}\n";
    on_stage(config, always(200), async |stage| {
        stage.origin.becomes_a_black_hole();
        let begin = now();
        let mut callers = Vec::new();
        for _ in 0..10 {
            let mut caller = stage.caller().await;
            callers.push(tokio::task::spawn_local(
                async move { caller.get("/r/x").await },
            ));
        }
        for caller in callers {
            let got = caller.await.unwrap();
            assert_eq!(got.reason.as_deref(), Some("connect_timeout"));
            assert!(is_about(got.at - begin, 3), "{:?}", got.at - begin);
        }
        let route = stage.snapshot.route("r").unwrap();
        assert_eq!(route.breaker.in_force(now()).0, State::Open);
    });
}

#[test]
fn an_unused_connection_is_closed_after_55_s_and_used_again_before() {
    on_stage(WHATSAPP, always(200), async |stage| {
        let route = stage.snapshot.route("whatsapp").unwrap();
        stage.get("/whatsapp/x").await;
        pass(50).await;
        stage.get("/whatsapp/x").await;
        assert_eq!(stage.origin.connections(), 1);
        assert_eq!(route.upstream.statistics().available, 1);
        pass(57).await;
        assert_eq!(route.upstream.statistics().size, 0);
        stage.get("/whatsapp/x").await;
        assert_eq!(stage.origin.connections(), 2);
    });
}

#[test]
fn the_database_pool_keeps_5_open_and_never_more_than_20() {
    let config = "version: 1\nroutes: {db: {preset: database, upstream: http://origin}}\n";
    on_stage(config, silent(), async |stage| {
        let route = stage.snapshot.route("db").unwrap();
        pass(2).await;
        let kept = route.upstream.statistics();
        assert_eq!((kept.size, kept.available, kept.using), (5, 5, 0));
        let mut callers = Vec::new();
        for _ in 0..25 {
            let mut caller = stage.caller().await;
            callers.push(tokio::task::spawn_local(async move {
                caller.get("/db/x").await
            }));
        }
        pass(1).await;
        let full = route.upstream.statistics();
        assert_eq!((full.size, full.using, full.waiting), (20, 20, 5));
        let mut reasons: Vec<String> = Vec::new();
        for caller in callers {
            reasons.extend(caller.await.unwrap().reason);
        }
        reasons.sort();
        let timeouts = reasons.iter().filter(|reason| *reason == "timeout").count();
        let overloaded = reasons
            .iter()
            .filter(|reason| *reason == "overloaded")
            .count();
        assert_eq!(
            (timeouts, overloaded),
            (20, 5),
            "our own queue blames nobody"
        );
    });
}

#[test]
fn connections_that_began_together_are_renewed_over_the_last_tenth_of_their_ten_minutes() {
    let config =
        "version: 1\nroutes: {r: {upstream: {url: http://origin, pool: {max: 200, min: 50}}}}\n";
    on_stage(config, always(200), async |stage| {
        pass(2).await;
        let opened = || stage.origin.connections();
        assert_eq!(opened(), 50);
        pass(536).await;
        assert_eq!(opened(), 50, "after nine minutes");
        pass(34).await;
        // About half of them; that fewer than ten or nearly all go by chance takes 10⁵ runs.
        assert!((60..=92).contains(&opened()), "{}", opened());
        pass(32).await;
        assert!((100..=105).contains(&opened()), "{}", opened());
        assert_eq!(stage.route("r").upstream.statistics().available, 50);
    });
}

#[test]
fn a_silent_caller_is_closed_after_10_s_and_an_idle_one_after_75_s() {
    on_stage(WHATSAPP, always(200), async |stage| {
        let silent = stage.caller().await;
        let mut idle = stage.caller().await;
        idle.get("/whatsapp/x").await;
        pass(9).await;
        assert!(!silent.is_closed());
        pass(2).await;
        assert!(silent.is_closed());
        pass(63).await;
        assert!(!idle.is_closed());
        pass(2).await;
        assert!(idle.is_closed());
    });
}

#[test]
fn a_probe_may_have_less_time_than_other_calls() {
    let config = "version: 1\nroutes: {slow: {upstream: http://origin, breaker: {failure_threshold: 1, probe_timeout: 2s, reset_timeout: 5s}}}\n";
    on_stage(config, always(500), async |stage| {
        assert_eq!(stage.get("/slow/x").await.status, 500);
        stage.origin.becomes(silent());
        pass(5).await;
        let begin = now();
        let probe = stage.get("/slow/x").await;
        assert_eq!(probe.reason.as_deref(), Some("timeout"));
        assert!(is_about(probe.at - begin, 2), "{:?}", probe.at - begin);
        assert_eq!(
            stage
                .snapshot
                .route("slow")
                .unwrap()
                .breaker
                .in_force(now())
                .0,
            State::Open
        );
    });
}

#[test]
fn an_opening_names_the_calls_that_led_to_it_by_their_ids_and_paths() {
    let config = "version: 1\nroutes: {crm: {upstream: http://origin/base, breaker: {failure_threshold: 2}}}\n";
    on_stage(config, always(503), async |stage| {
        for path in ["/crm/a/1?token=hush", "/crm"] {
            assert_eq!(stage.get(path).await.status, 503);
        }
        let view = stage.snapshot.route("crm").unwrap().breaker.view(now());
        let opened = view.because.unwrap();
        let calls: Vec<_> = opened
            .evidence
            .exemplars
            .iter()
            .filter_map(|exemplar| exemplar.call.clone())
            .collect();
        let told: Vec<_> = calls
            .iter()
            .map(|call| (&*call.method, &*call.path))
            .collect();
        assert_eq!(told, [("GET", "/a/1"), ("GET", "/")]);
        for (line, call) in stage.lines().iter().zip(&calls) {
            assert_eq!(line["correlationId"], *call.id);
        }
    });
}

#[test]
fn a_target_too_long_behind_its_base_path_is_refused_and_costs_the_breaker_no_probe() {
    let base = "b".repeat(100);
    let config = format!(
        "version: 1\nhttp: {{max_header_bytes: 128KiB}}\nroutes: {{r: {{upstream: http://origin/{base}, breaker: {{failure_threshold: 1, half_open_max: 1, reset_timeout: 5s}}}}}}\n"
    );
    let long = format!("/r/{}", "x".repeat(65_500));
    on_stage(&config, always(500), async |stage| {
        assert_eq!(
            stage.get(&long).await.reason.as_deref(),
            Some("bad_request")
        );
        assert_eq!(stage.get("/r/x").await.status, 500);
        // An open breaker refuses without a look at the target.
        assert_eq!(
            stage.get(&long).await.reason.as_deref(),
            Some("circuit_open")
        );
        pass(5).await;
        assert_eq!(
            stage.get(&long).await.reason.as_deref(),
            Some("bad_request")
        );
        stage.origin.becomes(always(200));
        assert_eq!(stage.get("/r/x").await.status, 200, "the probe");
        assert_eq!(stage.origin.calls(), 2);
    });
}

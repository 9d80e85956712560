//! A reload while calls are held back (rule 8).

use super::*;

fn config(breaker: &str, throttle: &str) -> String {
    format!(
        "version: 1\nroutes:\n  r:\n    upstream: http://origin\n    timeout: 60s\n    breaker: {{{breaker}}}\n    throttle: {{{throttle}}}\n"
    )
}

/// The samples of the stage, without their values.
fn series(metrics: &str) -> Vec<&str> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect()
}

/// The counters of ours that are not 0.
fn counters(metrics: &str) -> Vec<&str> {
    let samples = metrics.lines().filter(|line| line.starts_with("sidefuse_"));
    let counters = samples.filter(|line| line.contains("_total") && !line.ends_with(" 0"));
    counters.collect()
}

#[test]
fn rule_8_a_pause_goes_on_over_a_reload_and_so_do_those_who_wait() {
    let before = config("failure_threshold: 9", "wait: 30s, max_waiting: 3");
    on_stage(&before, busy_and_failing(), async |stage| {
        stage.get("/r/x").await;
        let begin = now();
        let waiting = [
            calling(&stage, Request::get("/r/x")).await,
            calling(&stage, Request::get("/r/x")).await,
        ];
        let metrics = stage.metrics();
        let (route, view) = (stage.route("r"), |stage: &Stage| {
            stage.route("r").limits.throttle.view(now())
        });
        let until = view(&stage).until;
        assert!(until.is_some());

        stage.reload(&config("failure_threshold: 8", "wait: 40s, max_waiting: 3"));
        assert!(!Arc::ptr_eq(&route, &stage.route("r")));
        assert_eq!((view(&stage).until, view(&stage).waiting), (until, 2));
        let after = stage.metrics();
        assert_eq!(series(&metrics), series(&after));
        assert_eq!(counters(&metrics), counters(&after));
        // Those of the old snapshot and of the new one stand in one line.
        let third = calling(&stage, Request::get("/r/x")).await;
        let full = stage.get("/r/x").await;
        assert_eq!(full.reason.as_deref(), Some("throttled"));

        stage.origin.becomes(always(200));
        for call in waiting.into_iter().chain([third]) {
            let said = call.await.unwrap();
            assert_eq!((said.status, seconds(said.at, begin)), (200, 20));
        }
        assert!(!view(&stage).is_throttled());
        assert_eq!(view(&stage).waiting, 0);
    });
}

#[test]
fn rule_8_a_reload_that_takes_the_throttle_away_lets_everybody_go() {
    on_stage(
        &config("", "wait: 30s"),
        busy_and_failing(),
        async |stage| {
            stage.get("/r/x").await;
            let waiting = calling(&stage, Request::get("/r/x")).await;
            stage.origin.becomes(always(200));
            let off = config("", "").replace("throttle: {}", "throttle: off");
            let begin = now();
            stage.reload(&off);
            let said = waiting.await.unwrap();
            assert_eq!((said.status, said.at), (200, begin));
        },
    );
}

#[test]
fn rule_8_who_was_let_out_to_try_decides_the_pause_over_a_reload() {
    on_stage(&config("", "wait: 0s"), busy_and_failing(), async |stage| {
        stage.get("/r/x").await;
        pass(20_000).await;
        stage.origin.becomes(silent());
        let tries = calling(&stage, Request::get("/r/x")).await;
        stage.reload(&config("failure_threshold: 8", "wait: 0s"));
        // Its slot is taken.
        assert_eq!(stage.get("/r/x").await.reason.as_deref(), Some("throttled"));
        // It is given up with its caller, and the next one tries.
        tries.abort();
        pass(1).await;
        stage.origin.becomes(always(200));
        assert_eq!(stage.get("/r/x").await.status, 200);
        assert!(!stage.route("r").limits.throttle.view(now()).is_throttled());
    });
}

#[test]
fn rule_8_a_ramp_goes_on_over_a_reload() {
    let ramping = "failure_threshold: 1, success_threshold: 1, reset_timeout: 10s, ramp: {from: 10%, over: 30s}";
    on_stage(&config(ramping, ""), always(500), async |stage| {
        stage.get("/r/x").await;
        stage.origin.becomes(always(200));
        pass(10_000).await;
        assert_eq!(stage.get("/r/x").await.status, 200, "the probe closes it");
        pass(10_000).await;
        let share = |stage: &Stage| stage.route("r").breaker.view(now()).ramp;
        let before = (share(&stage), stage.metrics());
        assert!(before.0.is_some());
        stage.reload(&config(
            &ramping.replace("threshold: 1,", "threshold: 2,"),
            "wait: 1s",
        ));
        let metrics = stage.metrics();
        assert_eq!(share(&stage), before.0);
        assert_eq!(counters(&before.1), counters(&metrics));
        let calls = stage.origin.calls();
        let mut refused = 0;
        for _ in 0..20 {
            refused += u64::from(stage.get("/r/x").await.reason.as_deref() == Some("ramping"));
        }
        assert_eq!(refused, 12, "a third of the time, 40 % of the calls");
        assert_eq!(stage.origin.calls() - calls, 8);
    });
}

//! Callers that bring their own deadlines.

use http::Request;
use sidefuse::resilience::State;
use sidefuse::time::now;
use tokio::io::AsyncWriteExt;

use super::{as_asked, counted, line, metric, pass};
use crate::support::memory::{Stage, on_stage};

fn config(breaker: &str, timeout: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: http://origin, timeout: {timeout}, breaker: {{failure_threshold: 3, {breaker}}}}}}}\n"
    )
}

/// A call whose caller waits for so long; the reason of the answer.
async fn ask(stage: &Stage, patience: &str) -> String {
    let request = Request::get("/r/never").header("x-request-timeout", patience);
    let said = stage.ask(request).await;
    said.header("x-sidefuse-reason").to_owned()
}

#[test]
fn callers_that_leave_just_before_us_do_not_hide_an_upstream_that_hangs() {
    on_stage(&config("", "1s"), as_asked(), async |stage| {
        for _ in 0..3 {
            assert_eq!(ask(&stage, "900ms").await, "caller_deadline");
        }
        let view = stage.route("r").breaker.view(now());
        assert_eq!(view.state(), State::Open);
        assert_eq!((view.statistics.failures, view.statistics.timeouts), (3, 3));
        let series = "sidefuse_attempt_failures_total{route=\"r\",reason=\"timeout\"}";
        assert_eq!(metric(&stage, series), 3);
        let line = line(&stage.lines(), "/r/never");
        assert_eq!(line["reason"], "caller_deadline");
        assert_eq!(line["outcome"], "failure");
    });
}

/// A caller that waits for at most `millis`, as its request says, and hangs up after `patience` of them.
async fn hang_up(stage: &Stage, millis: u64, patience: u64) {
    let mut caller = stage.pipe();
    let request = format!(
        "POST /r/never HTTP/1.1\r\nhost: stage\r\ngrpc-timeout: {millis}m\r\ncontent-length: 0\r\n\r\n"
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    pass(patience).await;
    drop(caller);
    pass(1).await;
}

#[test]
fn callers_that_hang_up_when_their_deadline_is_over_do_not_hide_it_either() {
    on_stage(&config("", "1s"), as_asked(), async |stage| {
        for patience in [899, 890, 885] {
            hang_up(&stage, 900, patience).await;
        }
        let view = stage.route("r").breaker.view(now());
        assert_eq!(view.state(), State::Open);
        assert_eq!((view.statistics.failures, view.statistics.timeouts), (3, 3));
        let series = "sidefuse_attempt_failures_total{route=\"r\",reason=\"timeout\"}";
        assert_eq!(metric(&stage, series), 3);
        let endpoint = &stage.route("r").upstream.endpoints().view()[0];
        assert_eq!((endpoint.consecutive_failures, endpoint.in_flight), (3, 0));
        let line = line(&stage.lines(), "/r/never");
        assert_eq!(line["reason"], "caller_deadline");
        assert_eq!(line["statusCode"], 504);
        assert_eq!(line["outcome"], "failure");
        assert_eq!(line["clientGone"], true);
        assert!(line["upstreamMs"].as_f64().unwrap() > 890.0, "{line}");
    });
}

#[test]
fn a_caller_that_hangs_up_long_before_its_deadline_says_nothing() {
    on_stage(&config("", "1s"), as_asked(), async |stage| {
        hang_up(&stage, 900, 870).await;
        assert_eq!(counted(&stage), (0, 1));
        let line = line(&stage.lines(), "/r/never");
        assert_eq!(
            (&line["reason"], &line["outcome"]),
            (&"client_gone".into(), &"ignored".into())
        );
        assert!(line["upstreamMs"].as_f64().unwrap() > 860.0, "{line}");
    });
}

#[test]
fn a_deadline_that_gives_too_little_proves_nothing_when_its_caller_hangs_up() {
    on_stage(&config("", "1s"), as_asked(), async |stage| {
        for _ in 0..9 {
            hang_up(&stage, 400, 399).await;
        }
        assert_eq!(counted(&stage), (0, 9));
        let endpoint = &stage.route("r").upstream.endpoints().view()[0];
        assert_eq!(endpoint.consecutive_failures, 0);
        let line = line(&stage.lines(), "/r/never");
        assert_eq!(
            (&line["reason"], &line["outcome"]),
            (&"caller_deadline".into(), &"ignored".into())
        );
    });
}

#[test]
fn a_caller_that_hangs_up_at_its_deadline_has_waited_long_enough_for_a_connection_or_has_not() {
    on_stage(&config("", "10s"), as_asked(), async |stage| {
        stage.origin.becomes_a_black_hole();
        hang_up(&stage, 1_400, 1_399).await;
        assert_eq!(counted(&stage), (0, 1));
        hang_up(&stage, 1_500, 1_499).await;
        assert_eq!(counted(&stage), (1, 1), "half of `connect_timeout`");
        let series = "sidefuse_attempt_failures_total{route=\"r\",reason=\"connect_timeout\"}";
        assert_eq!(metric(&stage, series), 1);
        for line in stage.lines() {
            assert_eq!(line["reason"], "caller_deadline");
        }
    });
}

#[test]
fn a_probe_whose_caller_hangs_up_at_its_deadline_has_failed() {
    let config = config("reset_timeout: 5s", "1s");
    on_stage(&config, as_asked(), async |stage| {
        for _ in 0..3 {
            ask(&stage, "900ms").await;
        }
        pass(5_000).await;
        hang_up(&stage, 900, 899).await;
        assert_eq!(stage.route("r").breaker.view(now()).state(), State::Open);
    });
}

#[test]
fn a_caller_that_gives_less_than_half_of_the_routes_time_proves_nothing() {
    on_stage(&config("", "1s"), as_asked(), async |stage| {
        for _ in 0..9 {
            assert_eq!(ask(&stage, "490ms").await, "caller_deadline");
        }
        assert_eq!(counted(&stage), (0, 9));
        ask(&stage, "500ms").await;
        assert_eq!(counted(&stage), (1, 9));
        assert_eq!(line(&stage.lines(), "/r/never")["outcome"], "ignored");
    });
}

#[test]
fn where_the_operator_says_what_is_slow_that_is_long_enough() {
    let config = config("slow_after: 300ms, slow_ratio: 90%", "10s");
    on_stage(&config, as_asked(), async |stage| {
        ask(&stage, "290ms").await;
        assert_eq!(counted(&stage), (0, 1));
        ask(&stage, "310ms").await;
        assert_eq!(counted(&stage), (1, 1));
    });
}

#[test]
fn a_caller_in_a_hurry_ejects_no_endpoint_of_a_slow_network() {
    on_stage(&config("", "10s"), as_asked(), async |stage| {
        stage.origin.becomes_a_black_hole();
        for _ in 0..9 {
            assert_eq!(ask(&stage, "100ms").await, "caller_deadline");
        }
        let endpoint = &stage.route("r").upstream.endpoints().view()[0];
        assert_eq!(endpoint.consecutive_failures, 0);
        assert_eq!(counted(&stage), (0, 9));
    });
}

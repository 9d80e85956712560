//! Callers that bring their own deadlines.

use http::Request;
use sidefuse::resilience::State;
use sidefuse::time::now;

use super::{as_asked, counted, line, metric};
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

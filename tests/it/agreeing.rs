//! Whoever asks about a breaker, and however, is told the same.

use std::time::Duration;

use sidefuse::resilience::{ForceRequest, Order, RefusalKind, State};
use sidefuse::time::{Deadline, now, sleep_until};

use crate::support::memory::{always, on_stage};

const CONFIG: &str = "\
version: 1
routes:
  r:
    upstream: http://origin
    breaker: {failure_threshold: 2, success_threshold: 2, reset_timeout: 7s, ramp: {from: 20%, over: 9s}}
";

/// What a call met, in the words of the access line: the answer's status and reason, the breaker's state.
type Met = (u16, Option<String>, &'static str);

const fn word(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::CircuitOpen => "circuit_open",
        RefusalKind::HalfOpenFull => "half_open_full",
        RefusalKind::Ramping => "ramping",
        RefusalKind::ForcedOpen => "forced_open",
    }
}

#[test]
fn rule_6_answer_line_and_view_agree_at_every_instant_held_or_not() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut met: Vec<Met> = Vec::new();
        for _ in 0..3_000 {
            let route = stage.route("r");
            let breaker = &route.breaker;
            sleep_until(Deadline::after(
                now(),
                Duration::from_millis(fastrand::u64(1..900)),
            ))
            .await;
            stage
                .origin
                .becomes(always(if fastrand::u8(..3) == 0 { 200 } else { 500 }));
            if fastrand::u8(..12) == 0 {
                let until = (fastrand::bool()).then(|| now() + Duration::from_millis(2_500));
                let orders = [
                    Order::Open { until },
                    Order::HoldClosed { until },
                    Order::Auto,
                    Order::Close,
                ];
                let request = ForceRequest {
                    order: orders[fastrand::usize(..orders.len())],
                    by: "test".to_owned(),
                    reason: None,
                };
                breaker.force(request, now());
            }
            let view = breaker.view(now());
            assert_eq!(breaker.in_force(now()), (view.state(), view.mode()));
            let refused = view.rejects.map(|kind| word(kind).to_owned());
            let got = stage.get("/r/x").await;
            assert_eq!(got.reason, refused);
            let seconds = got.retry_after.map(|seconds| seconds.parse().unwrap());
            if refused.is_some() {
                let until = view.hold.as_ref().and_then(|hold| hold.until);
                let full_at = view.ramp.map(|ramp| ramp.full_at);
                let again = match view.state() {
                    State::Closed => full_at,
                    State::Open | State::HalfOpen => view.next_probe_at.or(until),
                };
                let wait = again.map(|at| (at - now()).as_secs_f64().ceil().max(1.0) as u64);
                assert_eq!(seconds, wait, "{:?}: {:?}", view.standing, view.rejects);
            }
            met.push((got.status, refused, view.state().label()));
        }
        let lines = stage.lines();
        assert_eq!(lines.len(), met.len());
        for (line, (status, reason, state)) in lines.iter().zip(&met) {
            assert_eq!(line["statusCode"], *status, "{line}");
            assert_eq!(line["reason"].as_str(), reason.as_deref(), "{line}");
            let told = reason.is_some().then_some(*state);
            assert_eq!(line["breakerState"].as_str(), told, "{line}");
        }
        for reason in ["circuit_open", "forced_open", "ramping"] {
            let of_it = met.iter().filter(|met| met.1.as_deref() == Some(reason));
            assert!(of_it.count() > 10, "hardly any {reason}");
        }
    });
}

//! Fixed answers.

use std::time::Duration;

use http::Request;

use super::{answering, down, one_route, pass};
use crate::support::memory::{always, on_stage, silent};

const QUEUED: &str = "{respond: {status: 202, headers: {X-Id: \"%{correlationId}\"}, json: {queued: false, route: \"%{route}\", again: \"%{retryAfter}\"}}}";

#[test]
fn an_open_breaker_gives_the_fixed_answer_filled_in_and_says_that_it_is_one() {
    on_stage(&one_route(QUEUED), down(), async |stage| {
        assert_eq!(
            stage.get("/r/x").await.status,
            500,
            "a failure is not replaced"
        );
        let said = stage
            .ask(Request::post("/r/x").header("x-correlation-id", "id-7"))
            .await;
        assert_eq!(said.status, 202);
        assert_eq!(said.text(), r#"{"queued":false,"route":"r","again":60}"#);
        for (name, value) in [
            ("x-sidefuse-fallback", "respond"),
            ("x-sidefuse-reason", "circuit_open"),
            ("x-correlation-id", "id-7"),
            ("x-id", "id-7"),
            ("content-type", "application/json"),
            ("content-length", "39"),
            ("cache-control", "no-store"),
            ("retry-after", ""),
            (
                "proxy-status",
                "sidefuse; error=destination_unavailable; details=\"breaker r open\"",
            ),
        ] {
            assert_eq!(said.header(name), value, "{name}");
        }
        let route = stage.snapshot.route("r").unwrap();
        let counted = route.breaker.view(sidefuse::time::now()).statistics;
        assert_eq!((counted.failures, counted.rejected), (1, 1));
        assert_eq!(stage.origin.calls(), 1);
        let metrics = stage.metrics();
        assert!(metrics.contains("sidefuse_fallbacks_total{route=\"r\",kind=\"respond\"} 1"));
        let lines = stage.lines();
        let line = &lines[1];
        assert_eq!(
            (&line["fallback"], &line["reason"], &line["statusCode"]),
            (&"respond".into(), &"circuit_open".into(), &202.into())
        );
        assert_eq!(
            (&line["level"], &line["outcome"], &line["attempts"]),
            (&"warn".into(), &"ignored".into(), &0.into())
        );
        assert_eq!(line["breakerState"], "open");
    });
}

#[test]
fn without_a_status_of_its_own_it_has_the_refusals_with_the_time_to_come_back() {
    on_stage(
        &one_route("{respond: {body: \"again in %{retryAfter} s\"}}"),
        down(),
        async |stage| {
            stage.get("/r/x").await;
            pass(Duration::from_millis(17_500)).await;
            let said = stage.ask(Request::get("/r/x")).await;
            assert_eq!((said.status, said.text()), (503, "again in 43 s"));
            assert_eq!(said.header("retry-after"), "43");
            assert_eq!(said.header("content-type"), "text/plain; charset=utf-8");
        },
    );
}

#[test]
fn a_head_gets_the_length_alone_and_a_204_not_even_that() {
    on_stage(
        &one_route("{respond: {status: 200, body: hello}}"),
        down(),
        async |stage| {
            stage.get("/r/x").await;
            let said = stage.ask(Request::head("/r/x")).await;
            assert_eq!((said.status, said.text()), (200, ""));
            assert_eq!(said.header("content-length"), "5");
        },
    );
    on_stage(
        &one_route("{respond: {status: 204}}"),
        down(),
        async |stage| {
            stage.get("/r/x").await;
            for request in [Request::head("/r/x"), Request::get("/r/x")] {
                let said = stage.ask(request).await;
                assert_eq!((said.status, said.text()), (204, ""));
                assert_eq!(said.header("content-length"), "");
            }
        },
    );
}

#[test]
fn a_failed_call_is_answered_instead_only_where_the_operator_says_so() {
    let config =
        one_route("{respond: {status: 200, body: \"%{retryAfter}instead\"}, on_failure: true}");
    on_stage(&config, always(503), async |stage| {
        let said = stage.ask(Request::get("/r/x")).await;
        assert_eq!((said.status, said.text()), (200, "instead"));
        assert_eq!(said.header("x-sidefuse-fallback"), "respond");
        assert_eq!(said.header("x-sidefuse-reason"), "");
        assert_eq!(said.header("proxy-status"), "sidefuse; received-status=503");
        let route = stage.snapshot.route("r").unwrap();
        let counted = route.breaker.view(sidefuse::time::now()).statistics;
        assert_eq!(counted.failures, 1, "the upstream failed all the same");
        let lines = stage.lines();
        assert_eq!(lines[0]["outcome"], "failure");
        assert_eq!(lines[0]["level"], "warn");
        assert_eq!(lines[0]["attempts"], 1);
        assert!(lines[0].get("reason").is_none());
    });
    on_stage(&config, silent(), async |stage| {
        let said = stage.ask(Request::get("/r/x")).await;
        assert_eq!((said.status, said.text()), (200, "instead"));
        assert_eq!(said.header("x-sidefuse-reason"), "timeout");
        let lines = stage.lines();
        assert_eq!(
            (&lines[0]["reason"], &lines[0]["outcome"]),
            (&"timeout".into(), &"failure".into())
        );
    });
}

#[test]
fn an_answer_of_the_upstreams_that_is_no_failure_is_never_replaced() {
    let config = one_route("{respond: {status: 200}, on_failure: true}");
    let script = answering(|request| {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        http::Response::builder()
            .status(status)
            .body("theirs".to_owned())
            .unwrap()
    });
    on_stage(&config, script, async |stage| {
        for status in [200, 302, 404, 501] {
            let said = stage.ask(Request::get(format!("/r/{status}"))).await;
            assert_eq!((said.status, said.text()), (status, "theirs"));
        }
    });
}

#[test]
fn the_connection_behind_a_replaced_answer_carries_no_other_call() {
    let config = one_route("{respond: {status: 200}, on_failure: true}")
        .replace("threshold: 1", "threshold: 9");
    on_stage(&config, always(503), async |stage| {
        for _ in 0..3 {
            assert_eq!(stage.get("/r/x").await.status, 200);
        }
        assert_eq!((stage.origin.calls(), stage.origin.connections()), (3, 3));
        let route = stage.snapshot.route("r").unwrap();
        assert_eq!(route.upstream.statistics().using, 0);
    });
}

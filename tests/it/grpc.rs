//! gRPC over the whole data path: what came of a call stands in trailers.

use std::time::Duration;

use http::Request;
use serde_json::Value;
use sidefuse::resilience::{Label, State};
use sidefuse::time::{Deadline, now, sleep_until};

use crate::classify::{judged, state, touchy};
use crate::support::http2::roomy_caller;
use crate::support::memory::{always, on_stage, silent};
use crate::support::raw::{Speech, at_once};

fn grpc(head: &str, trailers: &str) -> Speech {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status{head}"
    );
    at_once(
        &[&head],
        format!("5\r\n\0\0\0\0\0\r\n0\r\n{trailers}\r\n").as_bytes(),
    )
}

#[test]
fn grpc_is_judged_by_its_status_in_trailers_or_headers_case_72() {
    for (speech, outcome, label) in [
        (grpc("", "grpc-status: 0\r\n"), "success", None),
        (
            grpc("", "grpc-status: 14\r\n"),
            "failure",
            Some("grpc_unavailable"),
        ),
        (grpc("", "grpc-status: 5\r\n"), "alive", None),
        (grpc("", "grpc-status: 8\r\n"), "throttled", None),
        (grpc("", ""), "failure", Some("grpc_no_status")),
        (
            grpc("\r\ngrpc-status: 13", ""),
            "failure",
            Some("grpc_internal"),
        ),
    ] {
        on_stage(&touchy(""), silent(), async |stage| {
            stage.origin.says(speech);
            let request = Request::get("/r/x").header("te", "trailers");
            assert_eq!(stage.ask(request).await.status, 200);
            let view = stage.route("r").breaker.view(now());
            let told = view.last_failure.as_ref().and_then(|failure| failure.label);
            assert_eq!(told, label.map(Label::Named));
            assert_eq!(state(&stage, "r") == State::Open, outcome == "failure");
            assert_eq!(judged(&stage).0, outcome);
        });
    }
}

#[test]
fn the_line_of_a_grpc_call_has_the_status_that_its_caller_got() {
    for (speech, status) in [
        (grpc("", "grpc-status: 14\r\n"), Value::from(14)),
        (grpc("\r\ngrpc-status: 5", ""), 5.into()),
        (grpc("", "grpc-status: none\r\n"), Value::Null),
        (grpc("", ""), Value::Null),
    ] {
        on_stage(&touchy(""), silent(), async |stage| {
            stage.origin.says(speech);
            let request = Request::post("/r/x")
                .header("te", "trailers")
                .header("content-type", "application/grpc");
            stage.ask(request).await;
            assert_eq!(stage.lines()[0]["grpcStatus"], status);
        });
    }
}

#[test]
fn a_probe_that_says_at_its_end_that_it_failed_closes_nothing() {
    let config = touchy("").replace(
        "failure_threshold: 1",
        "failure_threshold: 1, reset_timeout: 5s, success_threshold: 1",
    );
    let broken = at_once(
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked"],
        b"5\r\nhello\r\n5\r\nhe",
    );
    let speeches = [
        (grpc("", "grpc-status: 14\r\n"), State::Open),
        (broken, State::Open),
        (grpc("", "grpc-status: 0\r\n"), State::Closed),
    ];
    for (speech, after) in speeches {
        on_stage(&config, always(500), async |stage| {
            stage.get("/r/x").await;
            stage.origin.says(speech);
            // The connection of the first call speaks the script still.
            sleep_until(Deadline::after(now(), Duration::from_secs(60))).await;
            assert_eq!(state(&stage, "r"), State::HalfOpen);
            let _ = stage.caller().await.try_get("/r/x").await;
            assert_eq!(state(&stage, "r"), after);
        });
    }
}

#[test]
fn a_grpc_stream_holds_no_probe() {
    let config = touchy("").replace(
        "failure_threshold: 1",
        "failure_threshold: 1, reset_timeout: 5s, success_threshold: 1",
    );
    on_stage(&config, always(500), async |stage| {
        stage.get("/r/x").await;
        sleep_until(Deadline::after(now(), Duration::from_secs(6))).await;
        let mut speech = grpc("", "grpc-status: 0\r\n");
        let whole = speech.remove(0).1;
        let head_ends = whole
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap()
            + 4;
        stage.origin.says(vec![
            (Duration::ZERO, whole[..head_ends].to_vec()),
            (Duration::from_secs(20), whole[head_ends..].to_vec()),
        ]);
        // The connection of the first call speaks the script still.
        sleep_until(Deadline::after(now(), Duration::from_secs(60))).await;
        let mut caller = stage.caller().await;
        let probe = tokio::task::spawn_local(async move { caller.get("/r/x").await });
        sleep_until(Deadline::after(now(), Duration::from_secs(5))).await;
        assert_eq!(
            state(&stage, "r"),
            State::Closed,
            "its verdict was at the headers"
        );
        assert_eq!(probe.await.unwrap().status, 200);
    });
}

#[test]
fn what_we_answer_a_grpc_call_is_a_status_of_grpcs() {
    let config = "version: 1\nroutes:\n  r:\n    upstream: http://origin\n    timeout: 2s\n    breaker: {failure_threshold: 1}\n    \
        refusals: graph\n";
    on_stage(config, silent(), async |stage| {
        let call = |path: &'static str, patience: &'static str| {
            let request = Request::post(path).header("content-type", "application/grpc");
            request.header("grpc-timeout", patience)
        };
        for (path, patience, reason, http, status) in [
            ("/none/x", "1H", "no_route", 404, "12"),
            ("/r/x", "100m", "caller_deadline", 504, "4"),
            ("/r/x", "1H", "timeout", 504, "4"),
            ("/r/x", "1H", "circuit_open", 503, "14"),
        ] {
            let said = stage.ask(call(path, patience)).await;
            assert_eq!(said.header("x-sidefuse-reason"), reason);
            assert_eq!((said.status, said.body.len()), (http, 0), "{reason}");
            assert_eq!(said.header("content-type"), "application/grpc");
            assert_eq!(said.header("grpc-status"), status, "{reason}");
            assert!(!said.header("grpc-message").is_empty(), "{reason}");
            assert!(!said.header("x-correlation-id").is_empty(), "{reason}");
        }
        let lines = stage.lines();
        let told = lines.iter().map(|line| line["grpcStatus"].as_u64());
        assert!(told.eq([12, 4, 4, 14].map(Some)), "{lines:?}");
    });
}

#[test]
fn a_grpc_stream_that_breaks_off_says_so_in_trailers() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked";
    let broken = at_once(&[head], b"5\r\n\0\0\0\0\0\r\n5\r\n\0\0");
    let mut silent = at_once(&[head], b"5\r\n\0\0\0\0\0\r\n");
    silent.push((Duration::from_secs(60), Vec::new()));
    for (speech, reason, status) in [(broken, "truncated", "14"), (silent, "idle_timeout", "4")] {
        let config = "version: 1\nroutes: {r: {upstream: http://origin, idle_timeout: 5s}}\n";
        on_stage(config, always(200), async |stage| {
            stage.origin.says(speech);
            let mut sender = roomy_caller(&stage).await;
            let call = Request::post("http://stage/r/x").header("te", "trailers");
            let (answer, _) = sender.send_request(call.body(()).unwrap(), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            while let Some(data) = body.data().await {
                data.unwrap();
            }
            let trailers = body.trailers().await.unwrap().unwrap();
            assert_eq!(trailers["grpc-status"], status, "{reason}");
            let message = trailers["grpc-message"].to_str().unwrap();
            assert!(message.contains(reason), "{message}");
            let line = &stage.lines()[0];
            assert_eq!(
                (&line["reason"], &line["bytesOut"]),
                (
                    &reason.into(),
                    &if reason == "truncated" { 7 } else { 5 }.into()
                )
            );
        });
    }
}

#[test]
fn a_silent_grpc_stream_opens_no_breaker_unless_a_rule_says_so() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked";
    let rule = "    classify: [{error: idle_timeout, as: failure}]\n";
    for (rule, outcome) in [("", "ignored"), (rule, "failure")] {
        let config = touchy(&format!("    idle_timeout: 5s\n{rule}"));
        on_stage(&config, always(200), async |stage| {
            let mut silent = at_once(&[head], b"5\r\n\0\0\0\0\0\r\n");
            silent.push((Duration::from_secs(60), Vec::new()));
            stage.origin.says(silent);
            let _ = stage.caller().await.try_get("/r/x").await;
            assert_eq!(judged(&stage).0, outcome);
            assert_eq!(state(&stage, "r") == State::Open, outcome == "failure");
            assert_eq!(stage.lines()[0]["reason"], "idle_timeout");
        });
    }
}

#[test]
fn a_deadline_that_gave_the_upstream_too_little_is_not_its_failure_when_it_says_so_either() {
    for (patience, outcome) in [("100m", "ignored"), ("900m", "failure"), ("1H", "failure")] {
        for speech in [
            grpc("", "grpc-status: 4\r\n"),
            grpc("\r\ngrpc-status: 4", ""),
        ] {
            on_stage(&touchy("    timeout: 1s\n"), silent(), async |stage| {
                stage.origin.says(speech);
                let request = Request::get("/r/x").header("grpc-timeout", patience);
                stage.ask(request).await;
                assert_eq!(judged(&stage).0, outcome, "{patience}");
                assert_eq!(state(&stage, "r") == State::Open, outcome == "failure");
            });
        }
    }
}

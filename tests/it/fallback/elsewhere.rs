//! The same call on another route.

use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use sidefuse::resilience::{ForceRequest, Order};
use sidefuse::time::now;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::spawn_local;

use super::{answering, down};
use crate::support::memory::{Speech, always, on_stage_with, silent};
use crate::support::raw;
use crate::support::recorder::{Recorder, Turn};

/// Two routes of which the first falls back to the second.
fn config(first: &str, second: &str) -> String {
    format!(
        "version: 1\ndefaults: {{timeout: 5s, breaker: {{failure_threshold: 1, reset_timeout: 60s}}}}\nroutes:\n  first: {{upstream: http://first/v1, fallback: {first}}}\n  second: {{upstream: http://second/api, fallback: {second}}}\n"
    )
}

/// An origin that answers with the target and the body's length that it was asked with.
fn telling() -> crate::support::memory::Script {
    answering(|request| {
        let length = request.headers().get("content-length");
        let length = length.map_or("0", |length| length.to_str().unwrap());
        http::Response::new(format!("{} {length}", request.uri()))
    })
}

fn closed() -> ForceRequest {
    ForceRequest {
        order: Order::Close,
        by: "test".to_owned(),
        reason: None,
    }
}

#[test]
fn the_call_goes_on_to_the_other_route_behind_its_base_path() {
    on_stage_with(
        &config("{route: second}", "off"),
        down(),
        &[("second:80", telling())],
        async |stage| {
            let second = stage.at("second:80");
            stage.get("/first/x").await;
            let mut caller = stage.caller().await;
            let said = caller.ask(Request::post("/first/a/b?c=d"), "hello").await;
            assert_eq!((said.status, said.text()), (200, "/api/a/b?c=d 5"));
            assert_eq!(said.header("x-sidefuse-fallback"), "route");
            // In the caller's own words, too: the base path of the first is not the second's.
            let said = stage.ask(Request::get("http://first/v1/a")).await;
            assert_eq!((said.status, said.text()), (200, "/api/a 0"));
            assert_eq!(second.calls(), 2);
            let metrics = stage.metrics();
            assert!(metrics.contains("sidefuse_fallbacks_total{route=\"first\",kind=\"route\"} 2"));
            assert!(metrics.contains("sidefuse_in_flight_requests{route=\"second\"} 0"));
            let lines = stage.lines();
            let line = &lines[1];
            assert_eq!(
                (&line["route"], &line["fallback"], &line["upstream"]),
                (&"first".into(), &"route".into(), &"second:80".into())
            );
            assert_eq!(
                (&line["reason"], &line["outcome"], &line["statusCode"]),
                (&"circuit_open".into(), &"success".into(), &200.into())
            );
        },
    );
}

#[test]
fn the_other_routes_own_policies_hold_and_its_failure_gives_the_first_refusal() {
    on_stage_with(
        &config("{route: second}", "off"),
        down(),
        &[("second:80", down())],
        async |stage| {
            let second = stage.at("second:80");
            stage.get("/first/x").await;
            // An answer is an answer, even a bad one: what it means is for the other route to say.
            assert_eq!(stage.get("/first/x").await.status, 500);
            let refused = stage.get("/first/x").await;
            assert_eq!(
                (refused.status, refused.reason.as_deref()),
                (503, Some("circuit_open"))
            );
            assert_eq!(second.calls(), 1, "the second's breaker is open, too");
            let metrics = stage.metrics();
            let rejected = "sidefuse_rejected_total{route=\"second\",reason=\"circuit_open\"} 1";
            assert!(metrics.contains(rejected));
            let line = &stage.lines()[2];
            assert_eq!(
                (&line["route"], line.get("fallback")),
                (&"first".into(), None)
            );
        },
    );
}

#[test]
fn a_chain_ends_with_the_last_ones_fallback() {
    let config = config(
        "{route: second}",
        "{respond: {status: 200, body: last}, on_failure: true}",
    );
    on_stage_with(&config, down(), &[("second:80", silent())], async |stage| {
        stage.get("/first/x").await;
        let said = stage.ask(Request::get("/first/x")).await;
        assert_eq!((said.status, said.text()), (200, "last"));
        assert_eq!(said.header("x-sidefuse-fallback"), "respond");
        assert_eq!(said.header("x-sidefuse-reason"), "timeout");
        let metrics = stage.metrics();
        assert!(metrics.contains("sidefuse_fallbacks_total{route=\"first\",kind=\"route\"} 1"));
        assert!(metrics.contains("sidefuse_fallbacks_total{route=\"second\",kind=\"respond\"} 1"));
        assert!(
            metrics
                .contains("sidefuse_attempt_failures_total{route=\"second\",reason=\"timeout\"} 1")
        );
        assert!(
            metrics
                .contains("sidefuse_attempt_failures_total{route=\"first\",reason=\"timeout\"} 0")
        );
    });
}

#[test]
fn after_a_failed_call_it_goes_on_only_while_it_is_whole() {
    let config = config("{route: second, on_failure: true}", "off");
    on_stage_with(
        &config,
        down(),
        &[("second:80", telling())],
        async |stage| {
            let second = stage.at("second:80");
            let said = stage
                .ask(Request::get("/first/a").header("x-mine", "1"))
                .await;
            assert_eq!((said.status, said.text()), (200, "/api/a 0"));
            assert_eq!(second.calls(), 1);
        },
    );
    on_stage_with(
        &config,
        down(),
        &[("second:80", telling())],
        async |stage| {
            let mut caller = stage.caller().await;
            let said = caller.ask(Request::post("/first/a"), "hello").await;
            assert_eq!((said.status, said.text()), (200, "/api/a 5"));
            // More than is kept goes up once.
            let long = vec![b'x'; 100_000];
            stage.route("first").breaker.force(closed(), now());
            let said = caller.ask(Request::post("/first/a"), long).await;
            assert_eq!(said.status, 500);
            assert_eq!(stage.at("second:80").calls(), 1);
        },
    );
    // Refused before a byte of it went up: connecting takes for ever.
    on_stage_with(
        &config,
        always(200),
        &[("second:80", telling())],
        async |stage| {
            let second = stage.at("second:80");
            stage.origin.becomes_a_black_hole();
            let mut caller = stage.caller().await;
            let said = caller.ask(Request::post("/first/a"), "hello").await;
            assert_eq!((said.status, said.text()), (200, "/api/a 5"));
            assert_eq!(second.calls(), 1);
        },
    );
}

/// The head of a call whose body has ten bytes.
const HEAD: &str = "POST /first/a HTTP/1.1\r\nhost: stage\r\ncontent-length: 10\r\n\r\n";

async fn read_until(stream: &mut DuplexStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(stream.read_u8().await.unwrap().into());
    }
    text
}

/// An origin that begins its answer at the head of a call, and gives each byte back as it comes.
fn giving_back() -> Speech {
    Arc::new(|mut stream| {
        Box::pin(async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let head = b"HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\n";
            let _ = stream.write_all(head).await;
            while let Ok(byte) = stream.read_u8().await {
                let _ = stream.write_u8(byte).await;
            }
        })
    })
}

#[test]
fn an_alternate_that_answers_before_its_upload_is_complete_gets_all_of_it() {
    let early = raw::at_once(&["HTTP/1.1 503 X", "content-length: 0"], b"");
    for retry in ["", "retry: {attempts: 2, retry_on: [connect]}, "] {
        let config = config("{route: second, on_failure: true}", "off")
            .replace("timeout: 5s, ", &format!("timeout: 5s, {retry}"));
        let first: &[_] = &[("first:80", always(200))];
        on_stage_with(&config, always(200), first, async |stage| {
            stage.at("first:80").says(early.clone());
            stage.origin.speaks(giving_back());
            let mut caller = stage.pipe();
            caller.write_all(HEAD.as_bytes()).await.unwrap();
            let head = read_until(&mut caller, "\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            for part in ["hello", "world"] {
                caller.write_all(part.as_bytes()).await.unwrap();
                assert_eq!(read_until(&mut caller, part).await, part);
            }
            let line = &stage.lines()[0];
            assert_eq!(
                (&line["bytesIn"], &line["bytesOut"], &line["attempts"]),
                (&10.into(), &10.into(), &2.into())
            );
            assert_eq!(line["fallback"], "route");
        });
    }
}

#[test]
fn an_alternate_that_takes_the_upload_and_fails_leaves_the_first_answer_whole() {
    let early = raw::at_once(&["HTTP/1.1 503 X", "content-length: 4"], b"down");
    let config = config("{route: second, on_failure: true}", "off");
    on_stage_with(
        &config,
        always(200),
        &[("first:80", always(200))],
        async |stage| {
            stage.at("first:80").says(early.clone());
            Recorder::on(&stage, |_, _| Turn::Early("garbage".to_owned()));
            let mut caller = stage.pipe();
            caller.write_all(HEAD.as_bytes()).await.unwrap();
            let answer = read_until(&mut caller, "down").await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        },
    );
}

#[test]
fn an_answer_that_the_other_route_shares_is_marked_as_well() {
    let config = config("{route: second}", "{stale: {coalesce: true}}");
    on_stage_with(
        &config,
        down(),
        &[("second:80", telling())],
        async |stage| {
            stage.get("/first/x").await;
            let calls: Vec<_> = (0..3)
                .map(|_| {
                    let stage = Rc::clone(&stage);
                    spawn_local(async move { stage.ask(Request::get("/first/x")).await })
                })
                .collect();
            for call in calls {
                let said = call.await.unwrap();
                assert_eq!((said.status, said.text()), (200, "/api/x 0"));
                assert_eq!(said.header("x-sidefuse-fallback"), "route");
            }
            let lines = stage.lines();
            let shared = lines.iter().filter(|line| line["coalesced"] == true);
            assert!(shared.clone().all(|line| line["fallback"] == "route"));
            assert!(shared.count() > 0);
        },
    );
}

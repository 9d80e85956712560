//! The last good answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{answering, down, echoing, one_route, pass};
use crate::support::memory::{always, on_stage, silent};

const STALE: &str = "{stale: {max_age: 1h}}";

#[test]
fn an_open_breaker_gives_the_last_good_answer_with_its_age() {
    let count = AtomicUsize::new(0);
    let script = answering(move |_| {
        let body = format!("answer {}", count.fetch_add(1, Ordering::Relaxed));
        Response::builder()
            .header("x-theirs", "kept")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .body(body)
            .unwrap()
    });
    on_stage(&one_route(STALE), script, async |stage| {
        stage.get("/r/a").await;
        assert_eq!(stage.ask(Request::get("/r/a")).await.text(), "answer 1");
        stage.origin.becomes(down());
        stage.get("/r/b").await;
        pass(Duration::from_secs(42)).await;
        let request = Request::get("/r/a").header("x-correlation-id", "mine");
        let said = stage.ask(request).await;
        assert_eq!((said.status, said.text()), (200, "answer 1"));
        for (name, value) in [
            ("age", "42"),
            ("warning", "110 - \"Response is Stale\""),
            ("x-sidefuse-fallback", "stale"),
            ("x-sidefuse-reason", "circuit_open"),
            ("x-correlation-id", "mine"),
            ("x-theirs", "kept"),
            ("x-hop", ""),
            ("content-length", "8"),
            ("via", "1.1 sidefuse"),
        ] {
            assert_eq!(said.header(name), value, "{name}");
        }
        let missing = stage.ask(Request::get("/r/never-asked")).await;
        assert_eq!(
            (missing.status, missing.header("x-sidefuse-fallback")),
            (503, "")
        );
        let metrics = stage.metrics();
        assert!(metrics.contains("sidefuse_fallbacks_total{route=\"r\",kind=\"stale\"} 1"));
        let lines = stage.lines();
        assert_eq!(
            (
                &lines[3]["fallback"],
                &lines[3]["statusCode"],
                &lines[3]["bytesOut"]
            ),
            (&"stale".into(), &200.into(), &8.into())
        );
        assert_eq!(lines[4].get("fallback"), None);
    });
}

#[test]
fn an_answer_older_than_max_age_is_none() {
    on_stage(
        &one_route("{stale: {max_age: 30s}}"),
        always(200),
        async |stage| {
            stage.get("/r/a").await;
            stage.origin.becomes(down());
            stage.get("/r/b").await;
            pass(Duration::from_secs(30)).await;
            assert_eq!(stage.get("/r/a").await.status, 200);
            pass(Duration::from_secs(1)).await;
            assert_eq!(stage.get("/r/a").await.status, 503);
        },
    );
}

#[test]
fn a_head_is_answered_from_a_get_and_a_tag_that_the_caller_has_with_304() {
    let script = echoing("x-body", &[("etag", "\"v1\"")]);
    let config = one_route("{stale: {neutral: [X-Body]}}");
    on_stage(&config, script, async |stage| {
        stage
            .ask(Request::get("/r/a").header("x-body", "hello"))
            .await;
        stage.origin.becomes(down());
        stage.get("/r/b").await;
        let head = stage.ask(Request::head("/r/a")).await;
        assert_eq!((head.status, head.header("content-length")), (200, "5"));
        let known = Request::get("/r/a").header("if-none-match", "W/\"v1\"");
        let known = stage.ask(known).await;
        assert_eq!((known.status, known.text()), (304, ""));
        assert_eq!(known.header("etag"), "\"v1\"");
        let other = Request::get("/r/a").header("if-none-match", "\"v2\"");
        assert_eq!(stage.ask(other).await.text(), "hello");
        let part = Request::get("/r/a").header("range", "bytes=0-1");
        assert_eq!(stage.ask(part).await.status, 503);
        let fresh = Request::get("/r/a").header("cache-control", "no-cache");
        assert_eq!(stage.ask(fresh).await.status, 503);
        assert_eq!(stage.ask(Request::post("/r/a")).await.status, 503);
    });
}

#[test]
fn what_the_upstream_forbids_is_not_kept() {
    for (fields, kept) in [
        (&[("cache-control", "no-store")][..], false),
        (&[("cache-control", "private")], false),
        (&[("set-cookie", "a=b")], false),
        (&[("vary", "*")], false),
        (&[("cache-control", "max-age=0")], true),
    ] {
        let script = answering(move |_| {
            let builder = Response::builder();
            let builder = fields.iter().fold(builder, |b, (n, v)| b.header(*n, *v));
            builder.body("x".to_owned()).unwrap()
        });
        on_stage(&one_route(STALE), script, async move |stage| {
            stage.get("/r/a").await;
            stage.origin.becomes(down());
            stage.get("/r/b").await;
            let status = stage.get("/r/a").await.status;
            assert_eq!(status == 200, kept, "{fields:?}");
        });
    }
}

#[test]
fn answers_that_vary_are_told_apart() {
    let script = echoing("accept-language", &[("vary", "Accept-Language")]);
    on_stage(&one_route(STALE), script, async |stage| {
        let ask = |language: &'static str| {
            stage.ask(Request::get("/r/a").header("accept-language", language))
        };
        ask("en").await;
        ask("de").await;
        stage.origin.becomes(down());
        stage.get("/r/b").await;
        assert_eq!(ask("en").await.text(), "en");
        assert_eq!(ask("de").await.text(), "de");
        assert_eq!(ask("fr").await.status, 503);
    });
}

#[test]
fn the_answer_to_a_call_that_lost_a_field_by_its_connection_is_neither_kept_nor_one_of_the_kept_case_16()
 {
    for settings in ["", ", share_credentials: true"] {
        let fallback = format!("{{stale: {{max_age: 1h{settings}}}}}");
        let config = one_route(&fallback).replace(
            "failure_threshold: 1,",
            "failure_threshold: 1, key: {header: X-Tenant},",
        );
        on_stage(&config, echoing("x-tenant", &[]), async |stage| {
            let tenant = |path| Request::get(path).header("x-tenant", "a");
            let losing = |path| tenant(path).header("connection", "X-Tenant");
            assert_eq!(stage.ask(losing("/r/a")).await.text(), "");
            assert_eq!(stage.ask(tenant("/r/b")).await.text(), "a");
            stage.origin.becomes(down());
            stage.ask(tenant("/r/c")).await;
            assert_eq!(stage.ask(tenant("/r/a")).await.status, 503, "{settings}");
            assert_eq!(stage.ask(losing("/r/b")).await.status, 503, "{settings}");
            assert_eq!(stage.ask(tenant("/r/b")).await.text(), "a", "{settings}");
        });
    }
}

#[test]
fn a_list_falls_through_to_the_first_that_can_answer() {
    let config = one_route(
        "[{stale: {neutral: [X-Body]}, on_failure: true}, {respond: {status: 200, body: fixed}}]",
    );
    on_stage(&config, echoing("x-body", &[]), async |stage| {
        stage
            .ask(Request::get("/r/a").header("x-body", "kept"))
            .await;
        stage.origin.becomes(down());
        let failed = stage.ask(Request::get("/r/a")).await;
        assert_eq!((failed.status, failed.text()), (200, "kept"));
        assert_eq!(stage.ask(Request::get("/r/a")).await.text(), "kept");
        assert_eq!(stage.ask(Request::get("/r/b")).await.text(), "fixed");
        stage.origin.becomes(silent());
        pass(Duration::from_secs(60)).await;
        // The probe times out: the kept answer is for that too, the fixed one is not.
        let probe = stage.ask(Request::get("/r/c")).await;
        assert_eq!(
            (probe.status, probe.header("x-sidefuse-reason")),
            (504, "timeout")
        );
    });
}

#[test]
fn large_answers_pass_and_are_not_kept() {
    let script = answering(|_| Response::new("x".repeat(3000)));
    on_stage(
        &one_route("{stale: {max_body: 2KiB}}"),
        script,
        async |stage| {
            assert_eq!(stage.ask(Request::get("/r/a")).await.body.len(), 3000);
            stage.origin.becomes(down());
            stage.get("/r/b").await;
            assert_eq!(stage.get("/r/a").await.status, 503);
            assert_eq!(
                stage
                    .snapshot
                    .route("r")
                    .unwrap()
                    .stale
                    .as_ref()
                    .unwrap()
                    .bytes(),
                0
            );
        },
    );
}

#[test]
fn kept_answers_survive_a_reload_that_leaves_the_call_the_same() {
    let config = one_route(STALE);
    on_stage(&config, always(200), async |stage| {
        stage.get("/r/a").await;
        let kept = |snapshot: &sidefuse::snapshot::Snapshot| {
            snapshot
                .route("r")
                .unwrap()
                .stale
                .as_ref()
                .map(|store| store.entries())
        };
        let reload = |from: &str, to: &str| kept(&stage.reload(&config.replace(from, to)));
        assert_eq!(reload("timeout: 5s", "timeout: 6s"), Some(1));
        assert_eq!(reload("max_age: 1h", "max_age: 2h"), Some(0));
        stage.get("/r/a").await;
        assert_eq!(reload("max_age: 1h", "max_age: 2h"), Some(1));
        assert_eq!(reload("{stale: {max_age: 1h}}", "off"), None);
    });
    on_stage(&config, always(200), async |stage| {
        stage.get("/r/a").await;
        let other = config.replace("upstream: http://origin", "upstream: http://other");
        let snapshot = stage.reload(&other);
        let store = snapshot.route("r").unwrap().stale.clone().unwrap();
        assert_eq!(store.entries(), 0);
    });
}

/// Headers that tell tenants apart, be they known or not.
const TELLING: [&str; 6] = [
    "authorization",
    "cookie",
    "x-api-key",
    "x-organization-id",
    "remote-user",
    "baggage",
];

/// A tenant, as it is told apart: by one header or the other, or not at all.
fn tenant() -> impl Strategy<Value = Option<(&'static str, String)>> {
    let header = proptest::sample::select(&TELLING[..]);
    proptest::option::of((header, "[ab]{1,2}"))
}

#[test]
fn no_tenant_ever_gets_a_byte_of_anothers_answer() {
    // Each answer says for whom it is; the upstream fails now and then, and the breaker opens and closes.
    let step = (tenant(), 0..2_u8, 0..3_u8, proptest::bool::weighted(0.3));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let steps = proptest::collection::vec(step, 1..40);
    runner
        .run(&steps, |steps| {
            let is_up = Arc::new(AtomicUsize::new(1));
            let shared = Arc::clone(&is_up);
            let script = answering(move |request| {
                let who: Vec<String> = TELLING
                    .into_iter()
                    .filter_map(|name| {
                        let value = request.headers().get(name)?.to_str().unwrap();
                        Some(format!("{name}={value}"))
                    })
                    .collect();
                Response::builder()
                    .status(if shared.load(Ordering::Relaxed) == 1 {
                        200
                    } else {
                        500
                    })
                    .body(format!("<{}>", who.join(",")))
                    .unwrap()
            });
            let config = one_route("{stale: {coalesce: true}, on_failure: true}");
            on_stage(&config, script, async move |stage| {
                for (tenant, path, pause, up) in steps {
                    is_up.store(usize::from(up), Ordering::Relaxed);
                    let mut request = Request::get(format!("/r/{path}"));
                    let mut mine = "<>".to_owned();
                    if let Some((name, value)) = &tenant {
                        request = request.header(*name, value);
                        mine = format!("<{name}={value}>");
                    }
                    let said = stage.ask(request).await;
                    if said.status == 200 {
                        assert_eq!(said.text(), mine);
                    }
                    pass(Duration::from_secs(u64::from(pause) * 30)).await;
                }
            });
            Ok(())
        })
        .unwrap();
}

#[test]
fn hosts_and_addresses_that_are_keys_of_the_route_tell_callers_apart() {
    let config = one_route("{stale: {share_credentials: true}, on_failure: true}").replace(
        "reset_timeout: 60s",
        "reset_timeout: 60s, key: {host: true}",
    );
    on_stage(&config, echoing("x-who", &[]), async |stage| {
        let ask = |host, who| {
            Request::get("/r/a")
                .header("host", host)
                .header("x-who", who)
        };
        assert_eq!(stage.ask(ask("a.example", "a")).await.text(), "a");
        stage.origin.becomes(down());
        assert_eq!(stage.ask(ask("b.example", "b")).await.status, 500);
        assert_eq!(stage.ask(ask("a.example", "other")).await.text(), "a");
    });
}

#[test]
fn a_header_that_the_operator_calls_neutral_tells_nobody_apart() {
    let config = one_route("{stale: {neutral: [X-Who]}, on_failure: true}");
    on_stage(&config, echoing("x-who", &[]), async |stage| {
        let ask = |who| Request::get("/r/a").header("x-who", who);
        assert_eq!(stage.ask(ask("a")).await.text(), "a");
        stage.origin.becomes(down());
        assert_eq!(stage.ask(ask("b")).await.text(), "a");
        assert_eq!(stage.ask(ask("b").header("x-org", "b")).await.status, 503);
    });
}

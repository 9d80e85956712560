use std::time::Duration;

use super::support::{Bench, LOOPBACK, Tokens, UNIX};
use crate::resilience::{Mode, Outcome, Sample, State};
use crate::time::now;

#[tokio::test(start_paused = true)]
async fn all_breakers_are_as_reviewed() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    assert!(bench.breaker("whatsapp").admit(now()).is_err());
    bench
        .post(
            "/circuit-breakers/email/open",
            r#"{"reason":"provider is down"}"#,
        )
        .await;
    let reply = bench.get("/circuit-breakers").await;
    assert_eq!(reply.status, 200);
    insta::assert_snapshot!(reply.timeless());
}

#[tokio::test(start_paused = true)]
async fn the_list_fits_one_screen_and_begins_with_what_rejects() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    assert!(bench.breaker("whatsapp").admit(now()).is_err());
    let reply = bench
        .ask(
            LOOPBACK,
            "GET /circuit-breakers",
            "Accept: text/plain\r\n",
            "",
        )
        .await;
    assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    insta::assert_snapshot!(reply.timeless());
}

#[tokio::test(start_paused = true)]
async fn for_people_an_explanation_is_a_page_of_text() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    bench.fail("partner", 3);
    bench
        .post(
            "/circuit-breakers/whatsapp/close",
            r#"{"reason":"the provider says so","hold":true}"#,
        )
        .await;
    let mut pages = String::new();
    for name in ["whatsapp", "partner"] {
        let line = format!("GET /circuit-breakers/{name}/explain");
        let reply = bench
            .ask(LOOPBACK, &line, "Accept: text/plain\r\n", "")
            .await;
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        pages += &format!("{}\n", reply.timeless());
    }
    insta::assert_snapshot!(pages);
}

#[tokio::test(start_paused = true)]
async fn the_list_can_be_asked_for_one_state() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    let names = |body: &str| -> Vec<String> {
        let list: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(list["summary"]["open"], 1);
        let breakers = list["breakers"].as_array().unwrap().iter();
        breakers
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let open = bench.get("/circuit-breakers?state=open").await;
    assert_eq!(names(&open.body), ["whatsapp"]);
    let closed = bench.get("/circuit-breakers?state=closed").await;
    assert!(!names(&closed.body).contains(&"whatsapp".to_owned()));
    assert_ne!(open.headers["etag"], closed.headers["etag"]);
    let wrong = bench.get("/circuit-breakers?status=open").await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong
            .body
            .contains("`state=` and one of closed, open, half_open"),
        "{}",
        wrong.body
    );
}

#[tokio::test(start_paused = true)]
async fn one_breaker_is_as_reviewed() {
    let bench = Bench::new(Tokens::None);
    bench.fail("partner", 1);
    let permit = bench.breaker("partner").admit(now()).unwrap();
    permit.finish(
        Sample::new(Outcome::Success).after(Duration::from_secs(6)),
        now(),
    );
    let shown = bench.get("/circuit-breakers/partner").await.timeless();
    // They are told as `/config/routes/partner` tells them; see `config`.
    let (breaker, _) = shown.split_once("\"settings\"").unwrap();
    insta::assert_snapshot!(breaker);
}

#[tokio::test(start_paused = true)]
async fn the_explanation_is_as_reviewed() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    assert!(bench.breaker("whatsapp").admit(now()).is_err());
    let open = bench.get("/circuit-breakers/whatsapp/explain").await;
    insta::assert_snapshot!("explain_open", open.timeless());
    tokio::time::advance(Duration::from_secs(60)).await;
    bench
        .post(
            "/circuit-breakers/whatsapp/close",
            r#"{"hold":true,"for":"15m","reason":"a test"}"#,
        )
        .await;
    let held = bench.get("/circuit-breakers/whatsapp/explain").await;
    insta::assert_snapshot!("explain_held", held.timeless());
}

#[tokio::test(start_paused = true)]
async fn the_list_has_a_tag_that_changes_with_what_it_says_and_not_with_time() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    let tag = bench
        .get("/circuit-breakers")
        .await
        .header("etag")
        .to_owned();
    tokio::time::advance(Duration::from_secs(7)).await;
    let asked = |tag: String| {
        let bench = &bench;
        async move {
            bench
                .ask(
                    LOOPBACK,
                    "GET /circuit-breakers",
                    &format!("If-None-Match: {tag}\r\n"),
                    "",
                )
                .await
        }
    };
    let same = asked(format!("\"other\", {tag}")).await;
    assert_eq!(
        (same.status, same.header("etag"), &*same.body),
        (304, &*tag, "")
    );
    assert_eq!(
        asked(tag.trim_start_matches("W/").to_owned()).await.status,
        304
    );
    bench.fail("email", 1);
    let other = asked(tag.clone()).await;
    assert_eq!(other.status, 200);
    assert_ne!(other.header("etag"), tag);
}

#[tokio::test(start_paused = true)]
async fn an_order_twice_changes_something_once() {
    let bench = Bench::new(Tokens::None);
    bench.fail("email", 2);
    for (verb, body, state, mode) in [
        ("open", r#"{"reason":"maintenance"}"#, "open", "forced_open"),
        ("auto", "{}", "closed", "auto"),
        ("close", r#"{"hold":true}"#, "closed", "forced_closed"),
        ("close", "", "closed", "auto"),
        ("clear", "", "closed", "auto"),
    ] {
        let path = format!("/circuit-breakers/email/{verb}");
        for changed in [true, false] {
            let reply = bench.post(&path, body).await;
            let json = reply.json();
            assert_eq!(reply.status, 200, "{}", reply.raw);
            assert_eq!(json["changed"], changed, "{verb} {}", reply.raw);
            assert_eq!(json["state"], state);
            assert_eq!(json["mode"], mode);
        }
    }
    let json = bench.get("/circuit-breakers/email").await.json();
    assert_eq!(json["statistics"]["totalCalls"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_when_its_time_is_over() {
    let bench = Bench::new(Tokens::None);
    let reply = bench
        .post("/circuit-breakers/email/open", r#"{"for":"15m"}"#)
        .await;
    assert!(reply.json()["until"].is_string(), "{}", reply.raw);
    assert_eq!(reply.json()["by"], "loopback");
    tokio::time::advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(
        bench.breaker("email").in_force(now()),
        (State::Closed, Mode::Auto)
    );
    assert_eq!(
        bench.get("/circuit-breakers/email").await.json()["until"],
        serde_json::Value::Null
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_order_says_what_is_wrong_and_changes_nothing() {
    let bench = Bench::new(Tokens::None);
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(257));
    let mut told = String::new();
    for (verb, body) in [
        ("open", r#"{"duration":"15m","foo":1}"#),
        ("open", r#"{"key":"tenant"}"#),
        ("open", r#"{"for":"15"}"#),
        ("open", r#"{"for":15}"#),
        ("open", r#"{"for":"0s"}"#),
        ("open", r#"{"for":"9999h"}"#),
        ("open", r#"{"hold":true}"#),
        ("close", r#"{"for":"15m"}"#),
        ("close", r#"{"hold":"yes"}"#),
        ("open", r#"{"reason":"a\u0000b"}"#),
        ("open", &*long),
        ("open", "[]"),
        ("open", "{"),
        ("open", "{\"a\u{1b}\\u001b\":1}"),
    ] {
        let reply = bench
            .post(&format!("/circuit-breakers/email/{verb}"), body)
            .await;
        assert_eq!(reply.status, 400, "{}", reply.raw);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        let body: String = body.chars().take(40).collect();
        told += &format!(
            "{verb} {body:?}\n  {}\n",
            reply.json()["detail"].as_str().unwrap()
        );
    }
    assert_eq!(
        bench.breaker("email").in_force(now()),
        (State::Closed, Mode::Auto)
    );
    insta::assert_snapshot!(told);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_breaker_is_answered_with_those_there_are() {
    let bench = Bench::new(Tokens::None);
    let id = "X-Correlation-ID: abc\r\n";
    let reply = bench
        .ask(LOOPBACK, "GET /circuit-breakers/whatsap", id, "")
        .await;
    assert_eq!(reply.status, 404);
    insta::assert_snapshot!(reply.body);
    let none = bench
        .get(&format!("/circuit-breakers/{}", "z".repeat(3000)))
        .await;
    assert_eq!(none.status, 404);
    assert_eq!(none.json()["nearest"], serde_json::json!([]));
    assert!(none.body.len() < 1000);
}

#[tokio::test(start_paused = true)]
async fn gauge_view_and_refusal_agree_at_every_second() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    for _ in 0..70 {
        let json = bench.get("/circuit-breakers/whatsapp").await.json();
        let state = json["state"].as_str().unwrap().to_owned();
        let metrics = bench.get("/metrics").await.body;
        for each in ["closed", "open", "half_open"] {
            let line = format!(
                "sidefuse_breaker_state{{breaker=\"whatsapp\",state=\"{each}\"}} {}\n",
                u8::from(state == each)
            );
            assert!(metrics.contains(&line), "{state}: {line}");
        }
        match bench.breaker("whatsapp").admit(now()) {
            Err(refusal) => {
                assert_eq!((refusal.state.label(), &*state), ("open", "open"));
                assert_eq!(
                    bench.breaker("whatsapp").view(now()).next_probe_at,
                    refusal.retry_at
                );
                assert!(json["nextProbeAt"].is_string());
            }
            Ok(permit) => {
                assert_eq!((&*state, permit.is_probe()), ("half_open", true));
                assert!(json["nextProbeAt"].is_null());
            }
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_unix_socket_needs_neither_host_nor_content_type_nor_token() {
    let bench = Bench::new(Tokens::Both);
    let reply = bench
        .ask(
            UNIX,
            "POST /circuit-breakers/email/open",
            "Host: whatever\r\n",
            "",
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.raw);
    assert_eq!(reply.json()["by"], "uid 1000");
    let untyped = bench
        .ask(UNIX, "POST /circuit-breakers/email/open", "", "{}")
        .await;
    assert_eq!(untyped.status, 415);
}

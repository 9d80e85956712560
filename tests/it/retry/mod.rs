//! Retries over the whole data path, on the still clock: what is made again, when, and what the origin sees of it.

mod judged;
mod load;
mod replay;

use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::AsyncWriteExt;

use crate::support::memory::{always, on_stage};
use crate::support::recorder::{Recorder, Turn, answer, field, say, status};

/// A route `r` with these settings, whose breaker does not get in the way.
fn config(settings: &str) -> String {
    format!(
        "version: 1\nroutes: {{r: {{upstream: http://origin, breaker: {{failure_threshold: 1000}}, {settings}}}}}\n"
    )
}

const GET: &str =
    "GET /r/x HTTP/1.1\r\nhost: stage\r\nx-correlation-id: call-1\r\nconnection: close\r\n\r\n";

async fn pass(time: Duration) {
    sleep_until(Deadline::after(now(), time)).await;
}

/// What a counter of retries stands at.
fn retries(metrics: &str, result: &str) -> u64 {
    let name = format!("sidefuse_retries_total{{route=\"r\",result=\"{result}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[test]
fn case_121_a_get_that_fails_is_made_again_under_the_same_id_and_counted_in_one_line() {
    on_stage(
        &config("retry: {attempts: 3}"),
        always(200),
        async |stage| {
            let recorder = Recorder::on(&stage, |n, _| answer([503, 502, 200][n], "", "body"));
            let got = say(&stage, &GET.replace("x-corr", "x-attempt: 9\r\nx-corr")).await;
            assert_eq!(status(&got), 200, "{got}");
            let seen = recorder.all();
            let numbers: Vec<_> = seen.iter().map(|one| one.header("x-attempt")).collect();
            assert_eq!(
                numbers,
                [None, Some("2"), Some("3")],
                "the caller's own number is none"
            );
            let ids = seen.iter().map(|one| one.header("x-correlation-id"));
            assert!(ids.eq([Some("call-1"); 3]));
            let metrics = stage.metrics();
            assert_eq!(retries(&metrics, "failed"), 1);
            assert_eq!(retries(&metrics, "answered"), 1);
            let view = stage.snapshot.route("r").unwrap().breaker.view(now());
            assert_eq!(
                (view.statistics.failures, view.statistics.successes),
                (2, 1)
            );
            let [line] = &stage.lines()[..] else {
                panic!("one line")
            };
            assert_eq!(
                (&line["attempts"], &line["statusCode"]),
                (&3.into(), &200.into())
            );
            assert_eq!(line["outcome"], "success");
        },
    );
}

#[test]
fn without_a_policy_nothing_that_was_sent_is_made_again() {
    on_stage(&config("timeout: 5s"), always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| answer(503, "", ""));
        assert_eq!(status(&say(&stage, GET).await), 503);
        assert_eq!(recorder.count(), 1);
    });
}

#[test]
fn after_the_last_attempt_the_caller_gets_what_the_upstream_said_last() {
    on_stage(
        &config("retry: {attempts: 2}"),
        always(200),
        async |stage| {
            let recorder = Recorder::on(&stage, |n, _| {
                answer([503, 504][n], "x-mine: 1\r\n", "last words")
            });
            let got = say(&stage, GET).await;
            assert_eq!(status(&got), 504);
            assert!(
                got.ends_with("last words") && field(&got, "x-mine") == Some("1"),
                "{got}"
            );
            assert_eq!(recorder.count(), 2);
        },
    );
}

#[test]
fn a_connection_that_closed_under_a_call_is_a_reset_that_is_made_again() {
    on_stage(
        &config("retry: {attempts: 2}"),
        always(200),
        async |stage| {
            let recorder = Recorder::on(&stage, |n, _| {
                if n == 0 {
                    Turn::Close
                } else {
                    answer(200, "", "")
                }
            });
            assert_eq!(status(&say(&stage, GET).await), 200);
            assert_eq!(recorder.count(), 2);
            assert_eq!(recorder.all()[1].header("x-attempt"), Some("2"));
        },
    );
}

#[test]
fn case_117_a_post_is_made_again_only_where_it_surely_does_no_harm() {
    let post =
        "POST /r/x HTTP/1.1\r\nhost: stage\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
    let keyed = post.replace("host:", "Idempotency-Key: 7\r\nhost:");
    let cases = [
        ("retry: {attempts: 2}", post, 503, 1),
        ("retry: {attempts: 2}", keyed.as_str(), 503, 2),
        (
            "retry: {attempts: 2, retry_non_idempotent: true}",
            post,
            503,
            2,
        ),
        ("retry: {attempts: 2}", post, 429, 1),
        ("retry: {attempts: 2, retry_on: [429]}", post, 429, 2),
    ];
    for (policy, request, failing, attempts) in cases {
        on_stage(&config(policy), always(200), async |stage| {
            let recorder = Recorder::on(&stage, move |_, _| answer(failing, "", ""));
            assert_eq!(status(&say(&stage, request).await), failing);
            assert_eq!(recorder.count(), attempts, "{policy} {request}");
        });
    }
    let reset = config("retry: {attempts: 2}");
    on_stage(&reset, always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| Turn::Close);
        assert_eq!(status(&say(&stage, post).await), 502);
        assert_eq!(recorder.count(), 1, "it may have been carried out");
    });
}

#[test]
fn only_methods_that_do_the_same_twice_are_made_again_unasked() {
    for (method, attempts) in [
        ("GET", 2),
        ("HEAD", 2),
        ("OPTIONS", 2),
        ("PUT", 2),
        ("DELETE", 2),
        ("POST", 1),
        ("PATCH", 1),
        ("PROPFIND", 1),
    ] {
        on_stage(
            &config("retry: {attempts: 2}"),
            always(200),
            async |stage| {
                let recorder = Recorder::on(&stage, |_, _| answer(503, "", ""));
                let got = say(&stage, &GET.replace("GET", method)).await;
                assert_eq!(
                    (status(&got), recorder.count()),
                    (503, attempts),
                    "{method}"
                );
            },
        );
    }
}

#[test]
fn a_post_whose_connection_never_came_about_was_never_sent_and_is_made_again() {
    let config = config("timeout: 10s, retry: {attempts: 2}");
    on_stage(&config, always(200), async |stage| {
        stage.origin.becomes_a_black_hole();
        let begin = now();
        let post =
            "POST /r/x HTTP/1.1\r\nhost: stage\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
        let got = say(&stage, post).await;
        assert_eq!(field(&got, "x-sidefuse-reason"), Some("connect_timeout"));
        assert!(
            now() - begin >= Duration::from_secs(6),
            "twice connect_timeout"
        );
        assert_eq!(stage.lines()[0]["attempts"], 2);
    });
}

#[test]
fn an_open_breaker_ends_the_loop_and_the_caller_gets_the_upstreams_last_answer() {
    let config = "version: 1\nroutes: {r: {upstream: http://origin, breaker: {failure_threshold: 2}, retry: {attempts: 5}}}\n";
    on_stage(config, always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| answer(503, "", "its own words"));
        let got = say(&stage, GET).await;
        assert_eq!(
            (status(&got), field(&got, "x-sidefuse-reason")),
            (503, None)
        );
        assert!(got.ends_with("its own words"));
        assert_eq!(recorder.count(), 2);
        assert_eq!(retries(&stage.metrics(), "refused"), 1);
        let line = &stage.lines()[0];
        assert_eq!(
            (&line["breakerState"], &line["attempts"]),
            (&"open".into(), &2.into())
        );
        assert_eq!(line["outcome"], "failure");
    });
}

#[test]
fn case_124_a_caller_that_leaves_ends_the_wait_and_the_loop() {
    let config =
        config("timeout: 60s, retry: {attempts: 5, base: 20s, max: 20s, max_retry_after: 30s}");
    on_stage(&config, always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| answer(503, "retry-after: 20\r\n", ""));
        let mut stream = stage.pipe();
        stream.write_all(GET.as_bytes()).await.unwrap();
        pass(Duration::from_secs(1)).await;
        drop(stream);
        pass(Duration::from_secs(120)).await;
        assert_eq!(recorder.count(), 1);
        let lines = stage.lines();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["clientGone"], true);
        assert_eq!(lines[0]["heldBy"], "retry", "{}", lines[0]);
        let held = lines[0]["heldMs"].as_f64().unwrap();
        assert!((990.0..1_010.0).contains(&held), "{held}");
    });
}

#[test]
fn case_126_retry_after_is_waited_for_up_to_its_cap_and_never_shortened() {
    let config = config("timeout: 60s, retry: {attempts: 2, max_retry_after: 5s}");
    for (wish, waits) in [
        ("2", true),
        ("5", true),
        ("6", false),
        ("99999999999999999999999", false),
    ] {
        on_stage(&config, always(200), async |stage| {
            let fields = format!("retry-after: {wish}\r\n");
            let recorder = Recorder::on(&stage, move |_, _| answer(503, &fields, ""));
            let begin = now();
            let got = say(&stage, GET).await;
            assert_eq!(
                field(&got, "retry-after"),
                Some(wish),
                "the caller is told, too"
            );
            let seen = recorder.all();
            assert_eq!(seen.len(), if waits { 2 } else { 1 }, "{wish}");
            if waits {
                let waited = seen[1].at - begin;
                let least = Duration::from_secs(wish.parse().unwrap());
                assert!(
                    waited >= least && waited <= Duration::from_millis(5_003),
                    "{waited:?}"
                );
            } else {
                assert!(now() - begin < Duration::from_millis(10));
                assert_eq!(retries(&stage.metrics(), "no_time"), 1);
            }
        });
    }
}

#[test]
fn a_wait_that_would_outlast_the_timeout_is_not_begun() {
    let config = config("timeout: 2s, retry: {attempts: 2}");
    on_stage(&config, always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| answer(503, "retry-after: 2\r\n", ""));
        let begin = now();
        assert_eq!(status(&say(&stage, GET).await), 503);
        assert!(now() - begin < Duration::from_millis(10));
        assert_eq!(recorder.count(), 1);
    });
}

#[test]
fn a_wait_is_neither_ours_nor_the_upstreams_time() {
    let config = config("timeout: 60s, retry: {attempts: 2}");
    on_stage(&config, always(200), async |stage| {
        let _recorder = Recorder::on(&stage, |n, _| {
            let fields = if n == 0 { "retry-after: 5\r\n" } else { "" };
            answer([503, 200][n], fields, "")
        });
        assert_eq!(status(&say(&stage, GET).await), 200);
        let metrics = stage.metrics();
        let slow = "sidefuse_overhead_seconds_bucket{le=\"0.01\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(slow));
        assert_eq!(count, Some("1"));
        let line = &stage.lines()[0];
        assert!(line["durationMs"].as_f64().unwrap() >= 5_000.0);
        assert!(line["upstreamMs"].as_f64().unwrap() < 1_000.0);
    });
}

#[test]
fn a_connection_whose_answer_is_not_wanted_is_used_again() {
    on_stage(
        &config("retry: {attempts: 10}"),
        always(200),
        async |stage| {
            let recorder = Recorder::on(&stage, |_, _| answer(503, "retry-after: 1\r\n", "rest"));
            assert_eq!(status(&say(&stage, GET).await), 503);
            assert_eq!(recorder.count(), 10);
            assert!(
                stage.origin.connections() <= 2,
                "{}",
                stage.origin.connections()
            );
        },
    );
}

#[test]
fn with_a_policy_each_connect_is_an_attempt_that_the_breaker_hears_of_and_without_one_two_are() {
    for (policy, dials, attempts) in [("retry: {attempts: 3}", 3, 3), ("timeout: 5s", 2, 1)] {
        on_stage(&config(policy), always(200), async |stage| {
            stage.origin.refuses();
            let got = say(&stage, GET).await;
            assert_eq!(field(&got, "x-sidefuse-reason"), Some("connect"));
            let view = stage.route("r").breaker.view(now());
            assert_eq!(view.statistics.failures, attempts, "{policy}");
            let metrics = stage.metrics();
            assert_eq!(retries(&metrics, "failed"), dials - 1, "{policy}");
            assert_eq!(stage.lines()[0]["attempts"], attempts);
        });
    }
}

#[test]
fn a_reload_keeps_the_budget_of_a_route_and_makes_one_where_there_was_none() {
    on_stage(
        &config("retry: {attempts: 2}"),
        always(503),
        async |stage| {
            let budget =
                |stage: &crate::support::memory::Stage| stage.route("r").retry_budget.clone();
            let first = budget(&stage).unwrap();
            assert_eq!(stage.get("/r/x").await.status, 503);
            let left = first.left(now());
            stage.reload(&config("retry: {attempts: 5, base: 1s}"));
            let second = budget(&stage).unwrap();
            assert!(std::sync::Arc::ptr_eq(&first, &second));
            assert_eq!(second.left(now()), left);
            stage.reload(&config("timeout: 5s"));
            assert!(budget(&stage).is_none());
            stage.reload(&config("retry: {attempts: 2}"));
            assert!(budget(&stage).is_some());
        },
    );
}

//! Whose time it is: the route's, an attempt's, the caller's, and all of an exchange's; on the still clock.

use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::memory::{Speech, Stage, always, on_stage};
use crate::support::recorder::{Recorder, Turn, answer, field, say, status};

fn config(settings: &str) -> String {
    format!("version: 1\nroutes: {{r: {{upstream: http://origin, {settings}}}}}\n")
}

fn get(fields: &str) -> String {
    format!("GET /r/x HTTP/1.1\r\nhost: stage\r\nconnection: close\r\n{fields}\r\n")
}

/// What the breaker has counted: failures, ignored calls, all calls.
fn counted(stage: &Stage) -> (u64, u64, u64) {
    let view = stage.snapshot.route("r").unwrap().breaker.view(now());
    let counts = view.statistics;
    (counts.failures, counts.ignored, counts.total_calls)
}

/// The clock moves by whole milliseconds, and a timer may fire one late.
fn is_about(took: Duration, millis: u64) -> bool {
    let wanted = Duration::from_millis(millis);
    took >= wanted && took <= wanted + Duration::from_millis(3)
}

async fn timed(stage: &Stage, request: &str) -> (Option<String>, Duration) {
    let begin = now();
    let got = say(stage, request).await;
    let reason = field(&got, "x-sidefuse-reason").map(str::to_owned);
    (reason, now() - begin)
}

#[test]
fn an_attempt_that_takes_longer_than_its_own_timeout_is_the_upstreams_failure() {
    on_stage(&config("attempt_timeout: 2s"), always(200), async |stage| {
        let _recorder = Recorder::on(&stage, |_, _| Turn::Silence);
        let begin = now();
        let got = say(&stage, &get("")).await;
        assert_eq!(status(&got), 504);
        assert_eq!(field(&got, "x-sidefuse-reason"), Some("timeout"));
        assert!(got.contains("within 2s"), "{got}");
        assert!(is_about(now() - begin, 2_000));
        assert_eq!(counted(&stage), (1, 0, 1));
    });
}

#[test]
fn case_99_attempts_never_take_more_than_the_total_together() {
    let config = config("timeout: 1s, attempt_timeout: 400ms, retry: {attempts: 10, base: 1ms}");
    on_stage(&config, always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| Turn::Silence);
        let (reason, took) = timed(&stage, &get("")).await;
        assert_eq!(reason.as_deref(), Some("timeout"));
        assert!(is_about(took, 1_000), "{took:?}");
        assert_eq!(recorder.count(), 3, "400 ms, 400 ms and what was left");
        assert_eq!(stage.lines()[0]["attempts"], 3);
    });
}

#[test]
fn a_callers_shorter_deadline_cuts_the_call_and_proves_nothing_about_the_upstream() {
    let ways = [
        "x-request-timeout: 1500ms\r\n",
        "grpc-timeout: 1500m\r\n",
        "grpc-timeout: 1500000u\r\nx-request-timeout: 9s\r\n",
        "x-request-timeout: 9s\r\nx-request-timeout: 1500ms\r\n",
        "x-request-timeout: soon\r\nx-request-timeout: 1500ms\r\n",
    ];
    for way in ways {
        on_stage(&config("timeout: 15s"), always(200), async |stage| {
            let recorder = Recorder::on(&stage, |_, _| Turn::Silence);
            let (reason, took) = timed(&stage, &get(way)).await;
            assert_eq!(reason.as_deref(), Some("caller_deadline"));
            assert!(is_about(took, 1_500), "{took:?}");
            assert_eq!(recorder.count(), 1);
            assert_eq!(counted(&stage), (0, 1, 1));
            let line = &stage.lines()[0];
            assert_eq!(
                (&line["outcome"], &line["reason"]),
                (&"ignored".into(), &"caller_deadline".into())
            );
        });
    }
}

#[test]
fn a_callers_longer_or_equal_deadline_lengthens_nothing_and_excuses_nothing() {
    for way in [
        "x-request-timeout: 1h\r\n",
        "x-request-timeout: 2s\r\n",
        "grpc-timeout: 99999999H\r\n",
    ] {
        on_stage(&config("timeout: 2s"), always(200), async |stage| {
            let _recorder = Recorder::on(&stage, |_, _| Turn::Silence);
            let (reason, took) = timed(&stage, &get(way)).await;
            assert_eq!(reason.as_deref(), Some("timeout"));
            assert!(is_about(took, 2_000), "{took:?}");
            assert_eq!(counted(&stage), (1, 0, 1));
        });
    }
}

#[test]
fn a_malformed_deadline_says_nothing_and_goes_on_as_it_came() {
    for value in ["2", "soon", "-1s", "1.5s", "999999999s"] {
        on_stage(&config("timeout: 2s"), always(200), async |stage| {
            let recorder = Recorder::on(&stage, |_, _| Turn::Silence);
            let (reason, took) =
                timed(&stage, &get(&format!("x-request-timeout: {value}\r\n"))).await;
            assert_eq!(reason.as_deref(), Some("timeout"));
            assert!(is_about(took, 2_000), "{took:?}");
            assert_eq!(recorder.all()[0].header("x-request-timeout"), Some(value));
        });
    }
}

#[test]
fn a_deadline_of_nothing_is_refused_without_asking_the_upstream() {
    on_stage(&config("timeout: 2s"), always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| answer(200, "", ""));
        let (reason, took) = timed(&stage, &get("grpc-timeout: 0n\r\n")).await;
        assert_eq!(
            (reason.as_deref(), took),
            (Some("caller_deadline"), Duration::ZERO)
        );
        assert_eq!((recorder.count(), counted(&stage)), (0, (0, 0, 0)));
        assert_eq!(stage.lines()[0]["attempts"], 0);
    });
}

#[test]
fn a_callers_deadline_that_cuts_a_connect_is_no_connect_timeout() {
    on_stage(&config("timeout: 15s"), always(200), async |stage| {
        stage.origin.becomes_a_black_hole();
        let (reason, took) = timed(&stage, &get("x-request-timeout: 5ms\r\n")).await;
        assert_eq!(reason.as_deref(), Some("caller_deadline"));
        assert!(is_about(took, 5), "{took:?}");
        assert_eq!(counted(&stage), (0, 1, 1));
    });
}

#[test]
fn a_callers_deadline_cannot_use_up_the_probe() {
    let config = config("timeout: 15s, breaker: {failure_threshold: 1, reset_timeout: 10s}");
    on_stage(&config, always(200), async |stage| {
        let _recorder = Recorder::on(&stage, |n, _| match n {
            0 => answer(500, "", ""),
            1 => Turn::Silence,
            _ => answer(200, "", ""),
        });
        assert_eq!(status(&say(&stage, &get("")).await), 500);
        sleep_until(Deadline::after(now(), Duration::from_secs(10))).await;
        let (reason, _) = timed(&stage, &get("x-request-timeout: 1ms\r\n")).await;
        assert_eq!(reason.as_deref(), Some("caller_deadline"));
        assert_eq!(
            status(&say(&stage, &get("")).await),
            200,
            "its slot is free again"
        );
    });
}

#[test]
fn the_upstream_is_told_what_is_left_of_the_callers_deadline_and_not_of_ours() {
    let config = config("timeout: 15s, retry: {attempts: 2, base: 1ms}");
    on_stage(&config, always(200), async |stage| {
        let recorder = Recorder::on(&stage, |n, _| {
            answer([503, 200][n], "retry-after: 3\r\n", "")
        });
        let fields = "grpc-timeout: 1H\r\nx-request-timeout: 10s\r\n";
        assert_eq!(status(&say(&stage, &get(fields)).await), 200);
        let seen = recorder.all();
        assert_eq!(seen[0].header("x-request-timeout"), Some("10000ms"));
        assert_eq!(seen[0].header("grpc-timeout"), Some("3600000m"));
        let left = seen[1].header("x-request-timeout").unwrap();
        let left: u64 = left.strip_suffix("ms").unwrap().parse().unwrap();
        assert!((6_990..=7_000).contains(&left), "{left}");
        let left = seen[1].header("grpc-timeout").unwrap();
        let left: u64 = left.strip_suffix('m').unwrap().parse().unwrap();
        assert!((3_596_990..=3_597_000).contains(&left), "{left}");
    });
}

#[test]
fn without_a_deadline_of_the_callers_the_upstream_is_told_none() {
    on_stage(&config("timeout: 15s"), always(200), async |stage| {
        let recorder = Recorder::on(&stage, |_, _| answer(200, "", ""));
        say(&stage, &get("")).await;
        let head = recorder.all()[0].head.clone();
        assert!(
            !head.contains("timeout") && !head.contains("x-attempt"),
            "{head}"
        );
    });
}

/// Reads a request, which comes in one piece.
async fn take_request(stream: &mut DuplexStream) {
    let mut bytes = [0; 4_096];
    assert!(stream.read(&mut bytes).await.unwrap() > 0);
}

/// An origin that answers with a stream that brings an event each second, so many times.
fn events(count: usize) -> Speech {
    std::sync::Arc::new(move |mut stream| {
        Box::pin(async move {
            take_request(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            for _ in 0..count {
                sleep_until(Deadline::after(now(), Duration::from_secs(1))).await;
                if stream.write_all(b"9\r\ndata: x\n\n\r\n").await.is_err() {
                    return;
                }
            }
            let _ = stream.write_all(b"0\r\n\r\n").await;
        })
    })
}

#[test]
fn case_103_a_stream_outlives_the_timeout_and_the_callers_deadline() {
    on_stage(
        &config("timeout: 2s, attempt_timeout: 2s"),
        always(200),
        async |stage| {
            stage.origin.speaks(events(120));
            let begin = now();
            let got = say(&stage, &get("x-request-timeout: 1s\r\n")).await;
            assert_eq!(got.matches("data: x").count(), 120);
            assert!(got.ends_with("0\r\n\r\n"), "it ends well");
            assert!(now() - begin >= Duration::from_secs(120));
            let line = &stage.lines()[0];
            assert_eq!(
                (&line["outcome"], line.get("reason")),
                (&"success".into(), None)
            );
        },
    );
}

#[test]
fn an_exchange_ends_at_its_max_duration_however_well_it_moves() {
    on_stage(
        &config("timeout: 2s, max_duration: 10s"),
        always(200),
        async |stage| {
            stage.origin.speaks(events(120));
            let begin = now();
            let got = say(&stage, &get("")).await;
            assert!(is_about(now() - begin, 10_000), "{:?}", now() - begin);
            assert!(
                !got.ends_with("0\r\n\r\n"),
                "it must not look like a good end"
            );
            assert!((8..=10).contains(&got.matches("data: x").count()));
            assert_eq!(
                counted(&stage),
                (0, 0, 1),
                "the verdict stood at the headers"
            );
            let line = &stage.lines()[0];
            assert_eq!(
                (&line["reason"], &line["statusCode"]),
                (&"max_duration".into(), &200.into())
            );
        },
    );
}

#[test]
fn a_download_cut_at_its_max_duration_is_no_failure_of_the_upstream() {
    on_stage(
        &config("timeout: 2s, max_duration: 10s"),
        always(200),
        async |stage| {
            let drip: Speech = std::sync::Arc::new(|mut stream| {
                Box::pin(async move {
                    take_request(&mut stream).await;
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                        .await;
                    for _ in 0..1_000 {
                        sleep_until(Deadline::after(now(), Duration::from_secs(1))).await;
                        if stream.write_all(b"x").await.is_err() {
                            return;
                        }
                    }
                })
            });
            stage.origin.speaks(drip);
            let begin = now();
            say(&stage, &get("")).await;
            assert!(is_about(now() - begin, 10_000));
            assert_eq!(counted(&stage), (0, 1, 1));
            let line = &stage.lines()[0];
            assert_eq!(
                (&line["reason"], &line["outcome"]),
                (&"max_duration".into(), &"ignored".into())
            );
        },
    );
}

#[test]
fn an_answer_that_stalls_under_the_eyes_of_a_rule_is_cut_after_one_idle_timeout() {
    // Before its own time is over, or only after: the pause is the same one.
    for (timeout, looks_for) in [("60s", 5_000), ("3s", 3_000)] {
        let settings = format!(
            "timeout: {timeout}, idle_timeout: 5s, classify: [{{json: {{/busy: true}}, as: throttled}}]"
        );
        on_stage(&config(&settings), always(200), async |stage| {
            let stalls: Speech = std::sync::Arc::new(|mut stream| {
                Box::pin(async move {
                    take_request(&mut stream).await;
                    let head = "HTTP/1.1 400 X\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"busy\":";
                    let _ = stream.write_all(head.as_bytes()).await;
                    std::future::pending::<()>().await;
                })
            });
            stage.origin.speaks(stalls);
            let begin = now();
            let mut caller = stage.pipe();
            caller.write_all(get("").as_bytes()).await.unwrap();
            caller.read_u8().await.unwrap();
            assert!(is_about(now() - begin, looks_for), "{:?}", now() - begin);
            let mut got = String::new();
            caller.read_to_string(&mut got).await.unwrap();
            assert!(got.ends_with("{\"busy\":"), "{got}");
            assert!(is_about(now() - begin, 5_000), "{:?}", now() - begin);
            assert_eq!(stage.lines()[0]["reason"], "idle_timeout");
        });
    }
}

#[test]
fn a_tunnel_ends_at_the_max_duration_too() {
    on_stage(
        &config("timeout: 2s, idle_timeout: 60s, max_duration: 10s"),
        always(200),
        async |stage| {
            let switch: Speech = std::sync::Arc::new(|mut stream| {
                Box::pin(async move {
                    take_request(&mut stream).await;
                    let head =
                        "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
                    let _ = stream.write_all(head.as_bytes()).await;
                    while stream.write_all(b"x").await.is_ok() {
                        sleep_until(Deadline::after(now(), Duration::from_secs(1))).await;
                    }
                })
            });
            stage.origin.speaks(switch);
            let begin = now();
            let request = get("").replace(
                "connection: close",
                "connection: upgrade\r\nupgrade: websocket",
            );
            let got = say(&stage, &request).await;
            assert_eq!(status(&got), 101, "{got}");
            assert!(is_about(now() - begin, 10_000), "{:?}", now() - begin);
            assert_eq!(stage.lines()[0]["reason"], "max_duration");
        },
    );
}

#[test]
fn case_46_an_upstream_that_sends_informational_answers_for_ever_is_given_up() {
    on_stage(&config("timeout: 20s"), always(200), async |stage| {
        stage.origin.speaks(std::sync::Arc::new(|mut stream| {
            Box::pin(async move {
                let answers = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000);
                while stream.write_all(&answers).await.is_ok() {}
            })
        }));
        let (reason, _) = timed(&stage, &get("")).await;
        assert_eq!(reason.as_deref(), Some("protocol"));
        assert_eq!(counted(&stage), (1, 0, 1));
    });
}

//! What a tunnel proves about its upstream, on a paused clock: exactly one verdict, and what comes later is told and does not count.

use std::sync::Arc;
use std::time::Duration;

use sidefuse::resilience::State;
use sidefuse::time::now;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::stage::{
    TARGET, ask, counts, echo, hang_up, mute, on, pass, rest, statistics, told, tunnel,
};

#[test]
fn the_first_byte_from_the_upstream_is_the_success_and_not_the_connection() {
    on("timeout: 30s", echo, async |stage| {
        let mut caller = tunnel(&stage).await;
        pass(1).await;
        assert_eq!(counts(&stage), (0, 0), "to accept is not to work");
        caller.write_all(b"x").await.unwrap();
        caller.read_u8().await.unwrap();
        assert_eq!(counts(&stage), (1, 0));
        for _ in 0..9 {
            caller.write_all(b"more").await.unwrap();
            pass(20).await;
        }
        drop(caller);
        pass(1).await;
        assert_eq!(counts(&stage), (1, 0), "one verdict");
        assert_eq!(told(&stage), ["success", "-", "Request completed"]);
    });
}

#[test]
fn an_upstream_that_hangs_up_before_its_first_byte_has_failed_by_reset() {
    let breaker = "timeout: 30s, breaker: {failure_threshold: 1, reset_timeout: 10s}";
    on(breaker, hang_up, async |stage| {
        let mut caller = tunnel(&stage).await;
        caller.write_all(b"hello").await.unwrap();
        assert_eq!(rest(caller).await, b"");
        pass(1).await;
        assert_eq!(counts(&stage), (0, 1));
        assert_eq!(stage.route("r").breaker.in_force(now()).0, State::Open);
        assert_eq!(ask(&stage).await.0, 503);
        assert!(
            stage
                .metrics()
                .contains("sidefuse_attempt_failures_total{route=\"r\",reason=\"reset\"} 1")
        );
        let line = &stage.lines()[0];
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&"failure".into(), &"reset".into())
        );
        assert_eq!(line["msg"], "Request failed");
    });
}

#[test]
fn one_that_hangs_up_before_its_caller_speaks_has_failed_once_he_does() {
    on(
        "timeout: 30s",
        async |stream| drop(stream),
        async |stage| {
            let mut caller = tunnel(&stage).await;
            pass(1).await;
            assert_eq!(
                counts(&stage),
                (0, 0),
                "a server may close what nobody uses"
            );
            let _ = caller.write_all(b"hello").await;
            pass(1).await;
            assert_eq!(counts(&stage), (0, 1));
            assert_eq!(told(&stage), ["failure", "reset", "Request failed"]);
        },
    );
    on(
        "timeout: 30s",
        async |stream| drop(stream),
        async |stage| {
            assert_eq!(rest(tunnel(&stage).await).await, b"");
            pass(1).await;
            assert_eq!(counts(&stage), (0, 0));
            assert_eq!(told(&stage), ["ignored", "reset", "Request cut off"]);
        },
    );
}

#[test]
fn an_upstream_that_never_speaks_has_failed_by_timeout_and_the_tunnel_is_cut() {
    on("timeout: 10s, idle_timeout: 60s", mute, async |stage| {
        let begin = now();
        let mut caller = tunnel(&stage).await;
        caller.write_all(b"hello").await.unwrap();
        assert_eq!(rest(caller).await, b"");
        let took = now() - begin;
        assert!(
            took >= Duration::from_secs(10) && took <= Duration::from_secs(12),
            "{took:?}"
        );
        assert_eq!(counts(&stage), (0, 1));
        assert_eq!(told(&stage), ["failure", "timeout", "Request failed"]);
    });
}

#[test]
fn a_caller_that_leaves_before_the_first_byte_blames_nobody() {
    for says_something in [false, true] {
        on("timeout: 30s", mute, async move |stage| {
            let mut caller = tunnel(&stage).await;
            if says_something {
                caller.write_all(b"hello").await.unwrap();
            }
            drop(caller);
            pass(1).await;
            assert_eq!(counts(&stage), (0, 0));
            assert_eq!(
                told(&stage),
                ["ignored", "client_gone", "Request abandoned"]
            );
        });
    }
}

#[test]
fn a_caller_that_leaves_while_the_upstream_is_dialled_blames_nobody() {
    on("timeout: 30s", mute, async |stage| {
        stage.origin.becomes_a_black_hole();
        let mut caller = stage.pipe();
        let asked = format!("CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
        caller.write_all(asked.as_bytes()).await.unwrap();
        pass(1).await;
        drop(caller);
        pass(1).await;
        assert_eq!(counts(&stage), (0, 0));
        assert_eq!(stage.route("r").upstream.statistics().size, 0);
        assert_eq!(
            told(&stage),
            ["ignored", "client_gone", "Request abandoned"]
        );
    });
}

#[test]
fn a_probe_through_a_tunnel_closes_the_breaker_at_the_first_byte_and_holds_no_place_for_longer_than_a_call()
 {
    let breaker = "timeout: 10s, breaker: {failure_threshold: 1, success_threshold: 1, half_open_max: 1, reset_timeout: 5s, probe_timeout: 2s}";
    on(breaker, hang_up, async |stage| {
        let mut caller = tunnel(&stage).await;
        caller.write_all(b"x").await.unwrap();
        rest(caller).await;
        stage
            .origin
            .speaks(Arc::new(|stream| Box::pin(mute(stream))));
        pass(5).await;
        let silent = tunnel(&stage).await;
        assert_eq!(ask(&stage).await.0, 503, "the probe is out");
        pass(3).await;
        assert_eq!(
            rest(silent).await,
            b"",
            "a caller who does not speak is no probe"
        );
        assert_eq!(counts(&stage).1, 1);
        stage
            .origin
            .speaks(Arc::new(|stream| Box::pin(echo(stream))));
        let mut probe = tunnel(&stage).await;
        probe.write_all(b"x").await.unwrap();
        probe.read_u8().await.unwrap();
        assert_eq!(stage.route("r").breaker.in_force(now()).0, State::Closed);
        assert_eq!(tunnel(&stage).await.write(b"x").await.unwrap(), 1);
    });
}

#[test]
fn a_slow_first_byte_is_a_slow_call() {
    let breaker = "timeout: 30s, breaker: {slow_after: 2s, slow_ratio: 50%, min_calls: 10}";
    on(
        breaker,
        async |mut stream: DuplexStream| {
            stream.read_u8().await.unwrap();
            pass(3).await;
            let _ = stream.write_all(b"x").await;
        },
        async |stage| {
            let mut caller = tunnel(&stage).await;
            pass(5).await;
            caller.write_all(b"x").await.unwrap();
            caller.read_u8().await.unwrap();
            assert_eq!(statistics(&stage).slow, 1);
        },
    );
    on(breaker, echo, async |stage| {
        let mut caller = tunnel(&stage).await;
        pass(5).await;
        caller.write_all(b"x").await.unwrap();
        caller.read_u8().await.unwrap();
        assert_eq!(statistics(&stage).slow, 0, "the caller may take its time");
    });
}

#[test]
fn a_rule_of_the_route_judges_a_reset_of_a_tunnel_as_that_of_a_call() {
    let rules = "timeout: 10s, classify: [{error: reset, as: ignored}]";
    on(rules, hang_up, async |stage| {
        let mut caller = tunnel(&stage).await;
        caller.write_all(b"x").await.unwrap();
        rest(caller).await;
        assert_eq!(counts(&stage), (0, 0));
        assert_eq!(told(&stage)[..2], ["ignored", "reset"]);
    });
}

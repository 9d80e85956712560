//! How long a tunnel goes on, how fast, and where it begins, on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use sidefuse::net::Phase;
use sidefuse::time::now;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::stage::{TARGET, ask, counts, echo, mute, on, pass, rest, told, tunnel};
use crate::support::memory::{always, on_stage};

#[test]
fn a_tunnel_in_which_nobody_speaks_is_cut_and_blames_nobody() {
    on("timeout: 10s, idle_timeout: 60s", mute, async |stage| {
        assert_eq!(rest(tunnel(&stage).await).await, b"");
        assert_eq!(counts(&stage), (0, 0));
        assert_eq!(told(&stage), ["ignored", "idle_timeout", "Request cut off"]);
    });
}

#[test]
fn a_tunnel_that_has_worked_is_cut_after_the_idle_timeout_and_has_worked_all_the_same() {
    on("timeout: 10s, idle_timeout: 60s", echo, async |stage| {
        let mut caller = tunnel(&stage).await;
        for _ in 0..4 {
            caller.write_all(b"x").await.unwrap();
            caller.read_u8().await.unwrap();
            pass(50).await;
        }
        let last = now();
        assert_eq!(rest(caller).await, b"");
        let took = now() - last;
        assert!(
            took >= Duration::from_secs(10) && took <= Duration::from_secs(17),
            "{took:?}"
        );
        assert_eq!(counts(&stage), (1, 0));
        assert_eq!(told(&stage), ["success", "idle_timeout", "Request cut off"]);
    });
}

#[test]
fn a_tunnel_ends_at_the_max_duration_and_blames_nobody() {
    on("timeout: 10s, max_duration: 20s", mute, async |stage| {
        let mut caller = tunnel(&stage).await;
        let begin = now();
        while caller.write_all(b"x").await.is_ok() {
            pass(5).await;
        }
        assert!(now() - begin <= Duration::from_secs(25));
        assert_eq!(counts(&stage), (0, 0));
        assert_eq!(told(&stage), ["ignored", "max_duration", "Request cut off"]);
    });
}

#[test]
fn a_dial_that_takes_too_long_is_504_and_counts() {
    on("timeout: 30s", mute, async |stage| {
        stage.origin.becomes_a_black_hole();
        let begin = now();
        let (status, caller) = ask(&stage).await;
        assert_eq!((status, (now() - begin).as_secs()), (504, 3));
        assert_eq!(counts(&stage), (0, 1));
        drop(caller);
        assert_eq!(
            told(&stage),
            ["failure", "connect_timeout", "Request failed"]
        );
    });
}

#[test]
fn a_caller_that_reads_nothing_holds_its_upstream_up_and_is_cut_and_nobody_has_failed() {
    let speech = async |mut stream: DuplexStream| {
        while stream.write_all(&[7; 4096]).await.is_ok() {}
    };
    on("timeout: 10s, idle_timeout: 20s", speech, async |stage| {
        let caller = tunnel(&stage).await;
        pass(25).await;
        assert_eq!(counts(&stage), (1, 0));
        let line = &stage.lines()[0];
        assert_eq!(line["reason"], "idle_timeout");
        let passed = line["bytesOut"].as_u64().unwrap();
        assert!(passed < 256 * 1024, "{passed} bytes are on their way");
        drop(caller);
    });
}

#[test]
fn an_upstream_that_reads_nothing_holds_its_caller_up() {
    let speech = async |stream: DuplexStream| {
        pass(1000).await;
        drop(stream);
    };
    on("timeout: 10s, idle_timeout: 20s", speech, async |stage| {
        let mut caller = tunnel(&stage).await;
        let mut sent = 0;
        while caller.write_all(&[7; 4096]).await.is_ok() {
            sent += 4096;
        }
        assert!(sent < 256 * 1024, "{sent} bytes are on their way");
        assert_eq!(told(&stage), ["failure", "timeout", "Request failed"]);
    });
}

#[test]
fn the_end_of_the_drain_calls_a_dial_off_and_its_caller_is_told() {
    on("timeout: 30s", mute, async |stage| {
        stage.origin.becomes_a_black_hole();
        let asking = ask(&stage);
        let closing = async {
            pass(1).await;
            stage.worker.shared().phases.advance(Phase::Closing);
        };
        let ((status, caller), ()) = tokio::join!(asking, closing);
        assert_eq!(status, 503);
        assert_eq!(counts(&stage), (0, 0));
        drop(caller);
        assert_eq!(told(&stage), ["ignored", "draining", "Request refused"]);
    });
}

#[test]
fn a_tunnel_begins_where_its_head_ends_however_the_bytes_come_case_41() {
    let head = format!("CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n");
    let early = "GET / HTTP/1.1\r\n\r\n\0\x16";
    let whole = [head.as_bytes(), early.as_bytes()].concat();
    for strict in [true, false] {
        let config = format!(
            "version: 1\nhttp: {{strict: {strict}}}\nroutes: {{r: {{upstream: http://origin}}}}\n"
        );
        on_stage(&config, always(200), async |stage| {
            stage
                .origin
                .speaks(Arc::new(|stream| Box::pin(echo(stream))));
            for at in 1..whole.len() {
                let mut caller = stage.pipe();
                caller.write_all(&whole[..at]).await.unwrap();
                pass(1).await;
                caller.write_all(&whole[at..]).await.unwrap();
                caller.shutdown().await.unwrap();
                let got = rest(caller).await;
                assert!(got.starts_with(b"HTTP/1.1 200 "), "split at {at}");
                assert!(got.ends_with(early.as_bytes()), "split at {at}");
            }
        });
    }
}

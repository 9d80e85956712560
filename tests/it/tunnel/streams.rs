//! Tunnels of an HTTP/2 caller, each a stream of its connection (RFC 9113 §8.5).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use sidefuse::net::Phase;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::support::http2::roomy_caller;
use crate::support::memory::{always, on_stage};

const CONFIG: &str =
    "version: 1\nroutes: {r: {upstream: http://origin, timeout: 5s, idle_timeout: 20s}}\n";

async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

async fn ask(
    sender: &mut SendRequest<Bytes>,
    target: &str,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let request = Request::builder().method(Method::CONNECT).uri(target);
    let (response, stream) = sender
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    (response.await.unwrap(), stream)
}

async fn data(from: &mut RecvStream) -> Option<Bytes> {
    loop {
        let piece = from.data().await?.unwrap();
        from.flow_control().release_capacity(piece.len()).unwrap();
        if !piece.is_empty() {
            return Some(piece);
        }
    }
}

/// Greets, then says everything again.
async fn greet(mut stream: DuplexStream) {
    stream.write_all(b"hello").await.unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

#[test]
fn case_6_several_tunnels_and_a_call_go_over_one_connection() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut sender = roomy_caller(&stage).await;
        let call = Request::get("http://stage/r/x").body(()).unwrap();
        let (call, _) = sender.send_request(call, true).unwrap();
        assert_eq!(call.await.unwrap().status(), 200);
        stage
            .origin
            .speaks(Arc::new(|stream| Box::pin(greet(stream))));
        let mut tunnels = Vec::new();
        for number in 0..3_u8 {
            let (response, mut to) = ask(&mut sender, "origin:80").await;
            assert_eq!(response.status(), 200);
            assert!(response.headers().contains_key("x-correlation-id"));
            assert!(!response.headers().contains_key("content-length"));
            to.send_data(vec![number; 3].into(), false).unwrap();
            tunnels.push((response.into_body(), to));
        }
        for (number, (from, to)) in (0..).zip(&mut tunnels) {
            let mut got = Vec::new();
            while got.len() < 8 {
                got.extend(data(from).await.unwrap());
            }
            assert_eq!(got, [b"hello", &[number; 3][..]].concat());
            to.send_data(Bytes::from_static(b"last"), true).unwrap();
            assert_eq!(data(from).await.unwrap(), "last");
            assert_eq!(data(from).await, None, "a half-close passes, too");
        }
        drop(tunnels);
        pass(1).await;
        let lines = stage.lines();
        assert_eq!(lines.len(), 4);
        for line in &lines[1..] {
            let told = ["requestMethod", "tunnel", "outcome"].map(|key| line[key].as_str());
            assert_eq!(told, ["CONNECT", "origin:80", "success"].map(Some));
            assert_eq!(
                (&line["bytesIn"], &line["bytesOut"]),
                (&7.into(), &12.into())
            );
        }
    });
}

#[test]
fn a_refusal_leaves_the_connection_to_other_streams() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut sender = roomy_caller(&stage).await;
        for target in ["evil.example:443", "origin:81", "origin:80"] {
            let (response, _to) = ask(&mut sender, target).await;
            let expected = if target == "origin:80" { 200 } else { 403 };
            assert_eq!(response.status(), expected, "{target}");
        }
        assert_eq!(stage.origin.connections(), 1);
    });
}

#[test]
fn a_stream_that_is_reset_ends_its_tunnel_and_blames_nobody() {
    on_stage(CONFIG, always(200), async |stage| {
        stage.origin.speaks(Arc::new(|mut stream| {
            Box::pin(async move {
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            })
        }));
        let mut sender = roomy_caller(&stage).await;
        let (response, mut to) = ask(&mut sender, "origin:80").await;
        assert_eq!(response.status(), 200);
        to.send_data(Bytes::from_static(b"x"), false).unwrap();
        pass(1).await;
        to.send_reset(h2::Reason::CANCEL);
        pass(1).await;
        assert_eq!(stage.route("r").upstream.statistics().size, 0);
        let statistics = stage.route("r").breaker.view(now()).statistics;
        assert_eq!((statistics.successes, statistics.failures), (0, 0));
        let line = &stage.lines()[0];
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&"ignored".into(), &"client_gone".into())
        );
    });
}

#[test]
fn a_caller_that_reads_nothing_holds_up_its_upstream_and_no_other_stream_and_is_cut() {
    on_stage(CONFIG, always(200), async |stage| {
        stage.origin.speaks(Arc::new(|mut stream| {
            Box::pin(async move { while stream.write_all(&[7; 4096]).await.is_ok() {} })
        }));
        let mut sender = roomy_caller(&stage).await;
        let (stuck, _stuck) = ask(&mut sender, "origin:80").await;
        pass(1).await;
        stage
            .origin
            .speaks(Arc::new(|stream| Box::pin(greet(stream))));
        let (other, _to) = ask(&mut sender, "origin:80").await;
        let mut other = other.into_body();
        assert_eq!(data(&mut other).await.unwrap(), "hello");
        pass(25).await;
        drop(stuck);
        let mut lines = stage.lines();
        lines.retain(|line| line["bytesOut"].as_u64() > Some(100));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["reason"], "idle_timeout");
        let passed = lines[0]["bytesOut"].as_u64().unwrap();
        assert!(passed < 1 << 20, "{passed} bytes are on their way");
    });
}

#[test]
fn a_drain_lets_the_tunnels_of_a_connection_go_on_and_takes_no_more_of_them() {
    on_stage(CONFIG, always(200), async |stage| {
        stage
            .origin
            .speaks(Arc::new(|stream| Box::pin(greet(stream))));
        let mut sender = roomy_caller(&stage).await;
        let (response, mut to) = ask(&mut sender, "origin:80").await;
        let mut from = response.into_body();
        assert_eq!(data(&mut from).await.unwrap(), "hello");
        stage.worker.shared().phases.advance(Phase::Draining);
        pass(3).await;
        for _ in 0..3 {
            to.send_data(Bytes::from_static(b"more"), false).unwrap();
            assert_eq!(data(&mut from).await.unwrap(), "more");
            pass(10).await;
        }
        let request = Request::builder().method(Method::CONNECT).uri("origin:80");
        let late = sender.send_request(request.body(()).unwrap(), false);
        let is_refused = match late {
            Ok((response, _)) => response.await.is_err(),
            Err(_) => true,
        };
        assert!(is_refused, "its caller was told to go elsewhere");
        to.send_data(Bytes::from_static(b"last"), true).unwrap();
        assert_eq!(data(&mut from).await.unwrap(), "last");
        assert_eq!(data(&mut from).await, None);
    });
}

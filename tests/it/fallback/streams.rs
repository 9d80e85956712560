//! One call for many who speak HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::{JoinHandle, spawn_local};

use super::coalesce::{COALESCE, slow};
use super::{one_route, pass};
use crate::support::executor::LocalExecutor;
use crate::support::memory::{Stage, on_stage};

/// A caller's connection in clear, with prior knowledge.
async fn connection(stage: &Stage) -> SendRequest<Full<Bytes>> {
    let pipe = TokioIo::new(stage.pipe());
    let (sender, connection) = handshake(LocalExecutor, pipe).await.unwrap();
    spawn_local(async move {
        let _ = connection.await;
    });
    sender
}

/// A call on a stream of its own; its status and body.
fn calling(sender: &SendRequest<Full<Bytes>>, id: usize) -> JoinHandle<(u16, String, Bytes)> {
    let mut sender = sender.clone();
    spawn_local(async move {
        let request = Request::get("http://stage/r/a")
            .version(Version::HTTP_2)
            .header("x-correlation-id", format!("id-{id}"))
            .body(Full::default())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let id = response.headers()["x-correlation-id"].to_str().unwrap();
        let id = id.to_owned();
        #[expect(clippy::disallowed_methods, reason = "the body is bounded")]
        let body = Limited::new(response.into_body(), 1024).collect();
        (status, id, body.await.unwrap().to_bytes())
    })
}

#[test]
fn streams_of_one_connection_and_of_others_share_one_call() {
    on_stage(&one_route(COALESCE), slow(200, &[]), async |stage| {
        let (first, second) = (connection(&stage).await, connection(&stage).await);
        let mut calls = Vec::new();
        for id in 0..10 {
            let sender = if id % 2 == 0 { &first } else { &second };
            calls.push(calling(sender, id));
        }
        let old = stage.caller().await.get("/r/a").await;
        assert_eq!(old.status, 200, "HTTP/1.1 shares with them");
        for (id, call) in calls.into_iter().enumerate() {
            let told = call.await.unwrap();
            assert_eq!(told, (200, format!("id-{id}"), "nobody".into()));
        }
        assert_eq!(stage.origin.calls(), 1);
        let lines = stage.lines();
        let shared = lines.iter().filter(|line| line["coalesced"] == true);
        assert_eq!((lines.len(), shared.count()), (11, 10));
    });
}

#[test]
fn a_leading_stream_that_is_reset_is_replaced_by_another_of_its_connection() {
    on_stage(&one_route(COALESCE), slow(200, &[]), async |stage| {
        let sender = connection(&stage).await;
        let leader = calling(&sender, 0);
        pass(Duration::from_millis(100)).await;
        let followers: Vec<_> = (1..4).map(|id| calling(&sender, id)).collect();
        pass(Duration::from_millis(400)).await;
        assert_eq!(stage.origin.calls(), 1);
        leader.abort();
        for call in followers {
            assert_eq!(call.await.unwrap().0, 200);
        }
        assert_eq!(stage.origin.calls(), 2);
        let lines = stage.lines();
        let gone = lines.iter().filter(|line| line["clientGone"] == true);
        assert_eq!((gone.count(), lines.len()), (1, 4));
    });
}

#[test]
fn followers_whose_connection_ends_leave_their_lines_and_the_call_goes_on_for_the_rest() {
    on_stage(&one_route(COALESCE), slow(200, &[]), async |stage| {
        let (stays, leaves) = (connection(&stage).await, connection(&stage).await);
        let leader = calling(&stays, 0);
        pass(Duration::from_millis(100)).await;
        let gone: Vec<_> = (1..4).map(|id| calling(&leaves, id)).collect();
        pass(Duration::from_millis(100)).await;
        gone.iter().for_each(JoinHandle::abort);
        drop(leaves);
        assert_eq!(leader.await.unwrap().0, 200);
        assert_eq!(stage.origin.calls(), 1);
        pass(Duration::from_millis(100)).await;
        let metrics = stage.metrics();
        assert!(metrics.contains("sidefuse_in_flight_requests{route=\"r\"} 0"));
        let lines = stage.lines();
        let gone = lines.iter().filter(|line| line["clientGone"] == true);
        assert!(gone.clone().all(|line| line["outcome"] == "ignored"));
        assert_eq!((gone.count(), lines.len()), (3, 4));
    });
}

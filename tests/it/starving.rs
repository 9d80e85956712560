//! Fewer HTTP/2 connections than workers: who is served.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use sidefuse::resilience::Chance;
use sidefuse::time::{Deadline, now};
use sidefuse::upstream::{Pool, Purpose, Wanted};
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::streams::{begin, config, pass, told};
use crate::support::http2::{self, Http2Origin, Then};
use crate::support::memory::{always, on_stage, silent};
use crate::support::process::Sidefuse;
use crate::support::traffic::Traffic;

/// Answers calls of `/endless` with a stream that goes on until the gate is opened, all others at once.
async fn stream_on(stream: DuplexStream, gate: Arc<Notify>) {
    let mut serving = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = serving.accept().await {
        let is_endless = request.uri().path() == "/endless";
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        if !is_endless {
            body.send_data(Bytes::from_static(b"fine"), true).unwrap();
            continue;
        }
        let gate = Arc::clone(&gate);
        spawn_local(async move {
            gate.notified().await;
            let _ = body.send_data(Bytes::new(), true);
        });
    }
}

/// What another worker's call wants, for as long as it takes.
fn wanting(purpose: Purpose) -> Wanted<'static> {
    let start = now();
    Wanted {
        start,
        deadline: Deadline::after(start, Duration::from_secs(3_600)),
        chance: Chance::WHOLE,
        purpose,
        avoid: None,
        recall: None,
        held: None,
    }
}

#[test]
fn who_waits_for_one_that_waits_for_a_slot_waits_for_us() {
    on_stage(&config("max: 1", "2s"), silent(), async |stage| {
        // Another worker keeps the only connection that there may be, in use.
        let other = Pool::new(Arc::clone(&stage.route("r").upstream), 1, 2);
        let kept = other.checkout(wanting(Purpose::Switch)).await;
        assert!(kept.is_ok());
        let mut calls = Vec::new();
        for _ in 0..3 {
            let request = Request::get("/r/x").header("x-request-timeout", "1200ms");
            calls.push(begin(&stage, request).await);
        }
        for call in calls {
            assert_eq!(told(&call.await.unwrap()), (503, "overloaded"));
        }
        let counted = stage.route("r").breaker.view(now()).statistics;
        assert_eq!(counted.failures, 0);
        assert_eq!(stage.lines()[0]["heldBy"], "upstream.pool");
    });
}

#[test]
fn a_stream_that_never_ends_starves_only_those_for_whom_there_is_no_connection() {
    let config = config("max: 1", "60s").replace("breaker:", "idle_timeout: 1h, breaker:");
    on_stage(&config, always(200), async |stage| {
        let gate = Arc::<Notify>::default();
        let opens = Arc::clone(&gate);
        stage.origin.speaks(Arc::new(move |stream| {
            Box::pin(stream_on(stream, Arc::clone(&opens)))
        }));
        let endless = begin(&stage, Request::post("/r/endless")).await;
        pass(10).await;

        // Another worker has none, and may have none.
        let upstream = Arc::clone(&stage.route("r").upstream);
        let other = Pool::new(upstream, 1, 2);
        let begun = now();
        let wanted = wanting(Purpose::Call);
        let seeks = Rc::clone(&other);
        let waits = spawn_local(async move { seeks.checkout(wanted).await.map(|_| now()) });
        pass(10).await;

        // One call waits for the stream to end, and the next ones do not.
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(begin(&stage, Request::post("/r/x")).await);
        }
        for call in calls {
            let said = call.await.unwrap();
            assert_eq!(told(&said), (200, ""));
            assert_eq!((said.at - begun).as_secs(), 5);
        }
        for _ in 0..20 {
            let asked = now();
            let said = begin(&stage, Request::post("/r/x")).await.await.unwrap();
            assert_eq!((told(&said), said.at), ((200, ""), asked));
            pass(1_000).await;
        }
        assert_eq!(stage.origin.connections(), 1);
        assert!(!waits.is_finished());

        // Once it ends, the connection goes to who has waited for so long.
        let ended = now();
        gate.notify_one();
        assert_eq!(endless.await.unwrap().status, 200);
        assert!(
            waits
                .await
                .unwrap()
                .is_ok_and(|at| at - ended < Duration::from_millis(10))
        );
        assert_eq!(stage.origin.connections(), 2);
    });
}

#[test]
fn fewer_connections_than_workers_starve_no_worker_over_http2() {
    let origin = Http2Origin::start(|stream| {
        http2::ok(stream.respond, "fine");
        Then::Serve
    });
    let sidefuse = Sidefuse::start(&format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}}\nworkers: 2\nroutes: {{r: {{upstream: {{url: \"{}\", http: 2, pool: {{max: 1}}}}, timeout: 20s}}}}\n",
        origin.url()
    ));
    let one = Traffic::start(sidefuse.proxy(), 4, "/r/x");
    let other = Traffic::start(sidefuse.proxy(), 1, "/r/y");
    for _ in 0..20 {
        one.wait_for_more(4);
        other.wait_for_more(1);
    }
    let made = one.stop() + other.stop();
    assert_eq!(origin.targets().len(), made);
}

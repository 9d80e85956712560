use std::sync::atomic::Ordering;

use super::support::{Bench, Tokens};
use crate::net::Phase;

async fn probes(bench: &Bench) -> String {
    let mut told = String::new();
    for path in ["/healthz", "/livez", "/readyz", "/startup"] {
        let reply = bench.get_health(path).await;
        let status = reply.json()["status"].as_str().unwrap().to_owned();
        assert_eq!(bench.get(path).await.status, reply.status);
        told += &format!("{path} {} {status}; ", reply.status);
    }
    told
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_life_of_the_process_and_liveness_does_not() {
    let bench = Bench::new(Tokens::None);
    bench.context.ready.store(false, Ordering::Release);
    assert_eq!(
        probes(&bench).await,
        "/healthz 200 alive; /livez 200 alive; /readyz 503 starting; /startup 503 starting; "
    );
    bench.context.ready.store(true, Ordering::Release);
    bench.fail("whatsapp", 5);
    assert_eq!(
        probes(&bench).await,
        "/healthz 200 alive; /livez 200 alive; /readyz 200 ready; /startup 200 started; "
    );
    bench.context.phases.advance(Phase::Draining);
    assert_eq!(
        probes(&bench).await,
        "/healthz 200 alive; /livez 200 alive; /readyz 503 draining; /startup 200 started; "
    );
}

#[tokio::test(start_paused = true)]
async fn the_health_listener_shows_metrics_to_everyone_and_changes_nothing() {
    let bench = Bench::new(Tokens::Both);
    let metrics = bench.get_health("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for path in [
        "/circuit-breakers",
        "/circuit-breakers/email/open",
        "/config",
        "/",
    ] {
        let reply = bench.get_health(path).await;
        assert_eq!(reply.status, 404);
        assert_eq!(reply.json()["endpoints"][0], "GET /metrics");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_scrape_adds_is_as_reviewed() {
    let bench = Bench::new(Tokens::None);
    bench.fail("whatsapp", 5);
    bench.post("/circuit-breakers/email/open", "").await;
    let metrics = bench.get("/metrics").await.body;
    let ours: String = metrics
        .lines()
        .filter(|line| {
            [
                "_breaker_state",
                "_breaker_forced",
                "_pool_connections",
                "_endpoints",
            ]
            .iter()
            .any(|name| line.contains(name))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(ours);
}

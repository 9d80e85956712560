//! A bad line to a good upstream: slow, far and losing packets. Nothing of that is the upstream's failure.

use std::sync::Arc;
use std::time::Duration;

use sidefuse::resilience::State;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::memory::{always, on_stage_with};

const ROUND_TRIP: Duration = Duration::from_millis(200);
/// A segment of 1 460 bytes at 1 Mbit/s.
const SEGMENT: Duration = Duration::from_micros(11_680);
/// The first time until a lost segment is sent again (RFC 6298 §2).
const RESENT_AFTER: Duration = Duration::from_secs(1);
const BODY: usize = 20 * 1_460;

async fn wait(time: Duration) {
    sleep_until(Deadline::after(now(), time)).await;
}

/// One segment on its way: one in a hundred is lost, again and again if so it comes, each time waited for twice as long.
async fn segment() {
    let mut patience = RESENT_AFTER;
    wait(SEGMENT).await;
    while fastrand::u8(..100) == 0 {
        wait(patience).await;
        patience *= 2;
    }
}

/// An upstream that answers each call well, at the far end of such a line.
async fn behind_the_line(mut stream: DuplexStream) {
    let mut asked = Vec::new();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
    while let Ok(1..) = stream.read_buf(&mut asked).await {
        if !asked.ends_with(b"\r\n\r\n") {
            continue;
        }
        asked.clear();
        segment().await;
        wait(ROUND_TRIP).await;
        segment().await;
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        for _ in 0..BODY / 1_460 {
            segment().await;
            if stream.write_all(&[b'x'; 1_460]).await.is_err() {
                return;
            }
        }
    }
}

#[test]
fn a_line_that_loses_one_packet_in_a_hundred_trips_no_preset_case_113() {
    let presets = ["external-api", "whatsapp", "email"];
    let routes: String = presets
        .iter()
        .map(|preset| format!("  {preset}: {{preset: {preset}, upstream: http://{preset}}}\n"))
        .collect();
    let others: Vec<_> = presets
        .iter()
        .map(|preset| (format!("{preset}:80"), always(200)))
        .collect();
    let others: Vec<_> = others
        .iter()
        .map(|(address, script)| (&**address, Arc::clone(script)))
        .collect();
    let config = format!("version: 1\nroutes:\n{routes}");
    on_stage_with(&config, always(200), &others, async |stage| {
        for preset in presets {
            let origin = stage.at(&format!("{preset}:80"));
            origin.speaks(Arc::new(|stream| Box::pin(behind_the_line(stream))));
            let mut longest = Duration::ZERO;
            for _ in 0..500 {
                let begin = now();
                assert_eq!(stage.get(&format!("/{preset}/x")).await.status, 200);
                longest = longest.max(now() - begin);
            }
            assert!(longest > RESENT_AFTER, "nothing was lost: {longest:?}");
            let view = stage.route(preset).breaker.view(now());
            assert_eq!(view.state(), State::Closed);
            assert_eq!(view.window.failed, 0, "{preset}");
        }
        let lines = stage.lines();
        assert_eq!(lines.len(), 1_500);
        assert!(lines.iter().all(|line| line["outcome"] == "success"));
    });
}

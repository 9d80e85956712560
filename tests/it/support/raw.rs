//! An origin that says certain bytes at certain times, whatever HTTP would say.

use std::time::Duration;

use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What is said to every call, each part after its pause; then the connection ends.
pub(crate) type Speech = Vec<(Duration, Vec<u8>)>;

/// An answer at once: its head as lines, then its body.
pub(crate) fn at_once(head: &[&str], body: &[u8]) -> Speech {
    let mut bytes = head.join("\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(body);
    vec![(Duration::ZERO, bytes)]
}

/// Hears the head of a call, then speaks.
pub(super) async fn speak(mut to: DuplexStream, speech: Speech) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        match to.read_u8().await {
            Ok(byte) => heard.push(byte),
            Err(_) => return,
        }
    }
    for (pause, bytes) in speech {
        if !pause.is_zero() {
            sleep_until(Deadline::after(now(), pause)).await;
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

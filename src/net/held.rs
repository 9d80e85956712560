//! A stream that its holder can break while another task owns it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Context;

use tokio::sync::oneshot;

use super::tapped::{Tap, Tapped};

/// A stream that breaks at its next read once its [`Hold`] is gone; a read that waits then is woken.
///
/// An HTTP/2 connection runs in tasks of the HTTP library's own, which end only with their stream.
pub type Held<I> = Tapped<I, Leash>;

/// The other end of a [`Hold`].
#[derive(Debug)]
pub struct Leash(oneshot::Receiver<Infallible>);

/// Keeps a [`Held`] stream whole; dropping it breaks the stream.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "its drop is its use")] oneshot::Sender<Infallible>);

impl<I> Held<I> {
    /// Holds `io`.
    pub fn new(io: I) -> (Self, Hold) {
        let (sender, hold) = oneshot::channel();
        (Self::over(io, Leash(hold)), Hold(sender))
    }
}

impl Tap for Leash {
    fn reading(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.0.is_terminated() || Pin::new(&mut self.0).poll(cx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_read_that_waits_breaks_when_the_stream_is_let_go() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut near, hold) = Held::new(near);
        far.write_all(b"you").await.unwrap();
        let mut got = [0; 3];
        near.read_exact(&mut got).await.unwrap();
        let reading = tokio::spawn(async move {
            let first = near.read_u8().await;
            (first, near.read_u8().await)
        });
        tokio::task::yield_now().await;
        drop(hold);
        let (first, second) = reading.await.unwrap();
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
    }
}

//! A stream that its holder can break while another task owns it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A stream that breaks at its next read once its [`Hold`] is gone; a read that waits then is woken.
///
/// An HTTP/2 connection runs in tasks of the HTTP library's own, which end only with their stream.
#[derive(Debug)]
pub struct Held<I> {
    io: I,
    hold: oneshot::Receiver<Infallible>,
}

/// Keeps a [`Held`] stream whole; dropping it breaks the stream.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "its drop is its use")] oneshot::Sender<Infallible>);

impl<I> Held<I> {
    /// Holds `io`.
    pub fn new(io: I) -> (Self, Hold) {
        let (sender, hold) = oneshot::channel();
        (Self { io, hold }, Hold(sender))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Held<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.hold.is_terminated() || Pin::new(&mut self.hold).poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Held<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
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

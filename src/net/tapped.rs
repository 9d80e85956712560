//! A byte stream that somebody listens in on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Who listens in on a [`Tapped`] stream. An error of its breaks the stream for whoever reads.
pub trait Tap: Unpin {
    /// Hears that something is about to be read, in the task that reads.
    ///
    /// # Errors
    /// When nothing may be read any more.
    fn reading(&mut self, _cx: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Hears what was read, at least one byte.
    ///
    /// # Errors
    /// When that must not come.
    fn came(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// Hears that something was to be written, of which the stream took that many bytes.
    fn wrote(&mut self, _taken: usize) {}

    /// Hears that all that was written is on its way.
    fn flushed(&mut self) {}
}

/// A stream with its [`Tap`].
#[derive(Debug)]
pub struct Tapped<I, T> {
    io: I,
    pub(super) tap: T,
}

/// Pieces up to this total size are joined before they are written: one write of a head with a short body costs less than two,
/// and copying so little costs next to nothing.
const SMALL: usize = 1024;

impl<I, T: Tap> Tapped<I, T> {
    pub(super) fn over(io: I, tap: T) -> Self {
        Self { io, tap }
    }

    fn tell_written(&mut self, result: &Poll<io::Result<usize>>) {
        self.tap.wrote(match result {
            Poll::Ready(Ok(taken)) => *taken,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        });
    }
}

impl<I: AsyncRead + Unpin, T: Tap> AsyncRead for Tapped<I, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.tap.reading(cx)?;
        let before = buf.filled().len();
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        let came = &buf.filled()[before..];
        if !came.is_empty() {
            this.tap.came(came)?;
        }
        result
    }
}

impl<I: AsyncWrite + Unpin, T: Tap> AsyncWrite for Tapped<I, T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.tell_written(&result);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(cx);
        if let Poll::Ready(Ok(())) = result {
            self.tap.flushed();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        if length <= SMALL && !bufs.is_empty() {
            let mut whole = [0; SMALL];
            let mut at = 0;
            for buf in bufs {
                whole[at..at + buf.len()].copy_from_slice(buf);
                at += buf.len();
            }
            return self.poll_write(cx, &whole[..length]);
        }
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.tell_written(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::net::Metered;

    #[tokio::test]
    async fn pieces_arrive_in_their_order_whether_small_or_large() {
        for sizes in [[3, 5], [0, 7], [SMALL - 1, 1], [SMALL, 1], [40, 3 * SMALL]] {
            let (near, mut far) = tokio::io::duplex(8 * SMALL);
            let mut near = Metered::new(near);
            let (head, body) = (vec![b'h'; sizes[0]], vec![b'b'; sizes[1]]);
            let mut bufs = [io::IoSlice::new(&head), io::IoSlice::new(&body)];
            let mut rest = &mut bufs[..];
            while rest.iter().any(|buf| !buf.is_empty()) {
                let count = near.write_vectored(rest).await.unwrap();
                io::IoSlice::advance_slices(&mut rest, count);
            }
            assert_eq!(near.traffic().written(), (sizes[0] + sizes[1]) as u64);
            drop(near);
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, [head, body].concat());
        }
    }
}

//! An HTTP/2 stream whose peer's frames are weighed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::time::now;
use crate::wire::Frames;

/// A stream that breaks when its peer's frames are out of proportion.
#[derive(Debug)]
pub struct Weighed<I> {
    io: I,
    frames: Frames,
    conduct: Arc<Conduct>,
}

/// How the peer of a [`Weighed`] stream behaves, readable while another task owns the stream.
#[derive(Debug, Default)]
pub struct Conduct(AtomicU8);

const GAVE_UP: u8 = 1;
const EXCESSIVE: u8 = 2;

impl Conduct {
    /// Whether it has said GOAWAY with an error.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) & GAVE_UP != 0
    }

    /// Whether its frames were out of proportion, so that the stream was broken.
    #[must_use]
    pub fn is_excessive(&self) -> bool {
        self.0.load(Ordering::Relaxed) & EXCESSIVE != 0
    }
}

impl<I> Weighed<I> {
    /// Weighs what comes over `io`; the first `preface` bytes are no frames.
    pub fn new(io: I, preface: usize) -> Self {
        Self {
            io,
            frames: Frames::new(preface, now()),
            conduct: Arc::default(),
        }
    }

    /// How the peer behaves.
    pub fn conduct(&self) -> Arc<Conduct> {
        Arc::clone(&self.conduct)
    }

    fn count_written(&mut self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = result {
            self.frames.wrote(*count);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Weighed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        let came = &buf.filled()[before..];
        if came.is_empty() {
            return result;
        }
        let is_in_proportion = this.frames.read(came, now);
        if this.frames.has_given_up() {
            this.conduct.0.fetch_or(GAVE_UP, Ordering::Relaxed);
        }
        if !is_in_proportion {
            this.conduct.0.fetch_or(EXCESSIVE, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "frames without use came out of proportion",
            )));
        }
        result
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Weighed<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        self.count_written(&result);
        result
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
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.count_written(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

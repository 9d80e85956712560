//! Byte streams, and the count of what moved over one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A byte stream: a socket, TLS over one, or a memory pipe.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// Any [`Io`].
pub type BoxIo = Box<dyn Io>;

/// How many bytes moved over a stream, readable while another task owns the stream.
///
/// This is what tells a call that was never sent from one that may have arrived: an HTTP library's error does not.
#[derive(Debug)]
pub struct Traffic {
    read: AtomicU64,
    /// The stream breaks when more than this is read.
    most: AtomicU64,
    written: AtomicU64,
    /// Whether something was to be written since the last flush.
    is_pent_up: AtomicBool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            read: AtomicU64::new(0),
            most: AtomicU64::new(u64::MAX),
            written: AtomicU64::new(0),
            is_pent_up: AtomicBool::new(false),
        }
    }
}

impl Traffic {
    /// Lets no more than `count` bytes be read from now on: the read that brings more fails.
    pub fn bound(&self, count: u64) {
        let most = self.read().saturating_add(count);
        self.most.store(most, Ordering::Relaxed);
    }

    /// Lets any number of bytes be read again.
    pub fn unbound(&self) {
        self.most.store(u64::MAX, Ordering::Relaxed);
    }

    /// Bytes read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes that the stream has accepted so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether the stream's user has something left to write: it flushes after writing all that it has.
    #[must_use]
    pub fn is_pent_up(&self) -> bool {
        self.is_pent_up.load(Ordering::Relaxed)
    }
}

/// Pieces up to this total size are joined before they are written: one write of a head with a short body costs less than two,
/// and copying so little costs next to nothing.
const SMALL: usize = 1024;

/// A stream that counts into a [`Traffic`].
#[derive(Debug)]
pub struct Metered<I> {
    io: I,
    traffic: Arc<Traffic>,
}

impl<I> Metered<I> {
    /// Counts what moves over `io` from now on.
    pub fn new(io: I) -> Self {
        Self {
            io,
            traffic: Arc::default(),
        }
    }

    /// The counters.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    fn count_written(&self, result: &Poll<io::Result<usize>>) {
        self.traffic.is_pent_up.store(true, Ordering::Relaxed);
        if let Poll::Ready(Ok(count)) = result {
            self.traffic
                .written
                .fetch_add(*count as u64, Ordering::Relaxed);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if count > 0 {
            let before = self.traffic.read.fetch_add(count as u64, Ordering::Relaxed);
            if before + count as u64 > self.traffic.most.load(Ordering::Relaxed) {
                let error = "more was read than is allowed";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        result
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
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
        let result = Pin::new(&mut self.io).poll_flush(cx);
        if let Poll::Ready(Ok(())) = result {
            self.traffic.is_pent_up.store(false, Ordering::Relaxed);
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
        self.count_written(&result);
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

    #[tokio::test]
    async fn a_metered_stream_counts_both_directions_exactly() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        let traffic = near.traffic();
        near.write_all(b"hello").await.unwrap();
        assert!(traffic.is_pent_up());
        near.flush().await.unwrap();
        assert!(!traffic.is_pent_up());
        far.write_all(b"you").await.unwrap();
        let mut got = [0; 3];
        near.read_exact(&mut got).await.unwrap();
        assert_eq!((traffic.written(), traffic.read()), (5, 3));
    }

    #[tokio::test]
    async fn a_bound_stream_breaks_behind_its_bound_until_it_is_unbound() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        far.write_all(b"before").await.unwrap();
        near.read_exact(&mut [0; 6]).await.unwrap();
        let traffic = near.traffic();
        traffic.bound(3);
        far.write_all(b"you").await.unwrap();
        near.read_exact(&mut [0; 3]).await.unwrap();
        far.write_all(b"!").await.unwrap();
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        traffic.unbound();
        far.write_all(b"?").await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'?');
    }
}

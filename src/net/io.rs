//! Byte streams, and the count of what moved over one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};

use super::tapped::{Tap, Tapped};

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

/// A stream that counts into a [`Traffic`].
pub type Metered<I> = Tapped<I, Arc<Traffic>>;

impl<I> Metered<I> {
    /// Counts what moves over `io` from now on.
    pub fn new(io: I) -> Self {
        Self::over(io, Arc::default())
    }

    /// The counters.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.tap)
    }
}

impl Tap for Arc<Traffic> {
    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        let before = self.read.fetch_add(count, Ordering::Relaxed);
        if before + count > self.most.load(Ordering::Relaxed) {
            let error = "more was read than is allowed";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    fn wrote(&mut self, taken: usize) {
        self.is_pent_up.store(true, Ordering::Relaxed);
        self.written.fetch_add(taken as u64, Ordering::Relaxed);
    }

    fn flushed(&mut self) {
        self.is_pent_up.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

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

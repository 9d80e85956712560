//! An HTTP/2 stream whose peer's frames are weighed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::tapped::{Tap, Tapped};
use crate::time::now;
use crate::wire::Frames;

/// A stream that breaks when its peer's frames are out of proportion.
pub type Weighed<I> = Tapped<I, Scales>;

/// What the frames of a [`Weighed`] stream are weighed on.
#[derive(Debug)]
pub struct Scales {
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
        let scales = Scales {
            frames: Frames::new(preface, now()),
            conduct: Arc::default(),
        };
        Self::over(io, scales)
    }

    /// How the peer behaves.
    pub fn conduct(&self) -> Arc<Conduct> {
        Arc::clone(&self.tap.conduct)
    }
}

impl Tap for Scales {
    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_in_proportion = self.frames.read(bytes, now);
        if self.frames.has_given_up() {
            self.conduct.0.fetch_or(GAVE_UP, Ordering::Relaxed);
        }
        if !is_in_proportion {
            self.conduct.0.fetch_or(EXCESSIVE, Ordering::Relaxed);
            let error = "frames without use came out of proportion";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    fn wrote(&mut self, taken: usize) {
        self.frames.wrote(taken);
    }
}

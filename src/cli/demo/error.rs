//! Why the demo ends before its last act.

use std::io;
use std::time::Duration;

use crate::app::StartError;

/// Why the demo ends before its last act.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// The system refuses something that the demo is made of.
    #[error("cannot set up {0}")]
    Setup(&'static str, #[source] io::Error),
    /// The proxy could not start, or died.
    #[error("the proxy gave up")]
    Proxy(#[source] StartError),
    /// The proxy ended unasked, or not as it should.
    #[error("the proxy ended with {0}")]
    ProxyEnded(String),
    /// The admin port could not be reached.
    #[error("cannot ask the operators' port for {0}")]
    Admin(&'static str, #[source] io::Error),
    /// What should have happened did not.
    #[error("{what} did not happen within {limit:?}")]
    Late {
        /// What should have happened.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Something else happened than was expected.
    #[error("expected {expected}, but saw {seen}")]
    Unlike {
        /// What should have happened.
        expected: String,
        /// What happened.
        seen: String,
    },
    /// The reader of the output is gone.
    #[error("nobody reads the output")]
    ReaderGone,
    /// A signal of that number ended it.
    #[error("ended by signal {0}")]
    Signal(u8),
}

impl Stop {
    /// The exit code: 128 + signal, 0 when the reader has seen enough, else 1.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Signal(number) => 128 + number,
            Self::ReaderGone => 0,
            Self::Setup(..)
            | Self::Proxy(_)
            | Self::ProxyEnded(_)
            | Self::Admin(..)
            | Self::Late { .. }
            | Self::Unlike { .. } => 1,
        }
    }
}

//! Why the program cannot start.

use std::io;

use crate::config::Report;
use crate::snapshot::BuildError;

/// Why the program cannot start. Each has an exit code of its own kind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration has errors; the report is what to show.
    #[error("the configuration has errors")]
    Config(Report),
    /// The configuration is valid, but something that it names cannot be used.
    #[error("the configuration cannot come alive")]
    Build(#[from] BuildError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (`listen.{key}`)")]
    Bind {
        /// The key under `listen`.
        key: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refuses a thread, a signal handler or a runtime.
    #[error("cannot set up {0}")]
    System(&'static str, #[source] io::Error),
    /// There are too few descriptors to serve a call.
    #[error(
        "this process may open only {limit} files, which leaves too few for calls beside its own; raise the limit (ulimit -n, LimitNOFILE)"
    )]
    Descriptors {
        /// How many it may open.
        limit: u64,
    },
    /// A worker thread ended although nobody asked it to.
    #[error("a worker thread died; its last words are in the log")]
    WorkerDied,
    /// A task that lasts as long as the program ended although nobody asked it to.
    #[error(
        "what {0} ended by itself, which is a defect in sidefuse; its log may have the details"
    )]
    TaskEnded(&'static str),
}

impl StartError {
    /// The exit code: 78 (`EX_CONFIG`) for a bad configuration, 70 (`EX_SOFTWARE`) for a defect of ours, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Build(_) => 78,
            Self::Bind { .. } | Self::System(..) | Self::Descriptors { .. } => 1,
            Self::WorkerDied | Self::TaskEnded(_) => 70,
        }
    }
}

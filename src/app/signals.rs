//! The signals that the process obeys.

use std::convert::Infallible;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Sent together with the error of a write to a file that has reached its size limit (`ulimit -f`). Linux uses this number on
/// all platforms that we build for.
const SIGXFSZ: i32 = 25;

/// The signals that end the process, the one that reloads, and those that ask for nothing.
pub(super) struct Signals {
    pub(super) endings: Endings,
    pub(super) hangup: Signal,
    pub(super) idle: Idle,
}

/// SIGTERM, SIGINT and SIGQUIT, which is how nginx is told to end after its calls.
pub(super) struct Endings {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

/// SIGUSR1 and SIGUSR2: other servers reopen their logs or replace themselves at these, and scripts send them to every one. The system
/// would end the process.
pub(super) struct Idle {
    first: Signal,
    second: Signal,
}

impl Signals {
    /// Handles these signals from now on. SIGXFSZ, which would end the process, is ignored: the write's error is handled like
    /// that of a full disk.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(super) fn install() -> io::Result<Self> {
        // A handler stays installed without a receiver.
        drop(signal(SignalKind::from_raw(SIGXFSZ))?);
        Ok(Self {
            endings: Endings {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
            },
            hangup: signal(SignalKind::hangup())?,
            idle: Idle {
                first: signal(SignalKind::user_defined1())?,
                second: signal(SignalKind::user_defined2())?,
            },
        })
    }
}

impl Endings {
    /// Waits for a signal that ends the process; says its name and number.
    pub(super) async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", 15),
            _ = self.interrupt.recv() => ("SIGINT", 2),
            _ = self.quit.recv() => ("SIGQUIT", 3),
        }
    }
}

impl Idle {
    /// Says of each that it was taken, and goes on.
    pub(super) async fn pass_over(mut self) -> Infallible {
        loop {
            tokio::select! {
                _ = self.first.recv() => tracing::info!(
                    signal = "SIGUSR1",
                    "Nothing to reopen: the log goes to standard output"
                ),
                _ = self.second.recv() => tracing::info!(
                    signal = "SIGUSR2",
                    "Passed over a signal that asks for nothing here: SIGHUP reloads, SIGTERM ends"
                ),
            }
        }
    }
}

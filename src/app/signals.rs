//! The signals that the process obeys.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Sent with the error of a write to a file that has reached its size limit (`ulimit -f`); Linux has this number for it on all that we are
/// built for.
const SIGXFSZ: i32 = 25;

/// SIGTERM and SIGINT end the process, SIGHUP reloads.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on these signals are ours. So is the one of the size limit, which would end the process: the write's error is dealt with
    /// like that of a full disk.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(super) fn install() -> io::Result<Self> {
        // What is installed once stays, with or without somebody who waits.
        drop(signal(SignalKind::from_raw(SIGXFSZ))?);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the process; says its name and number.
    pub(super) async fn ending(
        terminate: &mut Signal,
        interrupt: &mut Signal,
    ) -> (&'static str, u8) {
        tokio::select! {
            _ = terminate.recv() => ("SIGTERM", 15),
            _ = interrupt.recv() => ("SIGINT", 2),
        }
    }

    /// Apart, since different tasks wait for them.
    pub(super) fn split(self) -> (Signal, Signal, Signal) {
        (self.terminate, self.interrupt, self.hangup)
    }
}

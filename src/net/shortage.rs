//! What this process or this machine has run out of, as the system's errors say it.
//!
//! Such an error says nothing about the peer: it must neither open a breaker nor eject an endpoint.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

/// The shortest time between two log lines: every call may meet the same shortage.
const QUIET: Duration = Duration::from_secs(10);

/// The resource that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shortage {
    /// Descriptors, of the process or of the system.
    Descriptors,
    /// Memory for sockets.
    Memory,
    /// Local ports for connections to that address, or local addresses of its kind.
    Ports,
}

/// Limits how often a shortage is logged.
#[derive(Debug, Default)]
pub struct Warned(Mutex<Option<Instant>>);

impl Shortage {
    /// The shortage that an error shows, if it shows one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE => Some(Self::Descriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            Errno::ADDRNOTAVAIL => Some(Self::Ports),
            _ => None,
        }
    }

    /// The name of the resource.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
            Self::Ports => "ports",
        }
    }

    /// What can be done about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Descriptors => {
                "raise the limit of open files (ulimit -n, LimitNOFILE), or lower max_connections and pool.max"
            }
            Self::Memory => "give the machine or the container more memory",
            Self::Ports => {
                "keep connections alive (pool.max, pool.idle_timeout), widen net.ipv4.ip_local_port_range, or name an address of a \
                 family that this machine has"
            }
        }
    }
}

impl From<Shortage> for io::Error {
    fn from(shortage: Shortage) -> Self {
        match shortage {
            Shortage::Descriptors => Errno::MFILE.into(),
            Shortage::Memory => Errno::NOBUFS.into(),
            Shortage::Ports => Errno::ADDRNOTAVAIL.into(),
        }
    }
}

impl Warned {
    /// Whether a line is due at `now`; if so, it counts as written.
    pub fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    /// Logs a warning, unless that was just done.
    pub fn warn(&self, shortage: Shortage, error: &io::Error, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        tracing::warn!(
            shortage = shortage.label(),
            error = error as &dyn std::error::Error,
            remedy = shortage.remedy(),
            "No connection can be opened for want of our own; calls are refused, and no breaker counts that"
        );
    }
}

/// How much an error says about a peer with several addresses. That a local address of one family is missing says the least,
/// since the peer may use the other family. A shortage of ours outweighs all others.
pub(super) fn weight(error: &io::Error) -> u8 {
    match Shortage::of(error) {
        Some(Shortage::Ports) => 0,
        None => 1,
        Some(Shortage::Descriptors | Shortage::Memory) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_has_run_out_of_is_ours_and_what_a_peer_did_is_not() {
        let of = |errno: Errno| Shortage::of(&errno.into());
        let ours = [
            (Errno::MFILE, Shortage::Descriptors),
            (Errno::NFILE, Shortage::Descriptors),
            (Errno::NOMEM, Shortage::Memory),
            (Errno::NOBUFS, Shortage::Memory),
            (Errno::ADDRNOTAVAIL, Shortage::Ports),
        ];
        for (errno, shortage) in ours {
            assert_eq!(of(errno), Some(shortage), "{errno}");
        }
        for errno in [
            Errno::CONNREFUSED,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::CONNRESET,
            Errno::TIMEDOUT,
        ] {
            assert_eq!(of(errno), None, "{errno}");
        }
        assert_eq!(Shortage::of(&io::ErrorKind::NotFound.into()), None);
    }

    #[test]
    fn of_several_addresses_the_want_of_a_family_proves_the_least_and_the_want_of_descriptors_the_most()
     {
        let weight = |errno: Errno| weight(&errno.into());
        assert!(weight(Errno::ADDRNOTAVAIL) < weight(Errno::CONNREFUSED));
        assert!(weight(Errno::CONNREFUSED) < weight(Errno::MFILE));
    }
}

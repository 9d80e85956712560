//! Whom a policy is kept for, when it is not one for all: a tenant, a path segment, a caller's address.

use std::fmt;

use sha2::{Digest, Sha256};

/// The fingerprint of what tells one caller, tenant or resource from another.
///
/// Only the first eight bytes of a SHA-256 are kept, so that a key costs the same however long its text, and the text (it may be an
/// account number) appears in no log line and no answer. Two texts with one fingerprint would share a breaker: of a million texts the
/// chance is one in thirty million.
///
/// ```
/// use sidefuse::resilience::Key;
///
/// assert_eq!(Key::of(b"tenant-7"), Key::of(b"tenant-7"));
/// assert_ne!(Key::of(b"tenant-7"), Key::of(b"tenant-8"));
/// assert_eq!(Key::of(b"tenant-7").to_string().len(), 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of this text.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let digest = Sha256::digest(text);
        let first = digest.iter().take(8);
        Self(first.fold(0, |key, byte| key << 8 | u64::from(*byte)))
    }
}

/// Sixteen hexadecimal digits: what logs and the admin API show.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

//! The key by which a policy tells calls apart: a tenant, a path segment, a caller's address.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
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

    /// The key whose digits these are, as logs and the admin API show them; `None` for any other text.
    ///
    /// ```
    /// use sidefuse::resilience::Key;
    ///
    /// let key = Key::of(b"tenant-7");
    /// assert_eq!(Key::from_digits(&key.to_string()), Some(key));
    /// assert_eq!(Key::from_digits("tenant-7"), None);
    /// ```
    #[must_use]
    pub fn from_digits(text: &str) -> Option<Self> {
        let is_shown = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 16 || !text.bytes().all(is_shown) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }

    /// Its digits without a formatter, for access lines.
    #[must_use]
    pub fn digits(self) -> [u8; 16] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        std::array::from_fn(|place| DIGITS[(self.0 >> (60 - 4 * place) & 0xf) as usize])
    }
}

/// Sixteen hexadecimal digits: what logs and the admin API show.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Saved as it is shown.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        Self::from_digits(&digits).ok_or_else(|| de::Error::custom("no 16 digits of a key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_a_line_are_those_of_an_answer() {
        for text in ["", "a", "tenant-7", "tenant-8", "0"] {
            let key = Key::of(text.as_bytes());
            assert_eq!(key.digits().as_slice(), key.to_string().as_bytes());
        }
        assert_eq!(Key(0x0012).to_string(), "0000000000000012");
        assert_eq!(Key::from_digits("0000000000000012"), Some(Key(0x12)));
        assert_eq!(Key::from_digits("000000000000001G"), None);
        assert_eq!(
            Key::from_digits("000000000000001A"),
            None,
            "we show small ones"
        );
    }
}

//! The name of a field, as far as it matters to a request's framing.

use crate::wire::alias::is_alias;

/// A name that has come in pieces so far.
#[derive(Debug, Default)]
pub(super) struct Name {
    bytes: [u8; LONGEST],
    length: usize,
}

/// What a field means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// `Host`.
    Host,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding`.
    Coding,
    /// `Upgrade`.
    Upgrade,
    /// With a hyphen for each underscore it would be a field that frames a request or that only we may set: some servers read it as
    /// that one.
    Alias,
    /// Its name ends in a space.
    Spaced,
    /// Another field, which does not matter here.
    Nothing,
}

/// Longer than all names that matter, except those that are recognised by their beginning.
const LONGEST: usize = 24;

impl Name {
    /// Whether a name that begins with that byte can mean anything.
    pub(super) fn may_matter(first: u8) -> bool {
        matches!(
            first,
            b'h' | b'H' | b'c' | b'C' | b't' | b'T' | b'u' | b'U' | b'x' | b'X'
        )
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many more bytes are looked at.
    pub(super) fn room(&self) -> usize {
        LONGEST - self.length
    }

    /// Adds bytes, for which there must be room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    pub(super) fn meaning(&self) -> Meaning {
        Meaning::of(&self.bytes[..self.length])
    }
}

impl Meaning {
    /// The meaning of a whole name, or of its beginning if no more is looked at.
    pub(super) fn of(name: &[u8]) -> Self {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is(b"host") => Self::Host,
            14 if is(b"content-length") => Self::Length,
            17 if is(b"transfer-encoding") => Self::Coding,
            7 if is(b"upgrade") => Self::Upgrade,
            _ if name.ends_with(b" ") || name.ends_with(b"\t") => Self::Spaced,
            _ if is_alias(name) => Self::Alias,
            _ => Self::Nothing,
        }
    }
}

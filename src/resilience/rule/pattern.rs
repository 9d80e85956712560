//! A text to compare with, exact or with `*` for any run of characters.

use std::fmt;

/// A text in which each `*` stands for any run of bytes, also an empty one. Case matters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// The pattern as it is written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether it fits the whole of `text`.
    ///
    /// Each part between two stars is matched where it is found first: if the rest matches at all, it matches behind that. So
    /// an upstream's text is scanned once, whatever it holds.
    #[must_use]
    pub fn fits(&self, text: &[u8]) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0.as_bytes() == text;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(text) = text
            .strip_prefix(first.as_bytes())
            .and_then(|text| text.strip_suffix(last.as_bytes()))
        else {
            return false;
        };
        middle
            .split('*')
            .filter(|part| !part.is_empty())
            .try_fold(text, |text, part| {
                let at = text
                    .windows(part.len())
                    .position(|window| window == part.as_bytes())?;
                text.get(at + part.len()..)
            })
            .is_some()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

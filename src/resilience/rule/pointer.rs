//! A place in a JSON document (RFC 6901).

use std::fmt;

use serde_json::Value;

/// A JSON pointer (RFC 6901), split into its parts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pointer(Box<[Box<str>]>);

/// Why a text is no JSON pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPointer {
    /// A part has no slash before it.
    #[error("must begin with `/`")]
    Slash,
    /// A `~` that is neither `~0` nor `~1`.
    #[error("may have a `~` only in `~0`, which is `~`, and in `~1`, which is `/`")]
    Tilde,
}

impl Pointer {
    /// Reads a pointer; the empty text is the whole document.
    ///
    /// # Errors
    /// [`BadPointer`] as RFC 6901 §3 has it.
    pub fn parse(text: &str) -> Result<Self, BadPointer> {
        if text.is_empty() {
            return Ok(Self([].into()));
        }
        let tokens = text.strip_prefix('/').ok_or(BadPointer::Slash)?;
        tokens
            .split('/')
            .map(unescape)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The value at that place.
    #[must_use]
    pub fn find<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.0
            .iter()
            .try_fold(document, |value, token| match value {
                Value::Object(members) => members.get(&**token),
                Value::Array(items) => items.get(index(token)?),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            })
    }
}

/// `~1` first, so that `~01` is `~1` (RFC 6901 §4).
fn unescape(token: &str) -> Result<Box<str>, BadPointer> {
    let is_escape = |rest: &str| rest.starts_with(['0', '1']);
    if !token.split('~').skip(1).all(is_escape) {
        return Err(BadPointer::Tilde);
    }
    Ok(token.replace("~1", "/").replace("~0", "~").into())
}

/// Digits without a leading zero (RFC 6901 §4).
fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || !token.starts_with(['0', '+']);
    is_plain.then(|| token.parse().ok()).flatten()
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

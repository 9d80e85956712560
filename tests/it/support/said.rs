//! Answers as a caller on a stage gets them.

use std::time::Instant;

use bytes::Bytes;

/// An answer as the caller got it.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) reason: Option<String>,
    pub(crate) retry_after: Option<String>,
    /// Between the call and the answer's headers, on the still clock.
    pub(crate) at: Instant,
}

/// A whole answer as the caller got it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Said {
    /// The header of that name; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

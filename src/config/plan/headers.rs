//! What happens to header fields.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};

/// What happens to header fields on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadersPlan {
    /// Changes of requests.
    pub request: HeaderEdits,
    /// Changes of answers.
    pub response: HeaderEdits,
}

/// Changes to a header section: first the removals, then the settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdits {
    /// Set to this, replacing what was there.
    pub set: Vec<(HeaderName, HeaderText)>,
    /// Removed.
    pub remove: Vec<HeaderName>,
}

/// The value a header field is set to.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderText {
    /// As written.
    Literal(HeaderValue),
    /// A secret in a file.
    File {
        /// The file; its final newline does not count.
        path: PathBuf,
        /// The value: the prefix, then the file's text as it was when the configuration was read. Marked as sensitive.
        value: HeaderValue,
    },
}

//! What happens to header fields.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};

/// What happens to header fields on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadersPlan {
    /// On the way up.
    pub request: HeaderEdits,
    /// On the way back.
    pub response: HeaderEdits,
}

/// Changes to a header section: first the removals, then the settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdits {
    /// Set to this, replacing what was there.
    pub set: Vec<(HeaderName, HeaderText)>,
    /// Taken away.
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
        /// What the field says: the prefix, and then the file's text as it was when the configuration was read. Marked as sensitive.
        value: HeaderValue,
    },
}

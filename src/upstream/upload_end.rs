//! How a request body can end before its end.

use std::error::Error as _;
use std::io;

/// How an upload ended before its end because of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadEnd {
    /// The caller broke off.
    Gone,
    /// The caller does not frame it as HTTP requires.
    Malformed,
    /// The caller sent nothing for the idle timeout.
    Stalled,
}

impl UploadEnd {
    /// Of a body that broke off with that error.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if is_misframed(error) {
            Self::Malformed
        } else {
            Self::Gone
        }
    }
}

/// The caller's body did not end well. The connection needs to know no more.
#[derive(Debug, thiserror::Error)]
#[error("the caller's request body broke off")]
pub struct UploadError;

/// Whether a body broke off because it is not framed as HTTP has it, which the HTTP library reports as `InvalidInput` or `InvalidData`.
pub(super) fn is_misframed(error: &hyper::Error) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| {
        [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData].contains(&source.kind())
    })
}

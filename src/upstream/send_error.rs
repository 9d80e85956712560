//! A call that failed before its response headers: why, and what is certain about it.

use std::error::Error as _;
use std::io;

use http::Request;
use hyper::client::conn::TrySendError;

use super::upload::Upload;
use crate::failure::Failure;

/// What is certain about a call that failed before its response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The upstream cannot have seen any of it.
    NeverSent,
    /// It was sent over a connection that had served before, and nothing came back: typically a keep-alive connection that
    /// closed at that moment.
    Unanswered,
    /// It may have been carried out.
    Unknown,
}

/// A call that failed before its response headers.
#[derive(Debug)]
pub struct SendError {
    /// Why.
    pub failure: Failure,
    /// What is certain about it.
    pub fate: Fate,
    /// The call, where the connection gave it back.
    pub request: Option<Box<Request<Upload>>>,
}

impl SendError {
    /// Converts the HTTP library's error. A call that it gives back was never sent; any other has this fate.
    pub(super) fn new(mut error: TrySendError<Request<Upload>>, fate: Fate) -> Self {
        let request = error.take_message().map(Box::new);
        Self {
            failure: reason(error.error()),
            fate: if request.is_some() {
                Fate::NeverSent
            } else {
                fate
            },
            request,
        }
    }

    /// With another reason, where one is known.
    pub(super) fn named(self, failure: Option<Failure>) -> Self {
        Self {
            failure: failure.unwrap_or(self.failure),
            ..self
        }
    }
}

/// The HTTP/2 error that lies behind an error of the HTTP library.
pub(super) fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// The reason for an error of the HTTP library, by which side caused it.
fn reason(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return Failure::Protocol;
    }
    if let Some(h2) = h2_error(error) {
        let is_reset = h2.is_io() || h2.is_reset() || h2.reason() == Some(h2::Reason::NO_ERROR);
        return if is_reset {
            Failure::Reset
        } else {
            Failure::Protocol
        };
    }
    let is_foreign = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::InvalidData);
    if is_foreign {
        Failure::Protocol
    } else {
        Failure::Reset
    }
}

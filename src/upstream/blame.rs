//! Whose doing it is that a call over HTTP/2 was lost before its answer.
//!
//! Over HTTP/1 an upstream answers a request that it does not take: 400, or 431 if the head is too large. Over HTTP/2 many servers give
//! up the stream instead, or the whole connection with every call on it, and their codes say little: a head that is too large is
//! INTERNAL_ERROR to HAProxy and Envoy and ENHANCE_YOUR_CALM to nginx and Node. None of that may open a breaker for all callers:
//!
//! - A stream that is reset with PROTOCOL_ERROR is a request that the upstream calls malformed (RFC 9113 §8.1.1): 400.
//! - A complaint about a request whose head is larger than servers take by default is about that head: 431.
//! - Calls that shared a connection which the upstream gave up with an error are one loss, and none if such a head went over it; the same
//!   holds for answers that break off with it.
//!
//! A connection that is lost without a word is the upstream's doing, and each call on it a failure.

use std::cell::Cell;
use std::sync::Arc;

use h2::Reason;
use http::Request;

use super::send_error::Fate;
use crate::failure::Failure;
use crate::net::Conduct;

/// The size of target and fields that every usual server takes: nginx and Apache take 8 KiB in one field.
const USUAL_BYTES: usize = 8 * 1024;

/// The number of fields that every usual server takes: Envoy takes 100, with those that it adds.
const USUAL_FIELDS: usize = 64;

/// What is known of a connection when calls are lost with it.
pub(super) struct Blame {
    conduct: Arc<Conduct>,
    has_carried_large: Cell<bool>,
    /// A call counts as lost already.
    is_laid: Cell<bool>,
}

/// The size of a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadSize {
    Usual,
    /// Larger than some servers take.
    Large,
}

/// How a call was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The upstream reset its stream.
    Reset(Reason),
    /// The upstream said GOAWAY and will not look at it.
    Unprocessed(Reason),
    /// The upstream broke the rules of HTTP/2, and we gave up the connection.
    Broken,
    /// In another way.
    Other,
}

impl HeadSize {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let target = request.uri().path_and_query();
        let mut bytes = target.map_or(0, |target| target.as_str().len());
        for (name, value) in headers {
            bytes += name.as_str().len() + value.len();
        }
        if headers.len() > USUAL_FIELDS || bytes > USUAL_BYTES {
            Self::Large
        } else {
            Self::Usual
        }
    }
}

impl Loss {
    /// By the error of the HTTP/2 library, if it is one.
    pub(super) fn of(error: Option<&h2::Error>) -> Self {
        let Some(error) = error else {
            return Self::Other;
        };
        match error.reason() {
            Some(reason) if error.is_remote() && error.is_reset() => Self::Reset(reason),
            Some(reason) if error.is_remote() && error.is_go_away() => Self::Unprocessed(reason),
            Some(_) if error.is_library() && error.is_go_away() => Self::Broken,
            Some(_) | None => Self::Other,
        }
    }
}

impl Blame {
    pub(super) fn new(conduct: Arc<Conduct>) -> Self {
        Self {
            conduct,
            has_carried_large: Cell::new(false),
            is_laid: Cell::new(false),
        }
    }

    /// Notes that a request is sent.
    pub(super) fn sends(&self, size: HeadSize) {
        if size == HeadSize::Large {
            self.has_carried_large.set(true);
        }
    }

    /// The reason of a loss, where it is another than the library's error says, and what is certain about the call.
    pub(super) fn judge(&self, loss: Loss, size: HeadSize) -> (Option<Failure>, Fate) {
        let too_large = (Some(Failure::HeadersTooLarge), Fate::Unknown);
        match (loss, size) {
            (Loss::Reset(Reason::REFUSED_STREAM), _) => (None, Fate::NeverSent),
            (Loss::Reset(reason), HeadSize::Large) if is_complaint(reason) => too_large,
            (Loss::Reset(Reason::PROTOCOL_ERROR), HeadSize::Usual) => {
                (Some(Failure::BadRequest), Fate::Unknown)
            }
            (Loss::Unprocessed(reason), HeadSize::Large) if is_complaint(reason) => too_large,
            // Whatever its code, streams above the last are as good as never made (RFC 9113 §6.8).
            (Loss::Unprocessed(Reason::NO_ERROR), _) => (None, Fate::NeverSent),
            (Loss::Unprocessed(_), _) => (Some(self.given_up()), Fate::NeverSent),
            (Loss::Broken, _) => {
                let is_first = !self.is_laid.replace(true);
                let shared = (!is_first).then_some(Failure::SharedLoss);
                (shared, Fate::Unknown)
            }
            (Loss::Other, HeadSize::Large) if self.conduct.gave_up() => too_large,
            (Loss::Other, _) if self.conduct.gave_up() => (Some(self.given_up()), Fate::Unknown),
            (Loss::Reset(_) | Loss::Other, _) => (None, Fate::Unknown),
        }
    }

    /// What the break of an answer's body counts as.
    pub(super) fn charge(&self, failure: Failure) -> Failure {
        let is_shared = failure == Failure::Truncated
            && self.conduct.gave_up()
            && self.given_up() == Failure::SharedLoss;
        if is_shared {
            Failure::SharedLoss
        } else {
            failure
        }
    }

    /// What a call is lost to on a connection that the upstream gave up with an error.
    fn given_up(&self) -> Failure {
        if self.has_carried_large.get() || self.is_laid.replace(true) {
            Failure::SharedLoss
        } else {
            Failure::Reset
        }
    }
}

/// Whether servers say so of a request that they do not take. REFUSED_STREAM, CANCEL and others are about the call or the server.
fn is_complaint(reason: Reason) -> bool {
    [
        Reason::PROTOCOL_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::FRAME_SIZE_ERROR,
        Reason::COMPRESSION_ERROR,
        Reason::ENHANCE_YOUR_CALM,
    ]
    .contains(&reason)
}

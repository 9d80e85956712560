//! How an exchange begins and how it ends.

use std::time::Instant;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method};

use super::correlation::{Correlation, TraceId};
use crate::failure::Failure;

/// What is known of a request when its exchange begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// When it was accepted.
    pub now: Instant,
    /// Its id.
    pub correlation: Correlation,
    /// Its method; `None` when the request could not be read.
    pub method: Option<Method>,
    /// Its path, if its target has one.
    pub path: Option<PathAndQuery>,
    /// The user that it names.
    pub user_id: Option<HeaderValue>,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The caller got the whole answer, the upstream's or ours.
    Complete,
    /// The answer broke off for this reason.
    Broken(Failure),
    /// The caller left before it had the whole answer.
    ClientGone,
}

//! Whom a breaker is kept for, where it is not one for all.

use http::HeaderName;

/// Breakers for single keys below a route's own, with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedPlan {
    /// What tells the keys apart.
    pub by: KeySource,
    /// The most of them that have breakers of their own.
    pub max_keys: usize,
}

/// What of a request is its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The value of this field.
    Header(HeaderName),
    /// This segment of the path after what is ours of it, from 1.
    PathSegment(usize),
    /// The host that the caller wrote, in lower case and without port.
    Host,
}

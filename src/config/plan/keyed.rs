//! The plan of breakers for single keys.

use http::HeaderName;

/// Breakers for single keys below a route's own, with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedPlan {
    /// What tells the keys apart.
    pub by: KeySource,
    /// The most keys that have breakers of their own.
    pub max_keys: usize,
}

/// The part of a request that is its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The value of this field.
    Header(HeaderName),
    /// This segment of the path behind the route's prefix, from 1.
    PathSegment(usize),
    /// The host that the caller wrote, in lower case and without port.
    Host,
}

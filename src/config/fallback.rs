//! The plan of what callers get instead of the upstream's answer.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::template::Template;

/// One entry of a route's `fallback`. Of several the first that can answer does.
#[derive(Clone, Debug, PartialEq)]
pub struct FallbackPlan {
    /// What the caller gets.
    pub kind: FallbackKind,
    /// Also after a failed exchange, not only where we refused to call.
    pub on_failure: bool,
}

/// What a caller gets instead.
#[derive(Clone, Debug, PartialEq)]
pub enum FallbackKind {
    /// A fixed answer.
    Respond(RespondPlan),
    /// The answer of the route of that name, which exists; no chain of them comes back to where it began.
    Route(String),
    /// The last good answer to the same call.
    Stale(StalePlan),
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq)]
pub struct RespondPlan {
    /// Its status, 200 to 599; `None` for the one that the refusal would have had.
    pub status: Option<StatusCode>,
    /// Its header fields; none that the proxy sets itself.
    pub headers: Vec<(HeaderName, Template)>,
    /// The media type of its body, unless `headers` has it.
    pub content_type: Option<HeaderValue>,
    /// Its body; `None` for none.
    pub body: Option<Template>,
}

/// The last good answer to the same call, and sharing one call among those that are made at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StalePlan {
    /// How old an answer may be.
    pub max_age: Duration,
    /// How much memory all answers of the route may take.
    pub max_bytes: u64,
    /// The largest body that is kept.
    pub max_body: u64,
    /// Request headers that tell calls apart, besides those that an answer names in its `Vary`.
    pub vary: Vec<HeaderName>,
    /// Request headers that tell no calls apart, besides those that never do.
    pub neutral: Vec<HeaderName>,
    /// Whether all callers may get the same answer, whatever their headers.
    pub credentials: Sharing,
    /// Whether the upstream's `Cache-Control` decides what is kept and for how long.
    pub cache_control: Obedience,
    /// Whether calls that are the same and made at the same time share one call to the upstream.
    pub coalesce: bool,
}

/// Whether something is shared among callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each has its own.
    Apart,
    /// All have the same.
    Shared,
}

/// How far an upstream's wish is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obedience {
    /// As a shared cache must (RFC 9111).
    Obeyed,
    /// Only `no-store` counts: the operator knows better.
    Ignored,
}

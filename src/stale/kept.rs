//! One answer that is kept, and those to one call that differ by what their `Vary` names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

use super::asked::{Asked, Print};

/// The most answers to one call that differ by their `Vary`.
pub(super) const MAX_VARIANTS: usize = 32;

/// What an answer weighs besides its texts: its own parts, and its place in the store.
const WEIGHT: u64 = 512;

/// An answer that is kept: always a 200.
#[derive(Debug)]
pub struct Kept {
    /// The upstream's header fields as they came, without cookies.
    pub headers: HeaderMap,
    /// The whole body, in the coding in which it came.
    pub body: Bytes,
    pub(super) made: Made,
    /// What the request had in the headers that the answer varies by.
    pub(super) varies: Vec<(HeaderName, Print)>,
}

/// When an answer was made and until when it may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// When its headers came.
    pub(super) at: Instant,
    /// How old it was then.
    pub(super) age: Duration,
    /// How old it may become.
    pub(super) lasts: Duration,
}

impl Kept {
    /// How old the answer is.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made.at) + self.made.age
    }

    /// Its entity tag.
    #[must_use]
    pub fn tag(&self) -> Option<&HeaderValue> {
        self.headers.get(ETAG)
    }

    /// Whether it answers that call too: all that it varies by is the same there.
    #[must_use]
    pub fn answers(&self, asked: &Asked) -> bool {
        self.varies
            .iter()
            .all(|(name, print)| asked.select(name) == *print)
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.age(now) <= self.made.lasts
    }

    pub(super) fn weight(&self) -> u64 {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        WEIGHT + (headers + self.varies.len() * 64 + self.body.len()) as u64
    }
}

/// The fields of an answer that can be given to another call: without what is one caller's.
pub(super) fn lasting(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(SET_COOKIE);
    headers
}

/// The answers to one call, the newest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Variants(Arc<[Arc<Kept>]>);

impl Variants {
    /// The newest that answers the call and may still be used.
    pub(super) fn find(&self, asked: &Asked, now: Instant) -> Option<Arc<Kept>> {
        let fits = |kept: &&Arc<Kept>| kept.is_usable(now) && kept.answers(asked);
        self.0.iter().find(fits).cloned()
    }

    /// With one more, without those that it replaces or that are past their time; `None` when a newer one is there.
    pub(super) fn with(&self, kept: Arc<Kept>, now: Instant) -> Option<Self> {
        let is_same = |other: &Arc<Kept>| other.varies == kept.varies;
        let newer = |other: &Arc<Kept>| is_same(other) && other.made.at > kept.made.at;
        if self.0.iter().any(newer) {
            return None;
        }
        let others = self
            .0
            .iter()
            .filter(|other| !is_same(other) && other.is_usable(now))
            .take(MAX_VARIANTS - 1)
            .cloned()
            .collect::<Vec<_>>();
        Some(Self([kept].into_iter().chain(others).collect()))
    }

    /// At least 1: the store never lets go of what weighs nothing.
    pub(super) fn weight(&self) -> u64 {
        self.0.iter().map(|kept| kept.weight()).sum::<u64>().max(1)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

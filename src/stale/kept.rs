//! One kept answer, and the answers to one call that differ by the fields that their `Vary` names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

use super::asked::Asked;
use super::print::Print;

/// The most answers to one call that differ by their `Vary`.
pub(super) const MAX_VARIANTS: usize = 32;

/// Bytes of an answer besides its fields and body: its own parts, and its place in the store.
const WEIGHT: usize = 768;

/// Bytes of a map for each field that it has room for: name, value, hash, links, and its place in the index.
const FIELD: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 40;

/// Bytes of a map for each further value of a name; it has room for twice as many as there are.
const FURTHER: usize = 2 * (size_of::<HeaderValue>() + 32);

/// Bytes of a name or a value besides its text: the reference count, and rounding.
const SHARED: usize = 48;

/// An answer that is kept: always a 200.
#[derive(Debug)]
pub struct Kept {
    /// The upstream's header fields as they came, without cookies.
    pub headers: HeaderMap,
    /// The whole body, in the coding in which it came.
    pub body: Bytes,
    pub(super) made: Made,
    /// The fingerprints of the request's headers that the answer varies by.
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

    /// Whether it answers that call as well: the headers that it varies by are the same.
    #[must_use]
    pub fn answers(&self, asked: &Asked) -> bool {
        self.varies
            .iter()
            .all(|(name, print)| asked.select(name) == *print)
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.age(now) <= self.made.lasts
    }

    /// The bytes that it holds, plus an eighth for what an allocator rounds up.
    pub(super) fn weight(&self) -> u64 {
        let headers = &self.headers;
        let texts: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + SHARED + value.len())
            .sum();
        let further = headers.len() - headers.keys_len();
        let varies = self.varies.capacity() * size_of::<(HeaderName, Print)>();
        let names = self.varies.len() * SHARED;
        let bytes = WEIGHT
            + texts
            + headers.capacity() * FIELD
            + further * FURTHER
            + varies
            + names
            + self.body.len();
        (bytes + bytes / 8) as u64
    }
}

/// The fields of an answer that can be given to another caller, in memory of their own: without those that are one caller's.
///
/// The values of a head are slices of the connection's read buffer. Kept as they are, a few of them would hold a megabyte.
pub(super) fn lasting(headers: &HeaderMap) -> HeaderMap {
    let lasting = || headers.iter().filter(|(name, _)| *name != SET_COOKIE);
    let length = lasting().map(|(_, value)| value.len()).sum();
    let mut texts = Vec::with_capacity(length);
    lasting().for_each(|(_, value)| texts.extend_from_slice(value.as_bytes()));
    let mut texts = Bytes::from(texts);
    let mut own = HeaderMap::with_capacity(lasting().count());
    for (name, value) in lasting() {
        // Copied from a valid value, so it is valid. Names always have memory of their own.
        if let Ok(text) = HeaderValue::from_maybe_shared(texts.split_to(value.len())) {
            own.append(name.clone(), text);
        }
    }
    own
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

    /// The variants with one more, without those that it replaces or that have expired; `None` when there is a newer one.
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

    /// At least 1: the store never evicts what weighs nothing.
    pub(super) fn weight(&self) -> u64 {
        self.0.iter().map(|kept| kept.weight()).sum::<u64>().max(1)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::StatusCode;

    use super::super::store::tests::{get, plan};
    use super::*;
    use crate::stale::Store;
    use crate::time::now;

    /// What a connection reads into; `LIVING` counts those that are still held.
    struct ReadBuffer(Vec<u8>);

    static LIVING: AtomicUsize = AtomicUsize::new(0);

    impl ReadBuffer {
        fn of(text: &str) -> Bytes {
            LIVING.fetch_add(1, Ordering::Relaxed);
            let mut buffer = text.as_bytes().to_vec();
            buffer.resize(1 << 20, 0);
            Bytes::from_owner(Self(buffer))
        }
    }

    impl AsRef<[u8]> for ReadBuffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for ReadBuffer {
        fn drop(&mut self) {
            LIVING.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_kept_holds_nothing_of_the_buffer_that_it_was_read_into() {
        let (store, now) = (Store::new(plan()), now());
        for call in 0..10 {
            let buffer = ReadBuffer::of("text/plain\"tag\"onetwothe whole body");
            let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("content-type", value(0..10));
            headers.insert(ETAG, value(10..15));
            headers.append("x-custom", value(15..18));
            headers.append("x-custom", value(18..21));
            headers.append("x-empty", value(18..18));
            let asked = get(&store, &format!("/{call}"), &[]);
            let head = (StatusCode::OK, &headers);
            let mut collector = store.collect(&asked, head, Some(14), now).unwrap();
            assert!(collector.push(&buffer.slice(21..35)));
            let _shared = collector.finish(now);
            drop((buffer, headers));
            assert_eq!(LIVING.load(Ordering::Relaxed), 0);
            let kept = store.find(&asked, now).unwrap();
            assert_eq!(kept.body, "the whole body");
            let fields: Vec<_> = kept
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .collect();
            assert_eq!(
                fields,
                [
                    ("content-type", "text/plain"),
                    ("etag", "\"tag\""),
                    ("x-custom", "one"),
                    ("x-custom", "two"),
                    ("x-empty", "")
                ]
                .map(|(name, value)| (
                    name,
                    &*Box::leak(Box::new(HeaderValue::from_static(value)))
                ))
            );
        }
    }
}

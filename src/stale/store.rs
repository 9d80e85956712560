//! The answers of one route, within a budget of bytes, for all workers.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::StatusCode;
use http::header::HeaderMap;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::asked::{Asked, varying};
use super::cache_control::{age, lasts};
use super::collector::Collector;
use super::flight::Flights;
use super::kept::{Kept, Made, Variants, lasting};
use super::print::Print;
use crate::config::plan::StalePlan;

#[derive(Clone)]
struct ByBytes;

impl Weighter<Print, Variants> for ByBytes {
    fn weight(&self, _: &Print, variants: &Variants) -> u64 {
        variants.weight()
    }
}

/// The answers of one route. Answers that are used again are kept longest; others are evicted to keep the budget.
pub struct Store {
    plan: StalePlan,
    answers: Cache<Print, Variants, ByBytes>,
    /// Bytes of answers that are still coming in.
    pub(super) coming: AtomicU64,
    pub(super) flights: Mutex<Flights>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("plan", &self.plan)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(plan: StalePlan) -> Arc<Self> {
        // An estimate from the usual size of an API's answer. One shard: each shard has a share of the budget, and one large
        // answer would not fit into a share.
        let items = usize::try_from(plan.max_bytes / 16_384).unwrap_or(usize::MAX);
        let mut options = OptionsBuilder::new();
        let options = options
            .shards(1)
            .estimated_items_capacity(items.clamp(32, 65_536))
            .weight_capacity(plan.max_bytes)
            .build();
        let answers = match options {
            Ok(options) => Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // Fails only for missing options.
            Err(_) => Cache::with_weighter(items, plan.max_bytes, ByBytes),
        };
        Arc::new(Self {
            plan,
            answers,
            coming: AtomicU64::new(0),
            flights: Mutex::new(HashMap::new()),
        })
    }

    /// What it was made from.
    #[must_use]
    pub fn plan(&self) -> &StalePlan {
        &self.plan
    }

    /// Bytes that its answers take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.answers.weight()
    }

    /// How many calls have an answer.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.answers.len()
    }

    /// The last good answer to the call, if there is one that may be used.
    #[must_use]
    pub fn find(&self, asked: &Asked, now: Instant) -> Option<Arc<Kept>> {
        if !asked.may_serve() {
            return None;
        }
        self.answers.get(&asked.print)?.find(asked, now)
    }

    /// Begins to collect an answer, if it may be kept. `length` is that of its body, where it is known.
    #[must_use]
    pub fn collect(
        self: &Arc<Self>,
        asked: &Asked,
        head: (StatusCode, &HeaderMap),
        length: Option<u64>,
        now: Instant,
    ) -> Option<Collector> {
        let (status, headers) = head;
        if !asked.may_keep() || length.is_some_and(|length| length > self.plan.max_body) {
            return None;
        }
        let made = Made {
            at: now,
            age: age(headers),
            lasts: lasts(status, headers, &self.plan)?,
        };
        let varies = varying(headers)?;
        let kept = Kept {
            headers: lasting(headers),
            body: bytes::Bytes::new(),
            made,
            varies: varies
                .into_iter()
                .map(|name| {
                    let print = asked.select(&name);
                    (name, print)
                })
                .collect(),
        };
        Collector::new(Arc::clone(self), asked.print, kept, length)
    }

    pub(super) fn keep(&self, print: Print, kept: Arc<Kept>, now: Instant) {
        let before = self.answers.peek(&print).unwrap_or_default();
        let Some(mut variants) = before.with(Arc::clone(&kept), now) else {
            return;
        };
        if variants.weight() > self.plan.max_bytes && variants.len() > 1 {
            variants = Variants::default().with(kept, now).unwrap_or_default();
        }
        // An answer larger than the whole budget would evict everything and then itself.
        if variants.weight() <= self.plan.max_bytes {
            self.answers.insert(print, variants);
        }
    }

    /// Takes room for bytes that are coming in: together they may be as many as the budget.
    pub(super) fn take_room(&self, bytes: u64) -> bool {
        let taken = self.coming.fetch_add(bytes, Ordering::Relaxed);
        if taken.saturating_add(bytes) > self.plan.max_bytes {
            self.give_room(bytes);
            return false;
        }
        true
    }

    pub(super) fn give_room(&self, bytes: u64) {
        self.coming.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use http::{HeaderName, HeaderValue, Method};

    use super::super::asked::Call;
    use super::*;
    use crate::config::plan::{Obedience, Sharing};
    use crate::time::now;

    pub(in crate::stale) fn plan() -> StalePlan {
        StalePlan {
            max_age: Duration::from_secs(3600),
            max_bytes: 64 * 1024,
            max_body: 16 * 1024,
            vary: Vec::new(),
            neutral: Vec::new(),
            credentials: Sharing::Apart,
            cache_control: Obedience::Obeyed,
            coalesce: true,
        }
    }

    pub(in crate::stale) fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    /// A GET of that target.
    pub(in crate::stale) fn call<'a>(target: &'a str, headers: &'a HeaderMap) -> Call<'a> {
        Call {
            method: &Method::GET,
            host: None,
            target,
            headers,
            keys: [None; 2],
            user_id: None,
            ids: &[],
        }
    }

    pub(in crate::stale) fn get(store: &Store, target: &str, fields: &[(&str, &str)]) -> Asked {
        Asked::of(&call(target, &headers(fields)), store.plan()).unwrap()
    }

    fn put(store: &Arc<Store>, asked: &Asked, fields: &[(&str, &str)], body: &[u8], now: Instant) {
        let head = (StatusCode::OK, &headers(fields));
        let mut collector = store.collect(asked, head, None, now).unwrap();
        assert!(collector.push(body));
        collector.finish(now);
    }

    fn body(store: &Store, asked: &Asked, now: Instant) -> Option<String> {
        let kept = store.find(asked, now)?;
        Some(String::from_utf8(kept.body.to_vec()).unwrap())
    }

    #[test]
    fn the_last_good_answer_is_found_until_it_is_too_old() {
        let (store, begin) = (Store::new(plan()), now());
        let asked = get(&store, "/a", &[]);
        assert_eq!(body(&store, &asked, begin), None);
        put(&store, &asked, &[("age", "100")], b"one", begin);
        let later = begin + Duration::from_secs(3500);
        assert_eq!(body(&store, &asked, later).as_deref(), Some("one"));
        assert_eq!(body(&store, &asked, later + Duration::from_secs(1)), None);
        put(&store, &asked, &[], b"two", later);
        assert_eq!(body(&store, &asked, later).as_deref(), Some("two"));
        assert_eq!(store.entries(), 1);
    }

    #[test]
    fn an_answer_that_was_slow_to_end_replaces_no_newer_one() {
        let (store, begin) = (Store::new(plan()), now());
        let asked = get(&store, "/a", &[]);
        put(&store, &asked, &[], b"new", begin + Duration::from_secs(1));
        put(&store, &asked, &[], b"old", begin);
        let now = begin + Duration::from_secs(2);
        assert_eq!(body(&store, &asked, now).as_deref(), Some("new"));
    }

    #[test]
    fn each_value_of_what_an_answer_varies_by_has_its_own() {
        let (store, now) = (Store::new(plan()), now());
        let en = get(&store, "/a", &[("accept-language", "en")]);
        let de = get(&store, "/a", &[("accept-language", "de")]);
        put(&store, &en, &[("vary", "Accept-Language")], b"hello", now);
        assert_eq!(body(&store, &de, now), None);
        put(&store, &de, &[("vary", "Accept-Language")], b"hallo", now);
        assert_eq!(body(&store, &en, now).as_deref(), Some("hello"));
        assert_eq!(body(&store, &de, now).as_deref(), Some("hallo"));
    }

    #[test]
    fn no_one_gets_the_answer_to_other_credentials() {
        let (store, now) = (Store::new(plan()), now());
        let a = get(&store, "/a", &[("authorization", "Bearer a")]);
        put(&store, &a, &[], b"of a", now);
        for fields in [
            &[("authorization", "Bearer b")][..],
            &[],
            &[("cookie", "Bearer a")],
        ] {
            assert_eq!(body(&store, &get(&store, "/a", fields), now), None);
        }
        assert_eq!(body(&store, &a, now).as_deref(), Some("of a"));
    }

    #[test]
    fn it_never_holds_more_than_its_budget() {
        let (store, now) = (Store::new(plan()), now());
        for place in 0..500 {
            let asked = get(&store, &format!("/{place}"), &[]);
            put(&store, &asked, &[], &vec![b'x'; place * 31 % 16_384], now);
            assert!(store.bytes() <= plan().max_bytes, "{}", store.bytes());
        }
        assert!(store.entries() > 3);
        let varied = get(&store, "/v", &[("x", &"y".repeat(100))]);
        for place in 0..100 {
            let asked = get(&store, "/v", &[("x", &place.to_string())]);
            put(&store, &asked, &[("vary", "x")], &[b'x'; 4096], now);
            assert!(store.bytes() <= plan().max_bytes, "{}", store.bytes());
        }
        assert_eq!(body(&store, &varied, now), None);
        assert_eq!(store.coming.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_answers_on_their_way_count() {
        let (store, now) = (Store::new(plan()), now());
        let asked = get(&store, "/a", &[]);
        let none = HeaderMap::new();
        let collect = |length| store.collect(&asked, (StatusCode::OK, &none), length, now);
        assert!(collect(Some(16 * 1024 + 1)).is_none());
        let mut unknown = collect(None).unwrap();
        assert!(unknown.push(&[0; 16 * 1024]));
        assert!(!unknown.push(&[0; 1]));
        drop(unknown);
        let coming: Vec<_> = (0..5).map(|_| collect(Some(16 * 1024))).collect();
        let begun: Vec<bool> = coming.iter().map(Option::is_some).collect();
        assert_eq!(begun, [true, true, true, true, false]);
        drop(coming);
        assert_eq!(store.coming.load(Ordering::Relaxed), 0);
        assert_eq!(store.entries(), 0, "what did not end well is not kept");
    }

    #[test]
    fn cookies_are_not_kept() {
        let plan = StalePlan {
            cache_control: Obedience::Ignored,
            ..plan()
        };
        let (store, now) = (Store::new(plan), now());
        let asked = get(&store, "/a", &[]);
        put(
            &store,
            &asked,
            &[("set-cookie", "session=canary"), ("etag", "\"1\"")],
            b"x",
            now,
        );
        let kept = store.find(&asked, now).unwrap();
        assert!(kept.headers.contains_key("etag") && !kept.headers.contains_key("set-cookie"));
    }
}

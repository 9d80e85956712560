//! `Cache-Control`, and what it means for an answer that is kept in case the next one fails (RFC 9111 §5.2, RFC 5861 §4).

use std::time::Duration;

use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL, HeaderMap, SET_COOKIE, TRAILER};

use crate::config::plan::{Obedience, StalePlan};
use crate::wire::members;

/// The directives that count here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheControl {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    /// Must not be used beyond its freshness: `must-revalidate`, `proxy-revalidate`, and `s-maxage`, which implies it.
    pub(super) strict: bool,
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    pub(super) stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Reads the directives of a head. What cannot be read is ignored, but an invalid time counts as 0 (§4.2.1).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            for directive in members(value.as_bytes()) {
                control.take(directive);
            }
        }
        control
    }

    fn take(&mut self, directive: &[u8]) {
        let (name, argument) = match directive.iter().position(|byte| *byte == b'=') {
            Some(at) => (&directive[..at], &directive[at + 1..]),
            None => (directive, &b""[..]),
        };
        let is = |other: &str| name.trim_ascii().eq_ignore_ascii_case(other.as_bytes());
        let seconds = || {
            let argument = argument.trim_ascii();
            let argument = argument.strip_prefix(b"\"").unwrap_or(argument);
            let argument = argument.strip_suffix(b"\"").unwrap_or(argument);
            seconds(argument).unwrap_or(0)
        };
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("private") {
            self.private = true;
        } else if is("must-revalidate") || is("proxy-revalidate") {
            self.strict = true;
        } else if is("s-maxage") {
            self.strict = true;
            self.s_maxage = Some(seconds());
        } else if is("max-age") {
            self.max_age = Some(seconds());
        } else if is("stale-if-error") {
            self.stale_if_error = Some(seconds());
        }
    }
}

/// A number of seconds; one that is too large counts as the largest (§1.2.2).
fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    Some(text.parse().unwrap_or(u64::MAX).min(1 << 31))
}

/// For how long after it was made an answer may be served; `None` when it may not be kept at all.
pub(super) fn lasts(status: StatusCode, headers: &HeaderMap, plan: &StalePlan) -> Option<Duration> {
    let control = CacheControl::of(headers);
    // Announced trailers may be needed to tell a complete body from a broken one.
    if status != StatusCode::OK || control.no_store || headers.contains_key(TRAILER) {
        return None;
    }
    let limit = match plan.cache_control {
        Obedience::Ignored => plan.max_age,
        Obedience::Obeyed => {
            // A cookie belongs to one caller: others would get it with the answer.
            if control.private || control.no_cache || headers.contains_key(SET_COOKIE) {
                return None;
            }
            let fresh = Duration::from_secs(control.s_maxage.or(control.max_age).unwrap_or(0));
            let permitted = match (control.strict, control.stale_if_error) {
                (true, _) => fresh,
                (false, Some(beyond)) => fresh + Duration::from_secs(beyond),
                (false, None) => plan.max_age,
            };
            permitted.min(plan.max_age)
        }
    };
    (limit > age(headers)).then_some(limit)
}

/// How old an answer is on its arrival.
pub(super) fn age(headers: &HeaderMap) -> Duration {
    let age = headers
        .get(AGE)
        .and_then(|age| seconds(age.as_bytes().trim_ascii()));
    Duration::from_secs(age.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stale::store::tests::{headers, plan};

    /// Seconds that an answer with these fields lasts; the plan's limit is an hour.
    fn of(fields: &[(&str, &str)]) -> Option<u64> {
        lasts(StatusCode::OK, &headers(fields), &plan()).map(|lasts| lasts.as_secs())
    }

    #[test]
    fn the_table_of_what_may_be_kept() {
        for (control, expected) in [
            ("", Some(3600)),
            ("public, max-age=60", Some(3600)),
            ("max-age=0", Some(3600)),
            ("no-store", None),
            ("NO-STORE, max-age=60", None),
            ("no-cache", None),
            ("private", None),
            ("private=\"x, no-store\", max-age=9", None),
            ("must-revalidate", None),
            ("max-age=60, must-revalidate", Some(60)),
            ("max-age=60, proxy-revalidate", Some(60)),
            ("public, max-age=60, s-maxage=90", Some(90)),
            ("s-maxage=0, max-age=60", None),
            ("max-age=60, stale-if-error=600", Some(660)),
            ("stale-if-error=0", None),
            (
                "max-age=60, stale-if-error=99999999999999999999999",
                Some(3600),
            ),
            ("max-age=soon, must-revalidate", None),
            ("extension=\"no-store\"", Some(3600)),
            (" ,, no-store ", None),
        ] {
            assert_eq!(of(&[("cache-control", control)]), expected, "{control}");
        }
    }

    #[test]
    fn age_on_arrival_cookies_trailers_and_other_statuses_count() {
        assert_eq!(of(&[("age", "3599")]), Some(3600));
        assert_eq!(of(&[("age", "3600")]), None);
        assert_eq!(of(&[("set-cookie", "a=b")]), None);
        assert_eq!(of(&[("trailer", "x")]), None);
        for status in [
            StatusCode::PARTIAL_CONTENT,
            StatusCode::NOT_FOUND,
            StatusCode::FOUND,
        ] {
            assert_eq!(lasts(status, &HeaderMap::new(), &plan()), None, "{status}");
        }
    }

    #[test]
    fn an_operator_who_knows_better_is_stopped_by_no_store_alone() {
        let plan = StalePlan {
            cache_control: Obedience::Ignored,
            ..plan()
        };
        let of = |control| {
            let fields = headers(&[("cache-control", control), ("set-cookie", "a=b")]);
            lasts(StatusCode::OK, &fields, &plan).map(|lasts| lasts.as_secs())
        };
        assert_eq!(
            of("private, no-cache, must-revalidate, max-age=0"),
            Some(3600)
        );
        assert_eq!(of("private, no-store"), None);
    }
}

//! What a call may be used for: to keep its answer, to be answered with a kept one, to share one.

use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE,
    TRANSFER_ENCODING,
};
use http::{HeaderValue, Method};

use super::cache_control::CacheControl;
use super::print::{Print, print, select};
use crate::config::plan::{Obedience, StalePlan};
use crate::resilience::Key;
use crate::wire::{members, names_version};

/// The parts of a request that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The caller's host, if the upstream gets it.
    pub host: Option<&'a HeaderValue>,
    /// Path and query, as the upstream gets them.
    pub target: &'a str,
    /// The caller's header fields.
    pub headers: &'a HeaderMap,
    /// The keys by which its route tells callers apart: for their breakers, and for their rate.
    pub keys: [Option<Key>; 2],
    /// The header that names the user.
    pub user_id: Option<&'a HeaderName>,
    /// The headers that may carry the id of a call.
    pub ids: &'a [HeaderName],
}

/// A call whose answer may be kept, shared, or taken from what is kept.
#[derive(Debug)]
pub struct Asked {
    pub(super) print: Print,
    /// The headers, for the fields that the `Vary` of an answer names.
    headers: HeaderMap,
    uses: Uses,
}

/// What a call may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Uses {
    /// Its answer may be kept.
    keep: bool,
    /// It may be answered with what is kept.
    serve: bool,
    /// It may share its answer with calls that are the same.
    share: bool,
}

impl Asked {
    /// Looks at a call; `None` for one that has nothing to do with kept answers.
    #[must_use]
    pub fn of(call: &Call<'_>, plan: &StalePlan) -> Option<Self> {
        let headers = call.headers;
        let head_only = call.method == Method::HEAD;
        let has_body = headers.contains_key(TRANSFER_ENCODING)
            || headers
                .get(CONTENT_LENGTH)
                .is_some_and(|length| length != "0");
        // Part of an answer is not kept; a precondition is for the upstream alone to judge.
        let is_partial = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE]
            .iter()
            .any(|name| headers.contains_key(name));
        if !(call.method == Method::GET || head_only) || has_body || is_partial {
            return None;
        }
        let wishes = CacheControl::of(headers);
        let obeys = plan.cache_control == Obedience::Obeyed;
        let wants_fresh = obeys
            && (wishes.no_cache
                || wishes.max_age == Some(0)
                || (!headers.contains_key(CACHE_CONTROL)
                    && headers
                        .get(PRAGMA)
                        .is_some_and(|pragma| pragma == "no-cache")));
        let is_conditional =
            headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MODIFIED_SINCE);
        let keep = !head_only && !wishes.no_store;
        let uses = Uses {
            keep,
            serve: !wants_fresh,
            share: plan.coalesce && keep && !wants_fresh && !is_conditional,
        };
        Some(Self {
            print: print(call, plan),
            headers: headers.clone(),
            uses,
        })
    }

    pub(super) fn may_keep(&self) -> bool {
        self.uses.keep
    }

    pub(super) fn may_serve(&self) -> bool {
        self.uses.serve
    }

    /// Whether it may share one call to the upstream with others.
    #[must_use]
    pub fn may_share(&self) -> bool {
        self.uses.share
    }

    /// Whether the caller has the answer with that tag already (RFC 9110 §13.1.2: compared weakly).
    #[must_use]
    pub fn has_already(&self, tag: Option<&HeaderValue>) -> bool {
        let tags = self.headers.get_all(IF_NONE_MATCH);
        names_version(&tags, tag.map(HeaderValue::as_bytes))
    }

    /// The fingerprint of what the request has in that header.
    pub(super) fn select(&self, name: &HeaderName) -> Print {
        select(&self.headers, name)
    }
}

/// Fields that we write for each caller: the caller's own fields of these names are not what the upstream saw.
const OURS: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// The request headers that an answer depends on by its own word; `None` when it depends on what cannot be known here.
pub(super) fn varying(answer: &HeaderMap) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for value in answer.get_all(http::header::VARY) {
        for name in members(value.as_bytes()) {
            match name {
                b"*" => return None,
                name => {
                    let name = HeaderName::from_bytes(name).ok()?;
                    if OURS.contains(&name.as_str()) {
                        return None;
                    }
                    names.push(name);
                }
            }
        }
    }
    // An encoded body is only for callers that can decode it, whether or not the upstream says so.
    if answer.contains_key(http::header::CONTENT_ENCODING) {
        names.push(ACCEPT_ENCODING);
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stale::store::tests::{call, headers, plan};

    fn asked(plan: &StalePlan, target: &str, fields: &[(&str, &str)]) -> Option<Asked> {
        Asked::of(&call(target, &headers(fields)), plan)
    }

    #[test]
    fn a_call_for_a_part_with_a_body_or_that_changes_something_has_nothing_kept() {
        for field in [
            "range",
            "if-range",
            "if-match",
            "if-unmodified-since",
            "transfer-encoding",
        ] {
            assert!(asked(&plan(), "/", &[(field, "x")]).is_none(), "{field}");
        }
        assert!(asked(&plan(), "/", &[("content-length", "3")]).is_none());
        assert!(asked(&plan(), "/", &[("content-length", "0")]).is_some());
        let none = HeaderMap::new();
        let post = Call {
            method: &Method::POST,
            ..call("/", &none)
        };
        assert!(Asked::of(&post, &plan()).is_none());
    }

    #[test]
    fn a_caller_that_wants_a_fresh_answer_gets_no_kept_one_unless_the_operator_says_so() {
        let ignoring = StalePlan {
            cache_control: Obedience::Ignored,
            ..plan()
        };
        for fields in [
            &[("cache-control", "no-cache")][..],
            &[("cache-control", "max-age=0")],
            &[("pragma", "no-cache")],
        ] {
            assert!(
                !asked(&plan(), "/", fields).unwrap().may_serve(),
                "{fields:?}"
            );
            assert!(
                asked(&ignoring, "/", fields).unwrap().may_serve(),
                "{fields:?}"
            );
        }
        let secret = asked(&plan(), "/", &[("cache-control", "no-store")]).unwrap();
        assert!(!secret.may_keep() && secret.may_serve());
    }

    #[test]
    fn a_tag_is_compared_weakly_with_each_of_the_callers() {
        let asked = asked(&plan(), "/", &[("if-none-match", "\"a\", W/\"b,c\"")]).unwrap();
        let has = |tag: &'static str| asked.has_already(Some(&HeaderValue::from_static(tag)));
        assert!(has("\"a\"") && has("W/\"a\"") && has("\"b,c\""));
        assert!(!has("\"b\"") && !has("a") && !asked.has_already(None));
    }

    #[test]
    fn an_answer_varies_by_what_it_names_and_an_encoded_one_by_the_encoding() {
        let vary = |fields: &[_]| {
            varying(&headers(fields)).map(|names| {
                let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
                names.join(" ")
            })
        };
        assert_eq!(vary(&[]).unwrap(), "");
        assert_eq!(
            vary(&[("vary", "Origin, accept"), ("vary", "ORIGIN")]).unwrap(),
            "accept origin"
        );
        assert_eq!(
            vary(&[("content-encoding", "gzip")]).unwrap(),
            "accept-encoding"
        );
        assert_eq!(vary(&[("vary", "origin, *")]), None);
        assert_eq!(vary(&[("vary", "bad name")]), None);
        assert_eq!(vary(&[("vary", "Accept, X-Forwarded-For")]), None);
    }
}

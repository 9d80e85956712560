//! `key` and `max_keys` of a breaker: whom it has breakers for, besides the one for all.

use super::headers::header_name;
use crate::config::fields::Fields;
use crate::config::plan::{KeySource, KeyedPlan};
use crate::config::problem::{Code, Problem};
use crate::config::readers::{flag, number};

/// The kinds of keys, each by the name that it is written under.
const KINDS: [&str; 3] = ["header", "path_segment", "host"];
/// How to write one.
const HINT: &str = "write one of `{header: X-Tenant-ID}`, `{path_segment: 2}` and `{host: true}`";

/// The most segments of a path that are looked at.
const MOST_SEGMENTS: usize = 32;
/// So many keys have breakers of their own when nothing is said.
const MAX_KEYS: usize = 1_000;
/// The most that may be said: each costs up to two KiB.
const MOST_KEYS: usize = 10_000;

/// Reads both keys; `None` where the breaker is one for all.
pub(super) fn keyed(fields: &mut Fields<'_, '_>) -> Option<KeyedPlan> {
    fields.may_have("key");
    let by = if !fields.is_off("key") && fields.has("key") {
        fields.section("key", source)
    } else {
        None
    };
    let max_keys = fields.parse("max_keys", number(1, MOST_KEYS));
    Some(KeyedPlan {
        by: by?,
        max_keys: max_keys.unwrap_or(MAX_KEYS),
    })
}

/// `{header: X-Tenant-ID}`, `{path_segment: 2}` or `{host: true}`.
fn source(fields: &mut Fields<'_, '_>) -> Option<KeySource> {
    let written = KINDS.iter().filter(|kind| fields.has(kind)).count();
    let header = fields.parse("header", header_name).map(KeySource::Header);
    let segment = fields
        .parse("path_segment", number(1, MOST_SEGMENTS))
        .map(KeySource::PathSegment);
    let host = fields.parse("host", flag);
    let is_nothing = written == 0 && fields.span.is_in_file();
    if written > 1 {
        let problem = Problem::error(Code::BreakerKey, fields.span, "`key` is of one kind only");
        fields.problems.push(problem.hint(HINT));
    } else if is_nothing || host == Some(false) {
        let problem = Problem::error(
            Code::BreakerKey,
            fields.span,
            "`key` does not say what it is",
        );
        let problem = problem.hint(HINT);
        fields.problems.push(problem.help("`key: off` is none"));
    }
    let host = host.filter(|is_on| *is_on).map(|_| KeySource::Host);
    header.or(segment).or(host)
}

//! `key` and `max_keys` of a breaker: breakers for single keys, besides the one for all.

use super::headers::header_name;
use crate::config::fields::Fields;
use crate::config::plan::{KeySource, KeyedPlan};
use crate::config::problem::{Code, Problem};

/// How to write a key.
const HINT: &str = "write one of `{header: X-Tenant-ID}`, `{path_segment: 2}` and `{host: true}`";

/// Reads both; `None` if there is only the breaker for all.
pub(super) fn keyed(fields: &mut Fields<'_, '_>) -> Option<KeyedPlan> {
    let by = if !fields.is_off("key") && fields.has("key") {
        fields.section("key", source)
    } else {
        None
    };
    let max_keys = fields.setting("max_keys");
    Some(KeyedPlan { by: by?, max_keys })
}

/// `{header: X-Tenant-ID}`, `{path_segment: 2}` or `{host: true}`.
fn source(fields: &mut Fields<'_, '_>) -> Option<KeySource> {
    let written = fields.chosen().len();
    let header = fields.parse("header", header_name).map(KeySource::Header);
    let segment = fields.read("path_segment").map(KeySource::PathSegment);
    let host = fields.read("host");
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

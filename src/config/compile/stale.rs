//! `stale:` of a fallback, and its contradictions with the route.

use ::http::HeaderName;

use super::headers::header_name;
use crate::config::confidential::is_secret_name;
use crate::config::fields::Fields;
use crate::config::keys::{MOST_NEUTRAL, MOST_VARY};
use crate::config::plan::{
    FallbackKind, FallbackPlan, KeySource, KeyedPlan, LimitsPlan, Obedience, RateKey, Sharing,
    StalePlan,
};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::standard;
use crate::config::tree::Span;

/// Reads `stale`.
pub(super) fn stale(fields: &mut Fields<'_, '_>) -> StalePlan {
    let span = fields.span;
    let max_age = fields.setting("max_age");
    let bytes = fields.setting("max_bytes");
    let max_body = fields.read("max_body");
    let vary = header_list(fields, "vary", MOST_VARY);
    let neutral = header_list(fields, "neutral", MOST_NEUTRAL);
    let credentials = fields.read("share_credentials");
    refuse_neutral(&neutral, &vary, fields);
    if !neutral.is_empty() && credentials == Some(true) {
        let message = "`neutral` says nothing beside `share_credentials: true`";
        let problem = Problem::error(Code::Stale, span, message);
        fields.problems.push(problem.hint("keep one of them"));
    }
    let cache_control = fields.read("ignore_cache_control");
    let coalesce = fields.setting("coalesce");
    if max_body.is_some_and(|body| body > bytes) {
        let message = "no body of `max_body` fits into `max_bytes`";
        let problem = Problem::error(Code::Stale, span, message);
        fields.problems.push(problem.hint("raise `max_bytes`"));
    }
    StalePlan {
        max_age,
        max_bytes: bytes,
        max_body: max_body.unwrap_or_else(|| standard::largest_body(bytes)),
        vary,
        neutral,
        credentials: match credentials {
            Some(true) => Sharing::Shared,
            Some(false) | None => Sharing::Apart,
        },
        cache_control: match cache_control {
            Some(true) => Obedience::Ignored,
            Some(false) | None => Obedience::Obeyed,
        },
        coalesce,
    }
}

/// A list of headers, each once.
fn header_list(fields: &mut Fields<'_, '_>, key: &'static str, most: usize) -> Vec<HeaderName> {
    let span = fields.span;
    let mut names = fields.list(key, header_name).unwrap_or_default();
    if names.len() > most {
        let message = format!("`{key}` names more than {most} headers");
        let problem = Problem::error(Code::Budget, span, message);
        fields.problems.push(problem);
        names.truncate(most);
    }
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// Reports headers in `neutral` that identify the caller, or that stand in `vary` as well.
fn refuse_neutral(neutral: &[HeaderName], vary: &[HeaderName], fields: &mut Fields<'_, '_>) {
    let span = fields.span;
    for name in neutral {
        let (message, hint) = if is_secret_name(name.as_str()) {
            let message = format!("`{name}` says who calls and is not `neutral`");
            (message, "`share_credentials: true` gives one answer to all")
        } else if vary.contains(name) {
            let message = format!("`{name}` stands in `vary` and in `neutral`");
            (message, "keep one of them")
        } else {
            continue;
        };
        let problem = Problem::error(Code::Stale, span, message);
        fields.problems.push(problem.hint(hint));
    }
}

/// Reports headers in `neutral` by which the route tells callers apart.
pub(super) fn refuse_neutral_keys(
    plans: &[FallbackPlan],
    (keyed, limits): (Option<&KeyedPlan>, &LimitsPlan),
    place: Span,
    problems: &mut Problems,
) {
    let breaker = keyed.and_then(|keyed| match &keyed.by {
        KeySource::Header(name) => Some((name, "breaker.key")),
        KeySource::PathSegment(_) | KeySource::Host => None,
    });
    let rate = limits.rate.as_ref().and_then(|rate| match &rate.key {
        Some(RateKey::Header(name)) => Some((name, "limits.rate.key")),
        Some(RateKey::ClientIp) | None => None,
    });
    let neutral = plans.iter().find_map(|plan| match &plan.kind {
        FallbackKind::Stale(stale) => Some(&stale.neutral),
        FallbackKind::Respond(_) | FallbackKind::Route(_) => None,
    });
    for (name, key) in [breaker, rate].into_iter().flatten() {
        if neutral.is_some_and(|neutral| neutral.contains(name)) {
            let message = format!("`{name}` is `neutral` to kept answers and the route's `{key}`");
            let problem = Problem::error(Code::Stale, place, message);
            problems.push(problem.hint("remove it from `neutral`: a key tells callers apart"));
        }
    }
}

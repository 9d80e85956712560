//! Explicit matches of different routes that could take the same call although neither is more specific.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ::http::HeaderName;

use super::places::Places;
use crate::config::excerpt::show;
use crate::config::plan::{HostPattern, MatchPlan, RoutePlan};
use crate::config::problem::{Code, Problem, Problems, Severity};
use crate::config::tree::Span;

/// The most matches of the same host, path and rank that one is compared with, so that the work does not grow with the square
/// of the routes.
const MOST_COMPARED: usize = 100;

/// A match, with its route and its place.
#[derive(Clone, Copy)]
struct Written<'p> {
    plan: &'p MatchPlan,
    route: &'p str,
    span: Span,
}

/// What matches have in common that differ only by their methods and headers.
type Alike<'p> = (
    Option<&'p HostPattern>,
    &'p str,
    (usize, bool, usize, usize),
);

/// Reports the same match of two routes, and matches of which only the names of the routes would decide.
pub(super) fn refuse_overlaps(
    routes: &BTreeMap<String, Arc<RoutePlan>>,
    places: &Places,
    problems: &mut Problems,
) {
    let mut written: Vec<Written<'_>> = routes
        .iter()
        .filter_map(|(route, plan)| {
            Some(Written {
                plan: plan.matches.as_ref()?,
                route,
                span: places.of(route).matches,
            })
        })
        .collect();
    written.sort_by_key(|one| (one.span.line, one.span.column));
    let mut first: HashMap<&MatchPlan, Written<'_>> = HashMap::new();
    let mut alike: HashMap<Alike<'_>, Vec<Written<'_>>> = HashMap::new();
    for one in written {
        if let Some(earlier) = first.get(one.plan) {
            let (a, b) = (show(earlier.route), show(one.route));
            let message = format!("routes `{a}` and `{b}` match the same requests");
            let problem = Problem::error(Code::DuplicateMatch, one.span, message);
            problems.push(problem.hint(format!("the same as in line {}", earlier.span.line)));
            continue;
        }
        first.insert(one.plan, one);
        let prefix = one.plan.path_prefix.as_deref().unwrap_or_default();
        let key = (one.plan.host.as_ref(), prefix, one.plan.rank());
        let others = alike.entry(key).or_default();
        let compared = others.iter().take(MOST_COMPARED);
        let found = compared.filter_map(|other| overlap(*other, one));
        // One is enough, but no warning may hide an error, or the result would depend on the order of the file.
        if let Some(problem) = found.min_by_key(|it| it.severity == Severity::Warning) {
            problems.push(problem);
        }
        others.push(one);
    }
}

/// The problem of two matches of the same host, path and rank, if one call can be of both.
fn overlap(earlier: Written<'_>, one: Written<'_>) -> Option<Problem> {
    let (a, b) = (earlier.plan, one.plan);
    let method = match b.methods.iter().find(|method| a.methods.contains(method)) {
        Some(method) => Some(method.as_str()),
        None if a.methods.is_empty() && b.methods.is_empty() => None,
        None => return None,
    };
    let differs = |name: &HeaderName| {
        let asked = |plan: &MatchPlan| {
            let header = plan.headers.iter().find(|(asked, _)| asked == name);
            header.and_then(|(_, value)| value.clone())
        };
        matches!((asked(a), asked(b)), (Some(a), Some(b)) if a != b)
    };
    if a.headers.iter().any(|(name, _)| differs(name)) {
        return None;
    }
    let line = earlier.span.line;
    let (first, second) = (show(earlier.route), show(one.route));
    let winner = if earlier.route < one.route {
        &first
    } else {
        &second
    };
    if let (Some(method), true) = (method, a.headers == b.headers) {
        let message =
            format!("routes `{first}` and `{second}` both match `{method}` of the same requests");
        let problem = Problem::error(Code::AmbiguousMatch, one.span, message);
        return Some(problem.hint(format!(
            "the other is in line {line}: remove `{method}` from one"
        )));
    }
    let named = |plan: &MatchPlan| {
        let names: Vec<String> = plan
            .headers
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        names.join(", ")
    };
    let message = format!(
        "a request with the headers of both matches, {} and {}, is of `{first}` and of `{second}`",
        named(a),
        named(b),
    );
    let problem = Problem::warning(Code::AmbiguousMatch, one.span, message);
    Some(problem.hint(format!(
        "the other is in line {line}; `{winner}` would take it, being the first by name"
    )))
}

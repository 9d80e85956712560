//! `match:` of a route.

use std::collections::BTreeMap;

use ::http::{HeaderName, HeaderValue, Method};

use super::headers::header_key;
use super::host::host;
use crate::config::excerpt::show;
use crate::config::fields::{Fields, value};
use crate::config::plan::{HostPattern, MatchPlan, RoutePlan};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::tree::{Entry, Span, Value};
use crate::config::units::Invalid;

pub(super) fn matches(fields: &mut Fields<'_, '_>) -> MatchPlan {
    let before = fields.problems.count();
    let plan = MatchPlan {
        host: fields.parse("host", host_pattern),
        path_prefix: fields.parse("path_prefix", path_prefix),
        methods: fields
            .list("methods", method)
            .map(sorted)
            .unwrap_or_default(),
        headers: headers(fields),
    };
    let empty = plan.host.is_none()
        && plan.path_prefix.is_none()
        && plan.methods.is_empty()
        && plan.headers.is_empty();
    if empty && fields.problems.count() == before {
        let problem = Problem::error(Code::NoValue, fields.span, "`match` says nothing to match");
        fields
            .problems
            .push(problem.hint("give `host`, `path_prefix`, `methods` or `headers`, or remove it"));
    }
    plan
}

fn host_pattern(text: &str) -> Result<HostPattern, Invalid> {
    match text.strip_prefix("*.") {
        Some(rest) => Ok(HostPattern::Suffix(format!(".{}", host(rest)?))),
        None if text.contains('*') => Err(Invalid::new(
            Code::Malformed,
            "may have a `*` as its first label only",
        )
        .hint("write `*.example.com`")),
        None => host(text).map(HostPattern::Exact),
    }
}

/// Whole segments: a final slash means nothing and is cut, so `/` leaves the empty prefix that every path has.
fn path_prefix(text: &str) -> Result<String, Invalid> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(
            Invalid::new(Code::Malformed, "must begin with `/`").hint(format!("write `/{text}`"))
        );
    };
    if !rest
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'*'))
    {
        return Err(Invalid::new(
            Code::Malformed,
            "must be a plain path, as it is in the request",
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn method(text: &str) -> Result<Method, Invalid> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let hint = format!("write `{}`", text.to_ascii_uppercase());
        return Err(Invalid::new(Code::Malformed, "must hold methods in capitals").hint(hint));
    }
    Method::from_bytes(text.as_bytes())
        .map_err(|_| Invalid::new(Code::Malformed, "must hold methods like `GET`"))
}

fn sorted(mut methods: Vec<Method>) -> Vec<Method> {
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    methods
}

/// A name without a value asks only that the header is there.
fn headers(fields: &mut Fields<'_, '_>) -> Vec<(HeaderName, Option<HeaderValue>)> {
    let mut headers = BTreeMap::new();
    for Entry { key, node } in fields.named("headers").0 {
        let Some(name) = header_key(key, fields.problems) else {
            continue;
        };
        let wanted = match node.value {
            Value::Null => None,
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Unusable => {
                let parse = |text: &str| {
                    HeaderValue::from_str(text)
                        .map_err(|_| Invalid::new(Code::Header, "may hold printable ASCII only"))
                };
                let Some(wanted) = value(name.as_str(), node, fields.problems, parse) else {
                    continue;
                };
                Some(wanted)
            }
        };
        if headers
            .insert(name.as_str().to_owned(), (name, wanted))
            .is_some()
        {
            let message = format!("the header `{}` is named twice", show(&key.text));
            fields
                .problems
                .push(Problem::error(Code::DuplicateKey, key.span, message));
        }
    }
    headers.into_values().collect()
}

/// Two routes whose explicit matches are the same could both take a request.
pub(super) fn refuse_duplicates(
    routes: &BTreeMap<String, RoutePlan>,
    places: &BTreeMap<String, Span>,
    problems: &mut Problems,
) {
    let mut explicit: Vec<(&MatchPlan, Span, &str)> = routes
        .iter()
        .filter_map(|(name, route)| {
            Some((route.matches.as_ref()?, *places.get(name)?, name.as_str()))
        })
        .collect();
    explicit.sort_by_key(|(_, span, _)| span.line);
    for (at, (plan, span, name)) in explicit.iter().enumerate() {
        let Some((_, first, other)) = explicit[..at].iter().find(|(earlier, ..)| earlier == plan)
        else {
            continue;
        };
        let message = format!("routes `{other}` and `{name}` match the same requests");
        problems.push(
            Problem::error(Code::DuplicateMatch, *span, message)
                .hint(format!("the same as in line {}", first.line)),
        );
    }
}

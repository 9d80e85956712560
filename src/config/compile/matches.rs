//! `match:` of a route.

use std::collections::BTreeMap;

use ::http::{HeaderName, HeaderValue, Method};

use super::headers::header_key;
use super::host::host;
use crate::config::excerpt::show;
use crate::config::fields::{Fields, value};
use crate::config::plan::{HostPattern, MatchPlan};
use crate::config::problem::{Code, Problem};
use crate::config::tree::{Entry, Value};
use crate::config::units::Invalid;

/// `None` if something in it cannot be read, which was reported: the rest would be another match.
pub(super) fn matches(fields: &mut Fields<'_, '_>) -> Option<MatchPlan> {
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
    if empty && fields.span.is_in_file() && fields.problems.count() == before {
        let problem = Problem::error(Code::NoValue, fields.span, "`match` says nothing to match");
        fields
            .problems
            .push(problem.hint("give `host`, `path_prefix`, `methods` or `headers`, or remove it"));
    }
    (fields.problems.count() == before).then_some(plan)
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

/// Reads a prefix in whole segments: a final slash is cut, so `/` is the empty prefix of every path. What no client sends is
/// refused, since the path of a call is compared as it comes.
fn path_prefix(text: &str) -> Result<String, Invalid> {
    let malformed = |what: &str| Invalid::new(Code::Malformed, what);
    let Some(rest) = text.strip_prefix('/') else {
        return Err(malformed("must begin with `/`").hint(format!("write `/{text}`")));
    };
    if !rest
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'*'))
    {
        return Err(malformed("must be a plain path, as it is in the request"));
    }
    let prefix = text.trim_end_matches('/');
    if prefix
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
    {
        let what = "holds `.` or `..`, which clients resolve before they send a path";
        return Err(malformed(what));
    }
    let mut after_signs = prefix.split('%');
    let _ = after_signs.next();
    for after in after_signs {
        check_encoded(after)?;
    }
    Ok(prefix.to_owned())
}

/// Two digits after a `%` that clients write like that (RFC 3986 §2.1, §6.2.2).
fn check_encoded(after: &str) -> Result<(), Invalid> {
    let digits = after.get(..2).unwrap_or(after);
    let byte = u8::from_str_radix(digits, 16).ok();
    let Some(byte) = byte.filter(|_| digits.len() == 2 && !digits.starts_with('+')) else {
        let what = "holds a `%` that is not followed by two hexadecimal digits";
        return Err(Invalid::new(Code::Malformed, what).hint("write `%25` for the sign itself"));
    };
    let char = char::from(byte);
    let is_never_encoded = char.is_ascii_alphanumeric() || "-._~".contains(char);
    let upper = digits.to_ascii_uppercase();
    let sent = if is_never_encoded {
        char.to_string()
    } else {
        format!("%{upper}")
    };
    if is_never_encoded || digits != upper {
        let what = format!("holds `%{digits}`, which clients send as `{sent}`");
        return Err(Invalid::new(Code::Malformed, what).hint(format!("write `{sent}`")));
    }
    Ok(())
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

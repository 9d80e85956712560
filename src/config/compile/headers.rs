//! `headers:` of a route.

use ::http::{HeaderName, HeaderValue};

use crate::config::confidential::is_secret_name;
use crate::config::excerpt::show;
use crate::config::fields::{Fields, mapping, scalar, value};
use crate::config::files::{Secrecy, file};
use crate::config::keys::{HEADER_FILE, MOST_SET};
use crate::config::lookalike::quoted;
use crate::config::plan::{HeaderEdits, HeaderText, HeadersPlan};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::tree::{Entry, Key, Node, Scalar, Span, Value};
use crate::config::units::Invalid;

/// Headers that belong to one connection, or that the proxy sets after all edits, besides those that begin with `x-forwarded-`
/// and `x-sidefuse-`.
const OWNED: [&str; 18] = [
    "connection",
    "content-length",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "proxy-status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-attempt",
    "x-correlation-id",
    "x-request-id",
];

pub(super) const UNPRINTABLE: &str = "may hold printable ASCII only, no line break";

pub(super) fn headers(fields: &mut Fields<'_, '_>, correlation: &HeaderName) -> HeadersPlan {
    HeadersPlan {
        request: fields.section("request", |fields| edits(fields, correlation)),
        response: fields.section("response", |fields| edits(fields, correlation)),
    }
}

fn edits(fields: &mut Fields<'_, '_>, correlation: &HeaderName) -> HeaderEdits {
    let set = set(fields, correlation);
    let remove = fields
        .take("remove")
        .map(|Entry { node, .. }| removals(node, correlation, fields.problems));
    HeaderEdits {
        set,
        remove: remove.unwrap_or_default(),
    }
}

fn set(fields: &mut Fields<'_, '_>, correlation: &HeaderName) -> Vec<(HeaderName, HeaderText)> {
    let mut set: Vec<(HeaderName, HeaderText)> = Vec::new();
    let (mut entries, _) = fields.named("set");
    if let Some(entry) = entries.get(MOST_SET) {
        let message = format!("more than {MOST_SET} headers are set");
        fields
            .problems
            .push(Problem::error(Code::Budget, entry.key.span, message));
        entries.truncate(MOST_SET);
    }
    for Entry { key, node } in entries {
        let Some(name) = header_key(key, fields.problems) else {
            continue;
        };
        if set.iter().any(|(earlier, _)| *earlier == name) {
            let message = format!("the header `{name}` is set twice");
            fields
                .problems
                .push(Problem::error(Code::DuplicateKey, key.span, message));
        }
        refuse_owned(&name, correlation, key.span, fields.problems);
        set.extend(header_text(&name, node, fields.problems).map(|text| (name, text)));
    }
    set
}

fn removals(node: &Node, correlation: &HeaderName, problems: &mut Problems) -> Vec<HeaderName> {
    let Value::Sequence(items) = &node.value else {
        if !matches!(node.value, Value::Unusable) {
            let message = format!("`remove` must be a list, not {}", node.kind());
            problems.push(
                Problem::error(Code::WrongKind, node.span, message).hint("write `[X-Header]`"),
            );
        }
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in items {
        let Some(name) = value("remove", item, problems, header_name) else {
            continue;
        };
        refuse_owned(&name, correlation, item.span, problems);
        names.push(name);
    }
    names
}

/// Reports a header that the proxy itself sets.
pub(super) fn refuse_owned(
    name: &HeaderName,
    correlation: &HeaderName,
    span: Span,
    problems: &mut Problems,
) {
    let text = name.as_str();
    if name == correlation || is_owned(text) {
        let problem = Problem::error(
            Code::OwnedHeader,
            span,
            format!("`{name}` is the proxy's own to set"),
        );
        problems.push(match text {
            "host" => problem.hint("use `preserve_host: true` to send the caller's"),
            _ => problem,
        });
    }
}

/// The value that a header is set to: a text, or `{file, prefix}`.
fn header_text(name: &HeaderName, node: &Node, problems: &mut Problems) -> Option<HeaderText> {
    if let Value::Mapping(_) = node.value {
        return mapping(
            &HEADER_FILE,
            name.as_str(),
            Some(node),
            problems,
            |fields| secret_file(fields, name),
        );
    }
    let (text, span) = scalar(name.as_str(), node, problems)?;
    let Ok(mut literal) = HeaderValue::from_str(&text.text) else {
        problems.push(Problem::error(
            Code::Header,
            span,
            format!("the value of `{name}` {UNPRINTABLE}"),
        ));
        return None;
    };
    warn_of_quotes(name, text, span, problems);
    if is_secret_name(name.as_str()) {
        literal.set_sensitive(true);
        if text.reference.is_none() {
            problems.push(
                Problem::warning(
                    Code::LiteralSecret,
                    span,
                    format!("the value of `{name}` looks like a secret"),
                )
                .hint("keep it in a file: `{file: /path, prefix: \"Bearer \"}`"),
            );
        }
    }
    Some(HeaderText::Literal(literal))
}

fn secret_file(fields: &mut Fields<'_, '_>, name: &HeaderName) -> Option<HeaderText> {
    let prefix = fields.parse("prefix", |text| match HeaderValue::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Invalid::new(Code::Header, UNPRINTABLE)),
    });
    let Some(Entry { node, .. }) = fields.take("file") else {
        let missing = Problem::error(
            Code::Missing,
            fields.span,
            format!("`{name}` names no file"),
        );
        fields
            .problems
            .push(missing.hint("write `{file: /path}`, or the value itself"));
        return None;
    };
    let (path, content) = file("file", node, Secrecy::Secret, fields.problems)?;
    let content = content.strip_suffix(b"\n").unwrap_or(&content);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    let text = [prefix.unwrap_or_default().as_bytes(), content].concat();
    let value = HeaderValue::from_bytes(&text).ok();
    let Some(mut value) = value.filter(|_| !content.is_empty()) else {
        let message = format!("the file of `{name}` must hold one line of printable text");
        fields
            .problems
            .push(Problem::error(Code::File, node.span, message));
        return None;
    };
    value.set_sensitive(true);
    Some(HeaderText::File { path, value })
}

/// Reports a value in curly quotes, which are not YAML's and would be sent with it.
pub(super) fn warn_of_quotes(
    name: &HeaderName,
    text: &Scalar,
    span: Span,
    problems: &mut Problems,
) {
    if let Some(advice) = quoted(&text.text) {
        let message = format!("the curly quotes around the value of `{name}` are sent with it");
        problems.push(Problem::warning(Code::Header, span, message).hint(advice));
    }
}

/// The header that a key names.
pub(super) fn header_key(key: &Key, problems: &mut Problems) -> Option<HeaderName> {
    header_name(&key.text)
        .map_err(|invalid| {
            let message = format!("`{}` {}", show(&key.text), invalid.what);
            problems.push(Problem::error(invalid.code, key.span, message));
        })
        .ok()
}

/// A reader of a header that may carry an id: not one with a meaning of its own, which the id would destroy, nor one with a
/// secret, which would become the id.
pub(super) fn id_header(text: &str) -> Result<HeaderName, Invalid> {
    let name = header_name(text)?;
    let text = name.as_str();
    let is_ours = matches!(text, "x-correlation-id" | "x-request-id");
    if !is_ours && (is_owned(text) || is_secret_name(text) || text.starts_with("content-")) {
        let invalid = Invalid::new(Code::OwnedHeader, "names a header that cannot carry an id");
        return Err(invalid.hint("use one of your own, such as `X-Correlation-ID`"));
    }
    Ok(name)
}

fn is_owned(name: &str) -> bool {
    OWNED.contains(&name) || name.starts_with("x-forwarded-") || name.starts_with("x-sidefuse-")
}

/// A reader of a header name.
pub(super) fn header_name(text: &str) -> Result<HeaderName, Invalid> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Invalid::new(Code::Header, "is no header name").hint("write it like `X-Client`")
    })
}

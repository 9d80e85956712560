//! `fallback:` of a route: one of its kinds, or a list of them.

use ::http::{HeaderName, HeaderValue, StatusCode};

use super::headers::{UNPRINTABLE, header_key, refuse_owned, warn_of_quotes};
use super::stale::stale;
use crate::config::excerpt::show;
use crate::config::fields::{Fields, mapping, scalar};
use crate::config::files::{Secrecy, file};
use crate::config::keys::{BODILESS, FALLBACK, MOST_FALLBACKS, MOST_SET};
use crate::config::plan::{FallbackKind, FallbackPlan, RespondPlan};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::suggest::nearest;
use crate::config::template::{Template, TemplateBuilder, UnknownPlace, names};
use crate::config::tree::{Entry, Node, Scalar, Span, Value};

/// Reads `fallback`: a mapping, a list of mappings, or `off`.
pub(super) fn fallbacks(
    fields: &mut Fields<'_, '_>,
    correlation: &HeaderName,
) -> Vec<FallbackPlan> {
    let Some(Entry { node, .. }) = fields.take("fallback") else {
        return Vec::new();
    };
    let problems = &mut *fields.problems;
    let items = match &node.value {
        Value::Unusable => return Vec::new(),
        Value::Scalar(Scalar { text, .. }) if text == "off" => return Vec::new(),
        Value::Null => {
            let problem = Problem::error(Code::NoValue, node.span, "`fallback` has no value");
            problems.push(problem.hint("write `off` for none"));
            return Vec::new();
        }
        Value::Scalar(_) => {
            let message = "`fallback` must be a mapping, a list of mappings, or `off`, not text";
            let problem = Problem::error(Code::WrongKind, node.span, message);
            problems.push(problem.hint("write `{respond: {status: 503}}`"));
            return Vec::new();
        }
        Value::Mapping(_) => std::slice::from_ref(node),
        Value::Sequence(items) => &items[..],
    };
    if items.len() > MOST_FALLBACKS {
        let message = format!("`fallback` lists more than {MOST_FALLBACKS}");
        problems.push(Problem::error(Code::Budget, node.span, message));
        return Vec::new();
    }
    let mut plans: Vec<FallbackPlan> = Vec::with_capacity(items.len());
    for item in items {
        let read = |fields: &mut Fields<'_, '_>| fallback(fields, correlation);
        let Some(plan) = mapping(&FALLBACK, "fallback", Some(item), problems, read) else {
            continue;
        };
        refuse_unreachable(&plans, &plan, item.span, problems);
        plans.push(plan);
    }
    plans
}

fn fallback(fields: &mut Fields<'_, '_>, correlation: &HeaderName) -> Option<FallbackPlan> {
    let chosen = fields.chosen();
    let on_failure = fields.setting("on_failure");
    let span = fields.span;
    let kinds = [
        fields
            .has("respond")
            .then(|| fields.section("respond", |fields| respond(fields, correlation)))
            .map(FallbackKind::Respond),
        fields
            .text("route")
            .map(|(route, _)| FallbackKind::Route(route.text.clone())),
        fields
            .has("stale")
            .then(|| fields.section("stale", stale))
            .map(FallbackKind::Stale),
    ];
    match &chosen[..] {
        [_] => {}
        [] if !span.is_in_file() => return None,
        [] => {
            let message = "a fallback must say one of `respond`, `route` and `stale`";
            let problem = Problem::error(Code::Fallback, span, message);
            fields
                .problems
                .push(problem.hint("write `{respond: {status: 503}}`, or `off` for none"));
        }
        [first, second, ..] => {
            let message = format!("a fallback says both `{first}` and `{second}`");
            fields.problems.push(
                Problem::error(Code::Fallback, span, message)
                    .hint("write a list: the first of it that can answer does"),
            );
        }
    }
    let kind = kinds.into_iter().flatten().next()?;
    Some(FallbackPlan { kind, on_failure })
}

/// A fixed answer always succeeds, so nothing behind it is ever used; and one route has one store of answers.
fn refuse_unreachable(
    earlier: &[FallbackPlan],
    plan: &FallbackPlan,
    span: Span,
    problems: &mut Problems,
) {
    let always = earlier.iter().any(|other| {
        matches!(other.kind, FallbackKind::Respond(_)) && (other.on_failure || !plan.on_failure)
    });
    if always {
        let message = "this fallback is never reached: a `respond` before it always answers";
        let problem = Problem::error(Code::Fallback, span, message);
        problems.push(problem.hint("put `respond` last"));
    }
    let is_stale = |plan: &FallbackPlan| matches!(plan.kind, FallbackKind::Stale(_));
    if is_stale(plan) && earlier.iter().any(is_stale) {
        let message = "`stale` stands in the list twice";
        problems.push(Problem::error(Code::Fallback, span, message).hint("keep one of them"));
    }
}

fn respond(fields: &mut Fields<'_, '_>, correlation: &HeaderName) -> RespondPlan {
    let span = fields.span;
    let status = fields
        .read("status")
        .and_then(|status: u16| StatusCode::from_u16(status).ok());
    let headers = headers(fields, correlation);
    let chosen = fields.chosen();
    if let [first, second, ..] = chosen[..] {
        let message = format!("an answer has both `{first}` and `{second}`");
        fields
            .problems
            .push(Problem::error(Code::Fallback, span, message).hint("keep one of them"));
    }
    if let (Some(status), [body, ..]) = (status.filter(|it| BODILESS.contains(it)), &chosen[..]) {
        let message = format!("an answer with status {} has no body", status.as_u16());
        let problem = Problem::error(Code::Fallback, span, message);
        fields
            .problems
            .push(problem.hint(format!("remove `{body}`")));
    }
    let bodies = [body(fields), json(fields), body_file(fields)];
    let body = bodies.into_iter().flatten().next();
    let (content_type, body) = match body {
        Some((kind, body)) => (Some(HeaderValue::from_static(kind)), Some(body)),
        None => (None, None),
    };
    RespondPlan {
        status,
        headers,
        content_type,
        body,
    }
}

/// A body with its media type.
type Body = (&'static str, Template);

fn body(fields: &mut Fields<'_, '_>) -> Option<Body> {
    let (text, span) = fields.text("body")?;
    let template = template("body", text, span, fields.problems)?;
    Some(("text/plain; charset=utf-8", template))
}

fn json(fields: &mut Fields<'_, '_>) -> Option<Body> {
    let Entry { node, .. } = fields.take("json")?;
    let mut builder = TemplateBuilder::default();
    push_json(node, &mut builder, fields.problems);
    Some(("application/json", builder.finish()))
}

/// Writes JSON as the YAML means it: quoted texts are strings, unquoted ones may be numbers or flags.
fn push_json(node: &Node, builder: &mut TemplateBuilder, problems: &mut Problems) {
    match &node.value {
        Value::Null | Value::Unusable => builder.push_plain("null"),
        Value::Scalar(scalar) if scalar.is_plain && is_json_word(&scalar.text) => {
            builder.push_plain(&scalar.text);
        }
        Value::Scalar(scalar) => {
            if let Err(unknown) = builder.push_json(&scalar.text) {
                problems.push(no_place("json", scalar, node.span, &unknown));
            }
        }
        Value::Sequence(items) => {
            builder.push_plain("[");
            for (place, item) in items.iter().enumerate() {
                builder.push_plain(if place > 0 { "," } else { "" });
                push_json(item, builder, problems);
            }
            builder.push_plain("]");
        }
        Value::Mapping(entries) => {
            builder.push_plain("{");
            for (place, Entry { key, node }) in entries.iter().enumerate() {
                builder.push_plain(if place > 0 { "," } else { "" });
                builder.push_plain(&serde_json::Value::from(key.text.as_str()).to_string());
                builder.push_plain(":");
                push_json(node, builder, problems);
            }
            builder.push_plain("}");
        }
    }
}

/// Whether a text is a number or a flag in JSON.
fn is_json_word(text: &str) -> bool {
    let is_number = |text: &str| serde_json::from_str::<serde_json::Number>(text).is_ok();
    matches!(text, "true" | "false") || (text.trim() == text && is_number(text))
}

/// Reads a file as a body; its extension gives the media type. Content that is no text is sent as it is.
fn body_file(fields: &mut Fields<'_, '_>) -> Option<Body> {
    let Entry { node, .. } = fields.take("body_file")?;
    let (path, content) = file("body_file", node, Secrecy::Public, fields.problems)?;
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .map(str::to_ascii_lowercase);
    let kind = match ending.as_deref() {
        Some("json") => "application/json",
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("xml") => "application/xml",
        Some("css") => "text/css; charset=utf-8",
        Some("csv") => "text/csv; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("pdf") => "application/pdf",
        Some(_) | None => "application/octet-stream",
    };
    let template = match String::from_utf8(content) {
        Ok(text) => template(
            "body_file",
            &Scalar::literal(&text),
            node.span,
            fields.problems,
        )?,
        Err(binary) => Template::verbatim(binary.into_bytes()),
    };
    Some((kind, template))
}

fn headers(fields: &mut Fields<'_, '_>, correlation: &HeaderName) -> Vec<(HeaderName, Template)> {
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    let (mut entries, _) = fields.named("headers");
    if let Some(entry) = entries.get(MOST_SET) {
        let message = format!("more than {MOST_SET} headers are set");
        let problem = Problem::error(Code::Budget, entry.key.span, message);
        fields.problems.push(problem);
        entries.truncate(MOST_SET);
    }
    for Entry { key, node } in entries {
        let Some(name) = header_key(key, fields.problems) else {
            continue;
        };
        if headers.iter().any(|(earlier, _)| *earlier == name) {
            let message = format!("the header `{name}` is set twice");
            let problem = Problem::error(Code::DuplicateKey, key.span, message);
            fields.problems.push(problem);
        }
        refuse_owned(&name, correlation, key.span, fields.problems);
        let Some((text, span)) = scalar(name.as_str(), node, fields.problems) else {
            continue;
        };
        if HeaderValue::from_str(&text.text).is_err() {
            let message = format!("the value of `{name}` {UNPRINTABLE}");
            let problem = Problem::error(Code::Header, span, message);
            fields.problems.push(problem);
            continue;
        }
        warn_of_quotes(&name, text, span, fields.problems);
        let value = template(name.as_str(), text, span, fields.problems);
        headers.extend(value.map(|value| (name, value)));
    }
    headers
}

fn template(key: &str, text: &Scalar, span: Span, problems: &mut Problems) -> Option<Template> {
    Template::parse(&text.text)
        .map_err(|unknown| problems.push(no_place(key, text, span, &unknown)))
        .ok()
}

/// The problem of an unknown place. Text from the environment is not repeated.
fn no_place(key: &str, text: &Scalar, span: Span, unknown: &UnknownPlace) -> Problem {
    let places: Vec<String> = names().map(|name| format!("`%{{{name}}}`")).collect();
    let help = format!(
        "places: {}; `%%{{` stands for the characters themselves",
        places.join(", ")
    );
    let named = match text.reference {
        Some(_) => String::new(),
        None => format!(" `%{{{}}}`", show(&unknown.name)),
    };
    let message = format!("`{key}` has a place{named} that nothing can be filled into");
    let problem = Problem::error(Code::Placeholder, span, message).help(help);
    match nearest(&unknown.name, names()) {
        Some(meant) => problem.hint(format!("did you mean `%{{{meant}}}`?")),
        None => problem,
    }
}

//! The conditions of a rule of `classify:`.

use ::http::HeaderName;

use super::headers::header_key;
use super::statuses::ends;
use crate::config::excerpt::show;
use crate::config::fields::{Fields, scalar, value};
use crate::config::keys::{MOST_RULES as MOST, judged};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::suggest::nearest;
use crate::config::tree::{Entry, Node, Span, Value};
use crate::config::units::Invalid;
use crate::failure::{Blame, Failure};
use crate::resilience::{Expected, Pattern, Pointer, Statuses};

/// The longest text to compare with, in bytes.
const LONGEST: usize = 256;

/// One value or a list of values.
fn items<'n>(entry: &'n Entry, problems: &mut Problems) -> &'n [Node] {
    let Entry { key, node } = entry;
    match &node.value {
        Value::Sequence(items) if !items.is_empty() => {
            let what = format!("`{}` has", show(&key.text));
            within(items, &what, "values", node.span, problems)
        }
        Value::Sequence(_) => {
            let message = format!("the list of `{}` is empty", show(&key.text));
            problems.push(Problem::error(Code::NoValue, node.span, message));
            &[]
        }
        Value::Null | Value::Scalar(_) | Value::Mapping(_) | Value::Unusable => {
            std::slice::from_ref(node)
        }
    }
}

/// The first `most`; if there are more, that is reported.
pub(super) fn within<'n, T>(
    items: &'n [T],
    what: &str,
    of: &str,
    at: Span,
    problems: &mut Problems,
) -> &'n [T] {
    if items.len() > MOST {
        let message = format!("{what} more than {MOST} {of}");
        problems.push(Problem::error(Code::Budget, at, message));
    }
    &items[..items.len().min(MOST)]
}

/// `status`.
pub(super) fn statuses(entry: &Entry, problems: &mut Problems) -> Statuses {
    let ranges: Vec<(u16, u16)> = items(entry, problems)
        .iter()
        .filter_map(|item| value("status", item, problems, status))
        .collect();
    Statuses::of(ranges)
}

/// `404`, `500-599`, `5xx` or `any`.
fn status(text: &str) -> Result<(u16, u16), Invalid> {
    if text == "any" {
        return Ok((100, 599));
    }
    match ends(text) {
        Some((first, last)) if first >= 100 && first <= last && last < 600 => Ok((first, last)),
        Some(_) => Err(Invalid::new(
            Code::OutOfRange,
            "must be from 100 to 599, the smaller end of a range first",
        )),
        None => Err(Invalid::new(Code::Malformed, "is no status")
            .hint("statuses are written like `404`, `500-599`, `5xx` or `any`")),
    }
}

/// A name without a value asks only that the header is there.
pub(super) fn headers(fields: &mut Fields<'_, '_>) -> Vec<(HeaderName, Option<Pattern>)> {
    let (entries, place) = fields.named("header");
    let entries = within(&entries, "`header` has", "names", place, fields.problems);
    let mut headers = Vec::with_capacity(entries.len());
    for Entry { key, node } in entries {
        let Some(name) = header_key(key, fields.problems) else {
            continue;
        };
        let wanted = match node.value {
            Value::Null => None,
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Unusable => {
                let Some(wanted) = value(name.as_str(), node, fields.problems, pattern) else {
                    continue;
                };
                Some(wanted)
            }
        };
        headers.push((name, wanted));
    }
    headers
}

/// Pointers with the values that may stand there; without a value, anything but null.
pub(super) fn json(fields: &mut Fields<'_, '_>) -> Vec<(Pointer, Vec<Expected>)> {
    let (entries, place) = fields.named("json");
    let entries = within(&entries, "`json` has", "pointers", place, fields.problems);
    let mut json = Vec::with_capacity(entries.len());
    for entry in entries {
        let pointer = match Pointer::parse(&entry.key.text) {
            Ok(pointer) if entry.key.text.len() <= LONGEST => pointer,
            Ok(_) => {
                let message = format!("the pointer is longer than {LONGEST} bytes");
                let problem = Problem::error(Code::Budget, entry.key.span, message);
                fields.problems.push(problem);
                continue;
            }
            Err(bad) => {
                let message = format!("the JSON pointer `{}` {bad}", show(&entry.key.text));
                let problem = Problem::error(Code::Pointer, entry.key.span, message);
                fields.problems.push(problem.hint("write `/error/code`"));
                continue;
            }
        };
        let values = match &entry.node.value {
            Value::Null => Vec::new(),
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Unusable => {
                let values: Vec<_> = items(entry, fields.problems)
                    .iter()
                    .filter_map(|item| value(&entry.key.text, item, fields.problems, expected))
                    .collect();
                if values.is_empty() {
                    continue;
                }
                values
            }
        };
        json.push((pointer, values));
    }
    json
}

/// `131056`, `200-299` or a text, in which `*` stands for anything.
fn expected(text: &str) -> Result<Expected, Invalid> {
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number =
            (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i64>().ok()).flatten()
    };
    if let Some(number) = number(text) {
        return Ok(Expected::Numbers(number, number));
    }
    match text.split_once('-').map(|(a, b)| (number(a), number(b))) {
        Some((Some(first), Some(last))) if first <= last => Ok(Expected::Numbers(first, last)),
        Some((Some(_), Some(_))) => Err(Invalid::new(
            Code::OutOfRange,
            "has a range that ends before it begins",
        )),
        Some(_) | None => pattern(text).map(Expected::Text),
    }
}

fn pattern(text: &str) -> Result<Pattern, Invalid> {
    if text.len() > LONGEST {
        return Err(Invalid::new(
            Code::Budget,
            format!("has a text longer than {LONGEST} bytes"),
        ));
    }
    Ok(Pattern::new(text))
}

/// `error`.
pub(super) fn errors(entry: &Entry, problems: &mut Problems) -> Vec<&'static str> {
    let mut labels = Vec::new();
    for item in items(entry, problems) {
        let Some((text, span)) = scalar("error", item, problems) else {
            continue;
        };
        let known = Failure::ALL
            .into_iter()
            .find(|failure| failure.label() == text.text);
        let wrong = match known {
            Some(failure) if failure.blame() == Blame::Upstream => {
                labels.push(failure.label());
                continue;
            }
            Some(_) => format!(
                "`{}` is not the upstream's doing, so it proves nothing about it",
                text.shown()
            ),
            None => format!("`{}` is no reason for which an attempt fails", text.shown()),
        };
        let problem = Problem::error(Code::FailureLabel, span, wrong);
        let help = format!("reasons: {}", judged().join(", "));
        problems.push(problem.meant(nearest(&text.text, judged())).help(help));
    }
    labels
}

//! `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$${` in the text of values: once, after parsing, never in keys.

use super::excerpt::show;
use super::problem::{Code, Problem, Problems};
use super::tree::{Node, Span, Value};

/// Where variables are looked up.
pub(crate) type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The most bytes of all values with references: many references to one long variable are short to write and take much memory.
const MAX_REPLACED: usize = 1024 * 1024;

/// Replaces every reference below `node`. What cannot be replaced is reported and becomes unusable.
pub(crate) fn expand(node: &mut Node, env: Env<'_>, problems: &mut Problems) {
    expand_within(&mut MAX_REPLACED.clone(), node, env, problems);
}

fn expand_within(left: &mut usize, node: &mut Node, env: Env<'_>, problems: &mut Problems) {
    match &mut node.value {
        Value::Null | Value::Unusable => {}
        Value::Sequence(items) => items
            .iter_mut()
            .for_each(|item| expand_within(left, item, env, problems)),
        Value::Mapping(entries) => entries
            .iter_mut()
            .for_each(|entry| expand_within(left, &mut entry.node, env, problems)),
        Value::Scalar(scalar) => match replace(&scalar.text, env, node.span, left) {
            Ok(None) => {}
            Ok(Some(text)) => {
                let reference = std::mem::replace(&mut scalar.text, text);
                scalar.reference = Some(reference);
            }
            Err(problem) => {
                problems.push(*problem);
                node.value = Value::Unusable;
            }
        },
    }
}

/// A piece of a text that may have references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// Literal text.
    Text(&'t str),
    /// `$${`: the characters `${` themselves.
    Escape,
    /// A reference: the text between its braces.
    Reference(&'t str),
    /// A `${` without its `}`.
    Unclosed,
}

/// The pieces of a text in their order.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Escape]);
            rest = &reference[2..];
            continue;
        }
        pieces.push(Piece::Text(before));
        let Some(end) = reference.find('}') else {
            pieces.push(Piece::Unclosed);
            return pieces;
        };
        pieces.push(Piece::Reference(&reference[2..end]));
        rest = &reference[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Splits the text between braces into the variable's name and the rest.
pub(crate) fn name_of(inner: &str) -> (&str, &str) {
    let length = inner
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inner.len());
    inner.split_at(length)
}

/// The text with its references replaced; `None` when it has none. All references together may still give `left` bytes.
fn replace(
    text: &str,
    env: Env<'_>,
    span: Span,
    left: &mut usize,
) -> Result<Option<String>, Box<Problem>> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Escape => out.push_str("${"),
            Piece::Reference(inner) => {
                if *left == 0 {
                    // The bytes stay spent: each further reference costs the length of the variable.
                    return Err(too_much(span));
                }
                let replaced = value(inner, env, span)?;
                let Some(remaining) = left.checked_sub(replaced.len()) else {
                    *left = 0;
                    return Err(too_much(span));
                };
                *left = remaining;
                out.push_str(&replaced);
            }
            Piece::Unclosed => {
                let problem =
                    Problem::error(Code::MalformedReference, span, "a `${` has no closing `}`");
                return Err(Box::new(
                    problem.hint("add the `}`, or write `$${` for the characters themselves"),
                ));
            }
        }
    }
    Ok(Some(out))
}

/// The problem of references that give too much text.
fn too_much(span: Span) -> Box<Problem> {
    let message = format!("the references stand for more than {MAX_REPLACED} bytes of text");
    Box::new(Problem::error(Code::Budget, span, message))
}

/// The value of a reference, given the text between its braces.
fn value(inner: &str, env: Env<'_>, span: Span) -> Result<String, Box<Problem>> {
    let (name, operator) = name_of(inner);
    let malformed = || {
        let problem = Problem::error(
            Code::MalformedReference,
            span,
            format!("`${{{}}}` is malformed", show(inner)),
        );
        Box::new(problem.hint("references are `${VAR}`, `${VAR:-default}` and `${VAR:?message}`"))
    };
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || operator.contains("${")
    {
        return Err(malformed());
    }
    let set = env(name)
        .map(|value| {
            if value.contains(char::is_control) {
                Err(control(name, span))
            } else {
                Ok(value)
            }
        })
        .transpose()?;
    if operator.is_empty() {
        return set.ok_or_else(|| {
            let problem = Problem::error(
                Code::UndefinedVariable,
                span,
                format!("the environment variable `{name}` is not set"),
            );
            Box::new(problem.hint(format!("set it, or give a default: `${{{name}:-…}}`")))
        });
    }
    // As in a shell, the forms with a colon take an empty variable for an unset one.
    let set = set.filter(|value| !value.is_empty());
    if let Some(default) = operator.strip_prefix(":-") {
        return Ok(set.unwrap_or_else(|| default.to_owned()));
    }
    let Some(message) = operator.strip_prefix(":?") else {
        return Err(malformed());
    };
    set.ok_or_else(|| {
        let problem = Problem::error(
            Code::UndefinedVariable,
            span,
            format!("the environment variable `{name}` is not set"),
        );
        Box::new(if message.is_empty() {
            problem
        } else {
            problem.hint(show(message))
        })
    })
}

fn control(name: &str, span: Span) -> Box<Problem> {
    let message = format!(
        "the environment variable `{name}` holds a line break or another control character"
    );
    Box::new(Problem::error(Code::ControlInVariable, span, message))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".to_owned()),
            "EMPTY" => Some(String::new()),
            "LINES" => Some("hush\nSet-Cookie: hush".to_owned()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    fn expanded(text: &str) -> Result<String, String> {
        match replace(text, &env, Span::default(), &mut MAX_REPLACED.clone()) {
            Ok(new) => Ok(new.unwrap_or_else(|| text.to_owned())),
            Err(problem) => Err(format!(
                "{} {} {:?}",
                problem.code, problem.message, problem.hint
            )),
        }
    }

    #[test]
    fn once_references_stand_for_too_much_no_variable_is_looked_up() {
        let asked = Cell::new(0);
        let long = |_: &str| {
            asked.set(asked.get() + 1);
            Some("x".repeat(100))
        };
        let mut left = 150;
        for times in [1, 2, 2, 2] {
            let replaced = replace("${LONG}", &long, Span::default(), &mut left);
            assert_eq!((replaced.is_ok(), asked.get()), (times == 1, times));
        }
    }

    #[test]
    fn references_are_replaced_once() {
        for (text, want) in [
            ("https://${HOST}/v1", "https://example.com/v1"),
            ("${HOST}${HOST}", "example.comexample.com"),
            ("${UNSET:-a:-b}", "a:-b"),
            ("${EMPTY:-full}", "full"),
            ("[${EMPTY}]", "[]"),
            ("${UNSET:-}", ""),
            ("${HOST:?needed}", "example.com"),
            ("$${HOST} ${HOST}", "${HOST} example.com"),
            ("$HOST $ {HOST} }", "$HOST $ {HOST} }"),
            ("${NESTED}", "${HOST}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_bad_reference_is_told_without_any_value() {
        for text in [
            "${UNSET}",
            "${EMPTY:?give a host}",
            "${HOST",
            "${}",
            "${1A}",
            "${HOST:+x}",
            "${A:-${HOST}}",
            "${LINES}",
            "${LINES:-x}",
        ] {
            let told = expanded(text).unwrap_err();
            assert!(told.starts_with("C02"), "{text}: {told}");
            assert!(
                !told.contains("hush") && !told.contains("example.com"),
                "{text}: {told}"
            );
        }
    }
}

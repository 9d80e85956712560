//! Problems that end the reading, because the text is not a tree.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use super::excerpt::lines;
use super::fields::SPACE;
use super::problem::{Code, Problem};
use super::tree::{Node, Span, Value};

/// The most lists and mappings inside one another.
pub(crate) const MAX_DEPTH: usize = 32;
/// The shortest valid file.
const SMALLEST: &str =
    "the smallest file is\nversion: 1\nroutes:\n  partner: {upstream: https://api.example.com}";

/// What to do about `{{ .Values.x }}`.
pub(crate) const UNRENDERED: &str = "this is a template that nobody has filled in: check what it makes, such as what `helm template` prints";

/// A problem after which nothing can be read.
pub(crate) type Fatal = Box<Problem>;

/// Nothing to read.
pub(crate) fn empty() -> Fatal {
    Box::new(Problem::error(Code::Empty, Span::default(), "the file is empty").help(SMALLEST))
}

/// Too many levels.
pub(crate) fn too_deep(span: Span) -> Fatal {
    fatal(
        Code::Budget,
        span,
        format!("nested more than {MAX_DEPTH} levels deep"),
    )
}

/// Any other.
pub(crate) fn fatal(code: Code, span: Span, message: impl Into<String>) -> Fatal {
    Box::new(Problem::error(code, span, message))
}

/// A mapping in the place of a key, as the braces of a template are.
pub(crate) fn key_is_no_text(node: &Node) -> Fatal {
    let message = format!("a key must be text, not {}", node.kind());
    let problem = Problem::error(Code::Structure, node.span, message);
    Box::new(match node.value {
        Value::Mapping(_) => problem.hint(UNRENDERED),
        Value::Null | Value::Scalar(_) | Value::Sequence(_) | Value::Unusable => problem,
    })
}

/// Advice for the most frequent mistakes.
const fn advice(kind: &ErrorKind) -> Option<&'static str> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a parser has a hundred kinds, and most speak for themselves"
    )]
    match kind {
        ErrorKind::ExpectedBlockMappingKey => {
            Some("begin it in the same column as the keys beside it")
        }
        ErrorKind::ExpectedFlowMappingSeparator => {
            Some("a `{` before it is still open: end it with `}`, or write `,` between")
        }
        ErrorKind::ExpectedFlowSequenceSeparator => {
            Some("a `[` before it is still open: end it with `]`, or write `,` between")
        }
        ErrorKind::UnclosedQuotedScalar => Some("end the text with the quote that it begins with"),
        _ => None,
    }
}

/// What the parser does not understand at `span` of `text`.
pub(crate) fn syntax(error: &ScanError, span: Span, text: &str) -> Fatal {
    let kind = error.kind();
    if *kind == ErrorKind::RecursionLimitExceeded {
        return too_deep(span);
    }
    if matches!(
        kind,
        ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabNotAllowed
    ) {
        let tab = Problem::error(Code::Syntax, span, "a tab where YAML wants spaces");
        return Box::new(tab.hint("indent with spaces"));
    }
    let problem = Problem::error(
        Code::Syntax,
        span,
        format!("not valid YAML: {}", error.info()),
    );
    let lines = lines(text);
    let line = |up: usize| {
        let at = span.line.checked_sub(up);
        at.and_then(|line| lines.get(line).copied())
            .unwrap_or_default()
    };
    let is_about_a_colon = matches!(
        kind,
        ErrorKind::SimpleKeyExpected | ErrorKind::MappingValueNotAllowed
    );
    // Inside `{…}` and `[…]` a plain `${VAR}` ends at its brace.
    Box::new(if line(1).contains("{{") {
        problem.hint(UNRENDERED)
    } else if line(1).contains("${") {
        problem.hint("put references in quotes: `\"${VAR}\"`")
    } else if is_about_a_colon && (is_stuck(line(1)) || is_stuck(line(2))) {
        // A text may continue, so the parser may notice it one line later.
        problem.hint(SPACE)
    } else {
        match advice(kind) {
            Some(advice) => problem.hint(advice),
            None => problem,
        }
    })
}

/// Whether a line is a key whose colon has no space behind it: `timeout:5s`.
fn is_stuck(line: &str) -> bool {
    let Some((key, value)) = line.split_once(':') else {
        return false;
    };
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let key = key.trim_start();
    !key.is_empty()
        && key.bytes().all(is_key)
        && !value.starts_with([' ', '\t', '/'])
        && !value.is_empty()
}

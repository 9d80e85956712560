//! Characters that look like YAML's but are others: what word processors, chats and web pages make of quotes, spaces and
//! colons.

use super::problem::{Code, Problem, Severity};

/// The advice about characters near the place of a problem that probably cause it.
pub(crate) fn advice(problem: &Problem, lines: &[&str]) -> Option<&'static str> {
    let is_told = matches!(
        problem.code,
        Code::Budget
            | Code::UndefinedVariable
            | Code::MalformedReference
            | Code::ControlInVariable
            | Code::Header
            | Code::File
    );
    if problem.severity == Severity::Warning || is_told {
        return None;
    }
    let here = problem.line.checked_sub(1)?;
    let line = |at: usize| lines.get(at).copied().unwrap_or_default();
    let code = |at: usize| line(at).split(" #").next().and_then(found);
    let mark = line(here).chars().skip(problem.column.saturating_sub(1));
    let marked: String = mark.take(problem.width).collect();
    // The cause may be one line above: of a text that goes on, or of a key whose value is no mapping.
    if problem.code == Code::Syntax {
        return code(here).or_else(|| code(here.checked_sub(1)?));
    }
    found(&marked).or_else(|| {
        let is_below = problem.code == Code::WrongKind;
        is_below.then(|| code(here + 1)).flatten()
    })
}

/// The advice about a text that includes its curly quotes.
pub(crate) fn quoted(text: &str) -> Option<&'static str> {
    text.chars().next().and_then(quote)
}

fn quote(c: char) -> Option<&'static str> {
    match c {
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => {
            Some("YAML knows no curly quotes: write `\"`")
        }
        '\u{2018}'..='\u{201b}' | '\u{b4}' => Some("YAML knows no curly quotes: write `'`"),
        _ => None,
    }
}

fn found(text: &str) -> Option<&'static str> {
    text.chars().find_map(|c| match c {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Some("one of the spaces is not an ordinary one (but U+00A0 or the like): type it anew")
        }
        '\u{ff1a}' => Some("there is a wide colon: write `:` and a space"),
        '\u{ff0c}' => Some("there is a wide comma: write `,`"),
        _ => quote(c),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Span;

    fn told(
        code: Code,
        (line, column, width): (usize, usize, usize),
        text: &str,
    ) -> Option<&'static str> {
        let span = Span {
            line,
            column,
            width,
        };
        let lines: Vec<&str> = text.lines().collect();
        advice(&Problem::error(code, span, "x"), &lines)
    }

    #[test]
    fn what_looks_like_yaml_is_told_where_it_may_be_the_reason() {
        let quotes = Some("YAML knows no curly quotes: write `\"`");
        assert_eq!(told(Code::Url, (1, 4, 6), "a: “b”"), quotes);
        assert_eq!(told(Code::Syntax, (2, 1, 1), "a: “b\nc: d"), quotes);
        assert!(told(Code::WrongKind, (1, 1, 1), "a:\n  b:\u{a0}c").is_some());
        assert!(told(Code::UnknownKey, (1, 1, 5), "\u{a0}  bc: 1").is_some());
    }

    #[test]
    fn what_has_nothing_to_do_with_it_is_not_told() {
        for (code, place, text) in [
            (Code::Url, (1, 1, 1), "a: “b”"),
            (Code::Url, (2, 1, 1), "“b”\na"),
            (Code::Syntax, (1, 1, 1), "a: b # “c”"),
            (Code::Syntax, (3, 1, 1), "“\nb\nc"),
            (Code::UndefinedVariable, (1, 1, 9), "“${A}”"),
            (Code::Missing, (0, 0, 0), "“b”"),
            (Code::Url, (9, 9, 9), "“b”"),
        ] {
            assert_eq!(told(code, place, text), None, "{text}");
        }
    }
}

//! The line of the file that a problem points at, fit to be shown: without control characters and secrets, and bounded.

use super::confidential::may_be_secret_name;
use super::keys::ROUTE;
use crate::text::{clip, is_unfit};

/// How many characters of a line are shown.
const LONGEST: usize = 160;
/// Columns beyond this are not shown.
const FARTHEST: usize = 10_000;
/// How many characters are kept in front of the place when the line is cut.
const BEFORE: usize = 60;

/// A line to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// The text.
    pub(crate) text: String,
    /// Where the marked part begins in it, in characters from 0.
    pub(crate) at: usize,
    /// How many characters are marked.
    pub(crate) width: usize,
    /// How many characters stand before it in the file, besides what `…` is for.
    pub(crate) skipped: usize,
}

/// Cuts line number `line` (from 1) out of `lines`, marking `width` characters from `column` (from 1).
pub(crate) fn excerpt(lines: &[&str], line: usize, column: usize, width: usize) -> Option<Excerpt> {
    let text = lines.get(line.checked_sub(1)?)?;
    let at = column.checked_sub(1).filter(|at| *at < FARTHEST)?;
    let mut shown: Vec<char> = text
        .chars()
        // Of a very long line only the part near the place is processed.
        .take(FARTHEST + LONGEST)
        .map(|c| {
            if c == '\t' {
                ' '
            } else if is_unfit(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    if continues_secret(lines, line - 1) {
        let value = shown.iter().position(|c| *c == ':').map_or(0, |at| at + 1);
        shown[value..]
            .iter_mut()
            .filter(|c| !c.is_whitespace())
            .for_each(|c| *c = '*');
    }
    mask(&mut shown);
    while shown.last().is_some_and(|c| c.is_whitespace()) {
        shown.pop();
    }
    let at = at.min(shown.len());
    let width = width.clamp(1, LONGEST).min((shown.len() - at).max(1));
    if shown.len() <= LONGEST {
        return Some(Excerpt {
            text: shown.into_iter().collect(),
            at,
            width,
            skipped: 0,
        });
    }
    let from = at.saturating_sub(BEFORE);
    let to = shown.len().min(from + LONGEST);
    let (head, tail) = (
        if from > 0 { "…" } else { "" },
        if to < shown.len() { "…" } else { "" },
    );
    let text: String = shown[from..to].iter().collect();
    let at = at - from + head.chars().count();
    Some(Excerpt {
        text: format!("{head}{text}{tail}"),
        at,
        width: width.min(to - from - (at.min(to - from))).max(1),
        skipped: from.saturating_sub(1),
    })
}

/// The lines of a YAML text: `\n`, `\r\n` and `\r` end one.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        lines.push(&rest[..at]);
        let end = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[at + end..];
    }
    lines.push(rest);
    lines
}

/// A text from the file as a message shows it: without unfit characters, and bounded.
pub(crate) fn show(text: &str) -> String {
    clip(text, 60)
}

/// Overwrites what looks like a secret with `*`: the text after a key that [`is_secret_name`], and a URL's user and password.
fn mask(line: &mut [char]) {
    let mut at = 0;
    while at < line.len() {
        if line[at] == ':'
            && line.get(at + 1).is_none_or(|c| *c == ' ')
            && is_secret_key(&key_before(line, at))
        {
            at = mask_value(line, at + 1);
        } else if line[at..].starts_with(&[':', '/', '/']) {
            at = mask_user(line, at + 3);
            mask_query(line, at);
        } else if line[at] == '@' {
            mask_bare_user(line, at);
            at += 1;
        } else {
            at += 1;
        }
    }
}

/// A text without the user and password of any URL in it.
pub(crate) fn without_users(text: &str) -> String {
    let mut shown: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < shown.len() {
        at = if shown[at..].starts_with(&[':', '/', '/']) {
            mask_user(&mut shown, at + 3)
        } else {
            at + 1
        };
    }
    shown.into_iter().collect()
}

/// Whether a line, by its number from 0, goes on with the text of a secret key above it.
fn continues_secret(lines: &[&str], at: usize) -> bool {
    /// The most lines of a secret value.
    const FAR: usize = 50;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let Some(text) = lines.get(at) else {
        return false;
    };
    let own = indent(text);
    let above = lines[at.saturating_sub(FAR)..at].iter().rev();
    let parent = above
        .filter(|line| !line.trim().is_empty())
        .find(|line| indent(line) < own);
    let Some((key, _)) = parent.and_then(|line| line.split_once(':')) else {
        return false;
    };
    let names_file = text.trim_start().starts_with("file:");
    !names_file && is_secret_key(key.trim_matches([' ', '-', '"', '\'']))
}

/// Whether the value of a key or header of that name is not shown. `key` alone is a key of ours, and so is what names a file.
fn is_secret_key(name: &str) -> bool {
    name != "key" && !name.ends_with("file") && may_be_secret_name(name)
}

/// The word that ends in front of `end`, without quotes.
fn key_before(line: &[char], end: usize) -> String {
    let key: Vec<char> = line[..end]
        .iter()
        .rev()
        .skip_while(|c| **c == ' ')
        .take_while(|c| !matches!(c, ' ' | '{' | ','))
        .copied()
        .collect();
    key.iter()
        .rev()
        .filter(|c| !matches!(c, '"' | '\''))
        .collect()
}

/// The word that begins at `from`.
fn word_after(line: &[char], from: usize) -> String {
    let word = line[from..].iter().skip_while(|c| **c == ' ');
    word.take_while(|c| c.is_ascii_alphanumeric() || **c == '_')
        .collect()
}

/// Masks a value that is no reference or anchor; returns where it ends.
fn mask_value(line: &mut [char], from: usize) -> usize {
    let Some(start) = (from..line.len()).find(|at| line[*at] != ' ') else {
        return line.len();
    };
    let (quote, start) = if matches!(line[start], '"' | '\'') {
        (Some(line[start]), start + 1)
    } else {
        (None, start)
    };
    if start < line.len() && quote.is_none() {
        if matches!(line[start], '{' | '[') {
            // A route may be called `auth`.
            let is_route = ROUTE.key(&word_after(line, start + 1)).is_some();
            return if is_route {
                start
            } else {
                mask_flow(line, start)
            };
        }
        if matches!(line[start], '#' | '&' | '*' | '|' | '>') {
            return start;
        }
    }
    let flow = line[..start].contains(&'{');
    let end = (start..line.len())
        .find(|at| match quote {
            Some(quote) => line[*at] == quote,
            None => flow && matches!(line[*at], ',' | '}'),
        })
        .unwrap_or(line.len());
    line[start..end].iter_mut().for_each(|c| *c = '*');
    end
}

/// Masks what a mapping or list on one line holds, but for its keys and for the path after `file`; returns where it ends.
fn mask_flow(line: &mut [char], from: usize) -> usize {
    let (mut at, mut depth, mut is_path) = (from, 0_usize, false);
    while at < line.len() {
        match line[at] {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                is_path = false;
                if depth == 0 {
                    return at;
                }
            }
            ',' => is_path = false,
            ' ' | ':' => {}
            quote @ ('"' | '\'') => {
                let rest = at + 1..line.len();
                let end = rest
                    .clone()
                    .find(|at| line[*at] == quote)
                    .unwrap_or(line.len());
                if !is_path {
                    line[at + 1..end].iter_mut().for_each(|c| *c = '*');
                }
                at = end;
            }
            _ => {
                let is_key_end =
                    |at: usize| line[at] == ':' && line.get(at + 1).is_none_or(|next| *next == ' ');
                let end = (at..line.len())
                    .find(|at| matches!(line[*at], ' ' | ',' | '}' | ']') || is_key_end(*at))
                    .unwrap_or(line.len());
                if end < line.len() && line[end] == ':' {
                    is_path = line[at..end].iter().copied().eq("file".chars());
                } else if !is_path {
                    line[at..end].iter_mut().for_each(|c| *c = '*');
                }
                at = end;
                continue;
            }
        }
        at += 1;
    }
    line.len()
}

/// Masks the query of a URL whose authority ends at `from`.
fn mask_query(line: &mut [char], from: usize) {
    let end = (from..line.len())
        .find(|at| matches!(line[*at], ' ' | '"' | '\'' | ',' | '}'))
        .unwrap_or(line.len());
    if let Some(at) = line[from..end].iter().position(|c| *c == '?') {
        line[from + at + 1..end].iter_mut().for_each(|c| *c = '*');
    }
}

/// Masks `user:password` in front of an `@` where no scheme stands before it.
fn mask_bare_user(line: &mut [char], at: usize) {
    let start = line[..at]
        .iter()
        .rposition(|c| matches!(c, ' ' | '"' | '\'' | '{' | '[' | ','))
        .map_or(0, |before| before + 1);
    if line[start..at].contains(&':') && !line[start..at].contains(&'/') {
        line[start..at].iter_mut().for_each(|c| *c = '*');
    }
}

/// Masks `user:password` of a URL whose authority begins at `from`; returns where the authority ends.
fn mask_user(line: &mut [char], from: usize) -> usize {
    let end = (from..line.len())
        .find(|at| matches!(line[*at], '/' | ' ' | '"' | '\''))
        .unwrap_or(line.len());
    if let Some(at) = line[from..end].iter().rposition(|c| *c == '@') {
        line[from..from + at].iter_mut().for_each(|c| *c = '*');
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        excerpt(&[text], 1, 1, 1).unwrap().text
    }

    #[test]
    fn what_looks_like_a_secret_is_masked() {
        assert_eq!(
            shown("    Authorization: Bearer abc"),
            "    Authorization: **********"
        );
        assert_eq!(
            shown("set: {X-Api-Key: \"abc\", X-Other: b}"),
            "set: {X-Api-Key: \"***\", X-Other: b}"
        );
        assert_eq!(
            shown("set: {\"Cookie\": abc, X-Other: b}"),
            "set: {\"Cookie\": ***, X-Other: b}"
        );
        assert_eq!(
            shown("upstream: https://me:hush@host/x@y"),
            "upstream: https://*******@host/x@y"
        );
    }

    #[test]
    fn a_secret_in_a_mapping_or_list_is_masked_and_the_name_of_a_file_shown() {
        for (line, masked) in [
            (
                "Authorization: {value: \"Bearer abc\"}",
                "Authorization: {value: \"**********\"}",
            ),
            (
                "Authorization: [Bearer, abc]",
                "Authorization: [******, ***]",
            ),
            (
                "set: {Cookie: {file: /a b, prefix: 'x y'}, X-Other: b}",
                "set: {Cookie: {file: /a b, prefix: '***'}, X-Other: b}",
            ),
            ("Authorization: {env: abc", "Authorization: {env: ***"),
            ("X-Functions-Key: abc", "X-Functions-Key: ***"),
            ("key: {header: X-Tenant}", "key: {header: X-Tenant}"),
            (
                "token-api: {upstream: https://a, timeout: 1s}",
                "token-api: {upstream: https://a, timeout: 1s}",
            ),
            ("tls: {key_file: /etc/key}", "tls: {key_file: /etc/key}"),
        ] {
            assert_eq!(shown(line), masked);
        }
    }

    #[test]
    fn a_secret_in_a_url_is_masked_wherever_it_stands() {
        for (line, masked) in [
            (
                "upstream: https://host/a?access_token=abc",
                "upstream: https://host/a?****************",
            ),
            (
                "{upstream: \"https://host/a?b=c\", timeout: 1s}",
                "{upstream: \"https://host/a?***\", timeout: 1s}",
            ),
            ("upstream: me:hush@host", "upstream: *******@host"),
            (
                "upstream: https://host/a:b@c",
                "upstream: https://host/a:b@c",
            ),
        ] {
            assert_eq!(shown(line), masked);
        }
    }

    #[test]
    fn a_secret_that_goes_on_below_its_key_is_masked() {
        let lines = [
            "Authorization: >",
            "",
            "  Bearer hush",
            "X-Other:",
            "  a b",
            "Cookie:",
            "  file: /etc/cookie",
        ];
        let shown = |line| excerpt(&lines, line, 3, 1).unwrap().text;
        assert_eq!(shown(3), "  ****** ****");
        assert_eq!(shown(5), "  a b");
        assert_eq!(shown(7), "  file: /etc/cookie");
    }

    #[test]
    fn file_names_and_ordinary_values_are_shown() {
        for line in [
            "operator_token_file: /etc/token",
            "Authorization: {file: /etc/wa}",
            "timeout: 30",
            "upstream: https://host/a",
        ] {
            assert_eq!(shown(line), line);
        }
    }

    #[test]
    fn control_characters_and_long_lines_are_tamed() {
        assert_eq!(shown("a\u{1b}[31m\tb"), "a\u{fffd}[31m b");
        let long = format!("{}x{}", "a".repeat(5000), "b".repeat(5000));
        let cut = excerpt(&[&long], 1, 5001, 1).unwrap();
        assert_eq!(cut.text.chars().nth(cut.at), Some('x'));
        assert!(cut.text.chars().count() <= LONGEST + 2);
    }

    #[test]
    fn lines_end_as_in_yaml() {
        assert_eq!(lines("a\r\nb\rc\nd"), ["a", "b", "c", "d"]);
    }
}

//! Values as YAML that reads back as the same.

use std::fmt::Write as _;

use super::item::{Item, Style, What};

/// The longest text of a list or mapping in one line.
const WIDEST: usize = 100;
/// The indentation of each level.
const STEP: usize = 2;

/// Keys at the top of a file, each with its value.
pub(super) fn document(entries: &[(String, Item)]) -> String {
    let mut text = String::new();
    block(entries, 0, &mut text);
    text
}

/// A mapping under a name that stands one step in.
pub(super) fn below(name: &str, entries: &[(String, Item)]) -> String {
    let mut text = format!("{:STEP$}{}:\n", "", key(name));
    block(entries, 2 * STEP, &mut text);
    text
}

fn block(entries: &[(String, Item)], indent: usize, text: &mut String) {
    for (name, item) in entries {
        let name = key(name);
        // Writing to a String cannot fail.
        let _ = match &item.what {
            What::Said(words) => write!(text, "{:indent$}# {name}: {words}", ""),
            What::Text(..) | What::Null | What::List(_) | What::Mapping(_) => {
                write!(text, "{:indent$}{name}:", "")
            }
        };
        value(item, indent, text);
    }
}

/// Appends a value behind a key or the `-` of an item, which are indented by `indent`; with the end of the line.
fn value(item: &Item, indent: usize, text: &mut String) {
    match &item.what {
        What::Said(_) => text.push('\n'),
        What::Text(..) | What::Null => {
            text.push(' ');
            text.push_str(&scalar(item, Context::Block));
            text.push('\n');
        }
        What::Mapping(entries) if !item.is_whole && !item.is_empty() => {
            text.push('\n');
            block(entries, indent + STEP, text);
        }
        What::Mapping(entries) if !fits(item) => {
            text.push('\n');
            block(entries, indent + STEP, text);
        }
        What::List(items) if items.iter().any(Item::is_mapping) || !fits(item) => {
            text.push('\n');
            let at = indent + STEP;
            for item in items {
                let mut inner = String::new();
                value(item, at, &mut inner);
                let _ = write!(text, "{:at$}- {}", "", inner.trim_start());
            }
        }
        What::List(_) | What::Mapping(_) => {
            text.push(' ');
            text.push_str(&flow(item));
            text.push('\n');
        }
    }
}

/// Whether it may stand in one line.
fn fits(item: &Item) -> bool {
    !has_bare(item) && flow(item).chars().count() <= WIDEST
}

fn has_bare(item: &Item) -> bool {
    match &item.what {
        What::Text(_, style) => *style == Style::Bare,
        What::Null | What::Said(_) => false,
        What::List(items) => items.iter().any(has_bare),
        What::Mapping(entries) => entries.iter().any(|(_, item)| has_bare(item)),
    }
}

/// A value in one line.
pub(super) fn flow(item: &Item) -> String {
    match &item.what {
        What::Text(..) | What::Null => scalar(item, Context::Flow),
        What::Said(words) => (*words).to_owned(),
        What::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        What::Mapping(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .filter(|(_, item)| !matches!(item.what, What::Said(_)))
                .map(|(name, item)| format!("{}: {}", key(name), flow(item)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// The place of a text, which decides whether it needs quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Block,
    Flow,
}

fn scalar(item: &Item, context: Context) -> String {
    match &item.what {
        What::Text(text, Style::Any | Style::Number) if is_plain(text) => text.clone(),
        What::Text(text, Style::Number) if is_number(text) => text.clone(),
        What::Text(text, Style::Bare) if context == Context::Block && is_bare(text) => text.clone(),
        What::Text(text, _) => quoted(text),
        What::Null | What::Said(_) | What::List(_) | What::Mapping(_) => "null".to_owned(),
    }
}

fn key(name: &str) -> String {
    if is_plain(name) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// Whether a text needs no quotes anywhere.
fn is_plain(text: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphanumeric() || "_/".contains(c);
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "_/.:+%=~$*-".contains(c);
    text.starts_with(begins)
        && text.chars().all(goes_on)
        && !text.ends_with(':')
        && !is_nothing(text)
}

/// Whether a text that stands behind a key in a line of its own needs no quotes.
fn is_bare(text: &str) -> bool {
    !text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c))
        && !text.ends_with([':', ' '])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(char::is_control)
        && !is_nothing(text)
}

fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// In double quotes, in which everything can be written (YAML 1.2 §7.3.1).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

//! The URLs of services in the files that hold an application's settings. Nothing but these is ever taken from them.

use serde_json::Value;

use super::url::Url;
use crate::text::is_unfit;

/// The longest name that is shown.
const LONGEST_NAME: usize = 80;
/// How deep a `package.json` is searched.
const DEEPEST: usize = 8;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Lines of `NAME=value`.
    Environment,
    /// `package.json`.
    Package,
}

/// Something that looks like the URL of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The file's name.
    pub(super) file: String,
    /// The variable, or the path of keys.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// None for one that cannot be the upstream of a route.
    pub(super) url: Option<Url>,
}

/// The URLs in a file, in its order.
pub(super) fn scan(file: &str, kind: Kind, content: &[u8]) -> Vec<Found> {
    let text = String::from_utf8_lossy(content);
    let text = text.trim_start_matches('\u{feff}');
    let pairs = match kind {
        Kind::Environment => environment(text),
        Kind::Package => package(text),
    };
    let is_url = |text: &str| {
        let begin = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        begin.starts_with("http://") || begin.starts_with("https://")
    };
    pairs
        .into_iter()
        .filter(|(name, text)| is_url(text) && !is_own(name))
        .map(|(name, text)| Found {
            file: clean(file),
            name: clean(&name),
            kind,
            url: Url::parse(&text),
        })
        .collect()
}

/// Whether a setting names the application itself: its own address, or allowed origins.
fn is_own(name: &str) -> bool {
    const PARTS: [&str; 8] = [
        "frontend", "cors", "origin", "redirect", "callback", "public", "homepage", "proxy",
    ];
    let name = name.to_ascii_lowercase();
    let is_app = ["app_url", "base_url", "site_url"].contains(&name.as_str());
    is_app || PARTS.iter().any(|part| name.contains(part))
}

/// The names and values of lines like `export NAME="value"  # why`.
fn environment(text: &str) -> Vec<(String, String)> {
    text.split(['\n', '\r'])
        .filter_map(|line| {
            let line = line.trim();
            let line = match line.strip_prefix("export") {
                Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
                Some(_) | None => line,
            };
            let (name, value) = line.split_once('=')?;
            let name = name.trim_end();
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            is_name.then(|| (name.to_owned(), unquoted(value.trim())))
        })
        .collect()
}

fn unquoted(value: &str) -> String {
    let quote = value.chars().next().filter(|c| "\"'`".contains(*c));
    match quote {
        Some(quote) => value[1..].split(quote).next(),
        None => value.split([' ', '\t']).next(),
    }
    .unwrap_or_default()
    .trim()
    .to_owned()
}

/// The texts under `config`, where npm has an application's settings.
fn package(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    if let Ok(package) = serde_json::from_str::<Value>(text)
        && let Some(config) = package.get("config")
    {
        walk("config", config, 0, &mut pairs);
    }
    pairs
}

fn walk(path: &str, value: &Value, depth: usize, pairs: &mut Vec<(String, String)>) {
    if depth > DEEPEST {
        return;
    }
    if let Value::String(text) = value {
        pairs.push((path.to_owned(), text.clone()));
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        walk(&format!("{path}.{key}"), value, depth + 1, pairs);
    }
}

/// A name fit for a terminal and a comment: on one line and bounded.
pub(super) fn clean(name: &str) -> String {
    let shown = name.chars().take(LONGEST_NAME);
    shown
        .map(|c| {
            if is_unfit(c) || c.is_whitespace() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(kind: Kind, text: &[u8]) -> Vec<String> {
        scan(".env", kind, text)
            .into_iter()
            .map(|found| {
                let origin = found.url.map_or("-".to_owned(), |url| url.origin);
                format!("{} {origin}", found.name)
            })
            .collect()
    }

    #[test]
    fn lines_are_read_as_shells_and_libraries_write_them() {
        let text = b"\xef\xbb\xbfA=https://a.example.com\r\nexport B=\"https://b.example.com/x\" # why\n# C=https://c.example.com\n\
            D='https://d.example.com'\nE = https://e.example.com # why\nBAD\xff=https://x.example.com\nDATABASE_URL=postgres://u:p@h/d\n\
            F=https://${HOST}\nexported=1\n=https://g.example.com\nCORS_ORIGINS=http://localhost:3000\nFRONTEND_URL=http://localhost:3000\n";
        assert_eq!(
            origins(Kind::Environment, text),
            [
                "A https://a.example.com",
                "B https://b.example.com",
                "D https://d.example.com",
                "E https://e.example.com",
                "F -",
            ]
        );
    }

    #[test]
    fn of_a_package_only_its_settings_are_read() {
        let text = br#"{"homepage": "https://h.example.com", "repository": {"url": "https://r.example.com"},
            "config": {"api": {"url": "https://a.example.com/v1"}, "port": 1}}"#;
        assert_eq!(
            origins(Kind::Package, text),
            ["config.api.url https://a.example.com"]
        );
        assert!(origins(Kind::Package, b"{").is_empty());
        let deep = format!("{}1{}", "{\"config\":".repeat(500), "}".repeat(500));
        assert!(origins(Kind::Package, deep.as_bytes()).is_empty());
    }

    #[test]
    fn a_name_cannot_turn_the_text_of_a_terminal_or_go_on_without_end() {
        assert_eq!(
            clean("a\u{202e}b\u{1b}[1m c"),
            "a\u{fffd}b\u{fffd}[1m\u{fffd}c"
        );
        assert_eq!(clean(&"x".repeat(9_000)).len(), LONGEST_NAME);
    }
}

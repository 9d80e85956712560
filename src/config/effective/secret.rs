//! Masks values that may be secret.

use crate::config::confidential::may_be_secret_name;
use crate::config::excerpt::without_users;
use crate::config::expand::{Piece, name_of, pieces};
use crate::config::tree::Scalar;

/// Stands in place of a masked text.
pub(super) const MASK: &str = "***";

/// Schemes of credentials (RFC 9110 §11), which are no secret.
const SCHEMES: [&str; 6] = ["bearer", "basic", "digest", "token", "apikey", "negotiate"];

/// The value of a header as it is shown; `name` is that of the header, or `None` if it says nothing.
pub(super) fn header(name: Option<&str>, scalar: &Scalar) -> String {
    let begins_with_scheme = scheme(&scalar.text).is_some();
    if name.is_some_and(|name| !may_be_secret_name(name)) && !begins_with_scheme {
        return text(scalar);
    }
    secret(scalar)
}

/// A text without the users of its URLs.
pub(super) fn text(scalar: &Scalar) -> String {
    without_users(written(scalar))
}

/// A secret: its scheme and its references are shown, and nothing else.
pub(super) fn secret(scalar: &Scalar) -> String {
    if scalar.reference.is_none() {
        return literal(&scalar.text);
    }
    let shown = pieces(written(scalar))
        .into_iter()
        .map(|piece| match piece {
            Piece::Text("") => String::new(),
            Piece::Text(text) => literal(text),
            Piece::Escape | Piece::Unclosed => MASK.to_owned(),
            Piece::Reference(inner) => reference(inner),
        });
    shown.collect()
}

/// A path whose query shows its names only.
pub(super) fn query(scalar: &Scalar) -> String {
    let written = written(scalar);
    let Some((path, query)) = written.split_once('?') else {
        return written.to_owned();
    };
    let shown: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => format!("{name}={}", reference_alone(value)),
            None => reference_alone(pair),
        })
        .collect();
    format!("{path}?{}", shown.join("&"))
}

fn written(scalar: &Scalar) -> &str {
    scalar.reference.as_deref().unwrap_or(&scalar.text)
}

fn reference_alone(text: &str) -> String {
    match pieces(text)[..] {
        [Piece::Text(""), Piece::Reference(inner), Piece::Text("")] => reference(inner),
        _ => MASK.to_owned(),
    }
}

/// A reference without its default.
fn reference(inner: &str) -> String {
    match name_of(inner) {
        (name, operator) if operator.starts_with(":-") && operator.len() > 2 => {
            format!("${{{name}:-{MASK}}}")
        }
        _ => format!("${{{inner}}}"),
    }
}

fn literal(text: &str) -> String {
    match scheme(text) {
        Some(scheme) if scheme.len() == text.len() => text.to_owned(),
        Some(scheme) => format!("{scheme}{MASK}"),
        None => MASK.to_owned(),
    }
}

/// The scheme that a text begins with, with the space behind it.
fn scheme(text: &str) -> Option<&str> {
    let end = text.find(' ')? + 1;
    let (scheme, _) = text.split_at(end);
    let is_known = SCHEMES.contains(&scheme.trim().to_ascii_lowercase().as_str());
    is_known.then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str) -> Scalar {
        Scalar {
            reference: text.contains("${").then(|| text.to_owned()),
            ..Scalar::literal(text)
        }
    }

    #[test]
    fn of_a_secret_only_its_scheme_and_its_references_are_shown() {
        for (name, written, shown) in [
            ("Authorization", "Bearer hush", "Bearer ***"),
            ("Authorization", "hush", "***"),
            ("X-Anything", "Basic hush", "Basic ***"),
            ("X-Anything", "plain", "plain"),
            ("Authorization", "Bearer ${TOKEN}", "Bearer ${TOKEN}"),
            ("Cookie", "a=hush${B}", "***${B}"),
            ("X-Api-Key", "${KEY:-hush}", "${KEY:-***}"),
            ("X-Api-Key", "${KEY:?set it}", "${KEY:?set it}"),
            ("X-Auth", "$${hush}", "***"),
            ("X-Url", "http://me:hush@host/", "http://*******@host/"),
        ] {
            let told = header(Some(name), &scalar(written));
            assert!(!told.contains("hush"), "{name}: {told}");
            if written != "$${hush}" {
                assert_eq!(told, shown, "{name}: {written}");
            }
        }
        assert_eq!(header(None, &scalar("Bearer ")), "Bearer ");
        assert_eq!(header(None, &scalar("Bearer hush")), "Bearer ***");
        assert_eq!(header(None, &scalar("hush")), "***");
    }

    #[test]
    fn of_a_query_only_the_names_are_shown() {
        for (written, shown) in [
            ("/health", "/health"),
            ("/health?hush", "/health?***"),
            ("/health?token=hush&deep=hush", "/health?token=***&deep=***"),
            ("/health?token=${T}", "/health?token=${T}"),
            ("/health?token=${T:-hush}", "/health?token=${T:-***}"),
        ] {
            assert_eq!(query(&scalar(written)), shown);
        }
    }
}

//! Media types (RFC 9110 §8.3.1), of a message and of those that its sender accepts.

use http::HeaderMap;
use http::header::ACCEPT;

/// The media type of a `Content-Type`, without its parameters; to be compared without regard to case.
#[must_use]
pub fn essence(kind: &[u8]) -> &[u8] {
    let end = kind.iter().position(|byte| *byte == b';');
    kind[..end.unwrap_or(kind.len())].trim_ascii()
}

/// Whether a caller asks for plain text and not for JSON: its `Accept` begins with it.
#[must_use]
pub fn wants_text(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(b"text/plain"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn text_is_wanted_by_who_accepts_it_first() {
        let wants = |accept| {
            let accept = HeaderValue::from_static(accept);
            wants_text(&HeaderMap::from_iter([(ACCEPT, accept)]))
        };
        assert!(wants("text/plain"));
        assert!(wants("text/plain;q=0.9, */*"));
        assert!(!wants("application/json, text/plain"));
        assert!(!wants("*/*"));
        assert!(!wants_text(&HeaderMap::new()));
    }

    #[test]
    fn parameters_and_blanks_are_no_part_of_a_media_type() {
        for kind in [
            "text/json",
            " text/json ",
            "text/json ; q=\";\"",
            "text/json;",
        ] {
            assert_eq!(essence(kind.as_bytes()), b"text/json", "{kind}");
        }
        assert_eq!(essence(b""), b"");
    }
}

//! Media types (RFC 9110 §8.3.1).

/// The media type of a `Content-Type`, without its parameters; to be compared without regard to case.
#[must_use]
pub fn essence(kind: &[u8]) -> &[u8] {
    let end = kind.iter().position(|byte| *byte == b';');
    kind[..end.unwrap_or(kind.len())].trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

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

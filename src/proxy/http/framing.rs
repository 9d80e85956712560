//! Whether an upstream's answer says one thing about its length, so that nobody after us can read another.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Version};

/// Whether the fields that frame an answer contradict each other, or name a coding that we would have to undo.
///
/// The HTTP library lets a transfer coding win over a length and leaves both fields in place: the length would then frame a body on its
/// way to the caller that it does not fit (RFC 9112 §6.3). A coding besides `chunked` belongs to the one hop whose field we strip.
pub(super) fn is_ambiguous(version: Version, headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return false;
    };
    version != Version::HTTP_11
        || codings.next().is_some()
        || headers.contains_key(CONTENT_LENGTH)
        || !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn of(version: Version, fields: &[(HeaderName, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        is_ambiguous(version, &headers)
    }

    #[test]
    fn one_field_that_frames_is_clear() {
        for fields in [
            &[][..],
            &[(CONTENT_LENGTH, "3")],
            &[(TRANSFER_ENCODING, "chunked")],
            &[(TRANSFER_ENCODING, "Chunked")],
        ] {
            assert!(!of(Version::HTTP_11, fields), "{fields:?}");
        }
        assert!(!of(Version::HTTP_10, &[(CONTENT_LENGTH, "3")]));
    }

    #[test]
    fn a_length_beside_a_coding_and_every_other_coding_is_not_case_49() {
        for fields in [
            &[(CONTENT_LENGTH, "3"), (TRANSFER_ENCODING, "chunked")][..],
            &[(TRANSFER_ENCODING, "gzip")],
            &[(TRANSFER_ENCODING, "gzip, chunked")],
            &[
                (TRANSFER_ENCODING, "chunked"),
                (TRANSFER_ENCODING, "chunked"),
            ],
            &[(TRANSFER_ENCODING, "")],
        ] {
            assert!(of(Version::HTTP_11, fields), "{fields:?}");
        }
        assert!(of(Version::HTTP_10, &[(TRANSFER_ENCODING, "chunked")]));
    }
}

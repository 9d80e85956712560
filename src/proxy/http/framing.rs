//! Whether a message is one that nobody after us can read otherwise: an upstream's answer by its status and by what it says about its
//! length, a caller's request by its length.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

/// Whether that is a status of HTTP. The library takes 600 to 999 as well, which are invalid and have no class: whoever gets one is to
/// treat it as a failure of the server (RFC 9110 §15).
pub(super) fn is_status(status: StatusCode) -> bool {
    status.as_u16() < 600
}

/// Whether an answer with that status never has a body (RFC 9112 §6.3).
pub(super) fn is_bodiless(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Whether an answer with that status never has a `Content-Length` (RFC 9110 §8.6).
pub(super) fn has_no_length(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status.is_informational()
}

/// Whether the fields that frame an answer contradict each other, give no length, or name a coding that we would have to undo.
///
/// The HTTP library lets a transfer coding win over a length and leaves both fields in place: the length would then frame a body on its
/// way to the caller that it does not fit (RFC 9112 §6.3). A coding besides `chunked` belongs to the one hop whose field we strip. Of an
/// answer without a body (to HEAD, 204, 304) the library reads no length, yet the field goes on to the caller as it is.
pub(super) fn is_ambiguous(version: Version, headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() || length.is_some_and(|length| !is_length(length)) {
        return true;
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return false;
    };
    version != Version::HTTP_11
        || codings.next().is_some()
        || length.is_some()
        || !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
}

/// Leaves a request one length at most: several equal ones become one (RFC 9110 §8.6). Over HTTP/1 a caller can have no more; of several
/// over HTTP/2 the library reads the first alone and leaves all in place.
///
/// # Errors
/// They differ, or are no number, and which of them holds is anybody's guess.
pub(super) fn fold_lengths(headers: &mut HeaderMap) -> Result<(), Ambiguous> {
    if headers.len() == headers.keys_len() {
        // No name stands twice.
        return Ok(());
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (Some(first), Some(second)) = (lengths.next(), lengths.next()) else {
        return Ok(());
    };
    if !is_length(first) || second != first || lengths.any(|length| length != first) {
        return Err(Ambiguous);
    }
    let length = first.clone();
    headers.insert(CONTENT_LENGTH, length);
    Ok(())
}

/// A request says several different things about its length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

/// Whether the field is one number that every reader can hold (RFC 9110 §8.6).
fn is_length(field: &HeaderValue) -> bool {
    let digits = field.as_bytes();
    digits.iter().all(u8::is_ascii_digit)
        && str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

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

    #[test]
    fn lengths_that_are_several_or_no_number_are_not_case_49() {
        for fields in [
            &[(CONTENT_LENGTH, "3"), (CONTENT_LENGTH, "3")][..],
            &[(CONTENT_LENGTH, "3, 3")],
            &[(CONTENT_LENGTH, "+3")],
            &[(CONTENT_LENGTH, "")],
            &[(CONTENT_LENGTH, "0x3")],
            &[(CONTENT_LENGTH, "18446744073709551616")],
        ] {
            assert!(of(Version::HTTP_11, fields), "{fields:?}");
        }
        assert!(!of(
            Version::HTTP_2,
            &[(CONTENT_LENGTH, "18446744073709551615")]
        ));
    }

    #[test]
    fn of_equal_lengths_one_is_left_and_of_others_none_case_9() {
        let folded = |lengths: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for length in lengths {
                headers.append(CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            fold_lengths(&mut headers).map(|()| headers.get_all(CONTENT_LENGTH).iter().count())
        };
        for (lengths, left) in [
            (&[][..], Ok(0)),
            (&["3"], Ok(1)),
            (&["3", "3", "3"], Ok(1)),
            (&["3", "4"], Err(Ambiguous)),
            (&["3", "3", "03"], Err(Ambiguous)),
            (&["+3", "+3"], Err(Ambiguous)),
        ] {
            assert_eq!(folded(lengths), left, "{lengths:?}");
        }
    }
}

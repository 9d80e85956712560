//! The id that ties one call's lines together across services.

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::arena::Arena;

/// A well-formed correlation id: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`, so it needs no escaping anywhere.
///
/// Held as the header value it travels in; a clone is a reference count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CorrelationId(HeaderValue);

/// The id that a request brought, or a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// The id of this exchange.
    pub id: CorrelationId,
    /// The request brought something that was not accepted, so the id is ours.
    pub replaced: bool,
}

/// The rule for accepting ids of requests.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance<'a> {
    /// The headers that may bring one, best first.
    pub headers: &'a [HeaderName],
    /// The longest that is accepted, in bytes.
    pub max_length: usize,
}

impl Correlation {
    /// Takes the first accepted header that is well formed, else makes a new UUID v4. A header that stands more than once
    /// counts as malformed: the other side may have read either value. A new one lies in `arena`.
    #[must_use]
    pub fn of(headers: &HeaderMap, acceptance: Acceptance<'_>, arena: &Arena) -> Self {
        let mut brought = false;
        for name in acceptance.headers {
            let mut values = headers.get_all(name).iter();
            let Some(value) = values.next() else { continue };
            brought = true;
            if values.next().is_none() && is_well_formed(value.as_bytes(), acceptance.max_length) {
                return Self {
                    id: CorrelationId(value.clone()),
                    replaced: false,
                };
            }
        }
        Self {
            id: CorrelationId::random_in(arena),
            replaced: brought,
        }
    }
}

impl CorrelationId {
    /// A new UUID v4.
    #[must_use]
    pub fn random() -> Self {
        Self::random_in(&Arena::default())
    }

    /// A new UUID v4, whose text lies in `arena`.
    #[must_use]
    pub fn random_in(arena: &Arena) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        Uuid::new_v4().as_hyphenated().encode_lower(&mut text);
        let id = HeaderValue::from_maybe_shared(arena.join(&[&text]));
        // Hexadecimal digits and hyphens are always a valid header value.
        Self(id.unwrap_or(const { HeaderValue::from_static("-") }))
    }

    /// As the value of a header.
    #[must_use]
    pub fn header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII by construction.
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn is_well_formed(value: &[u8], max_length: usize) -> bool {
    (1..=max_length.min(128)).contains(&value.len())
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

/// The trace id of a `traceparent` header (W3C Trace Context §3.2): 32 lower-case hexadecimal digits, not all zero.
#[must_use]
pub fn trace_id(headers: &HeaderMap) -> Option<TraceId> {
    let value = headers
        .get(const { HeaderName::from_static("traceparent") })?
        .as_bytes();
    let id: [u8; 32] = value.get(3..35)?.try_into().ok()?;
    let is_hex = |bytes: &[u8]| {
        bytes
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let framed =
        is_hex(value.get(..2)?) && value.get(2) == Some(&b'-') && value.get(35) == Some(&b'-');
    (framed && is_hex(&id) && id != [b'0'; 32]).then_some(TraceId(id))
}

/// The trace that a request belongs to: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: [HeaderName; 2] = [
        HeaderName::from_static("x-correlation-id"),
        HeaderName::from_static("x-request-id"),
    ];

    fn correlate(fields: &[(&'static str, &[u8])]) -> Correlation {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        Correlation::of(
            &headers,
            Acceptance {
                headers: &HEADERS,
                max_length: 128,
            },
            &Arena::default(),
        )
    }

    fn is_uuid(id: &CorrelationId) -> bool {
        Uuid::parse_str(id.as_str()).is_ok_and(|uuid| uuid.get_version_num() == 4)
    }

    #[test]
    fn a_well_formed_id_is_kept_as_it_is_case_183() {
        let longest = [b'x'; 128];
        for id in [b"a".as_slice(), b"A.b_c:d-9", &longest] {
            let correlation = correlate(&[("x-correlation-id", id)]);
            assert_eq!(correlation.id.as_bytes(), id);
            assert!(!correlation.replaced);
        }
    }

    #[test]
    fn without_an_id_a_new_one_is_made_and_nothing_was_replaced_case_183() {
        let first = correlate(&[]);
        assert!(is_uuid(&first.id) && !first.replaced);
        assert_ne!(first.id, correlate(&[]).id);
    }

    #[test]
    fn a_malformed_id_is_replaced_and_said_so_case_183() {
        let long = vec![b'a'; 10 * 1024];
        for id in [
            b"".as_slice(),
            b"a b",
            b"a\"b",
            b"a\tb",
            "é".as_bytes(),
            b"\xff",
            b"a/b",
            &long,
            &long[..129],
        ] {
            let correlation = correlate(&[("x-correlation-id", id)]);
            assert!(is_uuid(&correlation.id) && correlation.replaced, "{id:?}");
        }
    }

    #[test]
    fn two_values_of_one_header_are_not_accepted_case_183() {
        let correlation = correlate(&[("x-correlation-id", b"a"), ("x-correlation-id", b"a")]);
        assert!(is_uuid(&correlation.id) && correlation.replaced);
    }

    #[test]
    fn the_first_well_formed_header_wins() {
        let both = correlate(&[("x-request-id", b"second"), ("x-correlation-id", b"first")]);
        assert_eq!(both.id.as_str(), "first");
        let fallen_back = correlate(&[
            ("x-correlation-id", b"not one"),
            ("x-request-id", b"second"),
        ]);
        assert_eq!(fallen_back.id.as_str(), "second");
        assert!(!fallen_back.replaced);
    }

    #[test]
    fn a_trace_id_is_taken_only_from_a_sound_traceparent() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            trace_id(&headers).map(|id| String::from_utf8(id.as_bytes().to_vec()).unwrap())
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            read(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(),
            Some(id)
        );
        assert_eq!(
            read(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))),
            None
        );
        assert_eq!(
            read(&format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase())),
            None
        );
        assert_eq!(read("00-short-01"), None);
    }
}

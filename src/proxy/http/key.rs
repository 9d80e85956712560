//! The key of a request, by which a route keeps breakers and pauses apart.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};

use super::reply::Refusal;
use crate::config::plan::{KeySource, RateKey, RoutePlan};
use crate::failure::Failure;
use crate::resilience::Key;
use crate::snapshot::router::{lower, split_authority};

/// The key of a request as the caller wrote it; the first `strip` bytes of its path are the route's. `None` if the request
/// lacks that part or has it empty: then only the route's own breaker and pause apply. A host is one however it is written: in
/// any case, with its final dot or without.
pub(super) fn key_of(
    source: &KeySource,
    uri: &Uri,
    headers: &HeaderMap,
    strip: usize,
) -> Option<Key> {
    let of = |text: &[u8]| (!text.is_empty()).then(|| Key::of(text));
    match source {
        KeySource::Header(name) => of(text_of(headers.get(name)?)),
        KeySource::PathSegment(place) => {
            let path = uri.path().get(strip..)?;
            let path = path.strip_prefix('/').unwrap_or(path);
            of(path.split('/').nth(place.checked_sub(1)?)?.as_bytes())
        }
        KeySource::Host => {
            let written = match uri.authority() {
                Some(authority) => authority.as_str(),
                None => headers.get(HOST)?.to_str().ok()?,
            };
            of(lower(split_authority(written).0).as_bytes())
        }
    }
}

/// The text of a field that is a key: without the white space around it, which is not part of a value (RFC 9110 §5.5).
pub(super) fn text_of(value: &HeaderValue) -> &[u8] {
    value.as_bytes().trim_ascii()
}

/// Refuses a call that has a field of the route's keys more than once: the upstream may go by another than we do.
///
/// # Errors
/// [`Failure::BadRequest`].
pub(super) fn refuse_several(plan: &RoutePlan, headers: &HeaderMap) -> Result<(), Refusal> {
    let of_breaker = plan.keyed.as_ref().and_then(|keyed| match &keyed.by {
        KeySource::Header(name) => Some(name),
        KeySource::PathSegment(_) | KeySource::Host => None,
    });
    let rate = plan.limits.rate.as_ref().and_then(|rate| rate.key.as_ref());
    let of_rate = rate.and_then(|key| match key {
        RateKey::Header(name) => Some(name),
        RateKey::ClientIp => None,
    });
    for name in of_breaker.into_iter().chain(of_rate) {
        if headers.get_all(name).iter().nth(1).is_some() {
            let detail = format!(
                "the field `{name}`, by which the route tells callers apart, stands more than once: send it once"
            );
            return Err(Refusal::new(Failure::BadRequest, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &KeySource, target: &str, fields: &[(&str, &str)], strip: usize) -> Option<Key> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        key_of(source, &target.parse().unwrap(), &headers, strip)
    }

    fn text(text: &str) -> Option<Key> {
        Some(Key::of(text.as_bytes()))
    }

    #[test]
    fn a_header_is_a_key_as_it_stands_and_the_first_of_several_counts() {
        let source = KeySource::Header("x-tenant-id".parse().unwrap());
        let of = |fields: &[_]| key(&source, "/r/x", fields, 2);
        assert_eq!(of(&[("X-Tenant-ID", "A b")]), text("A b"));
        assert_eq!(of(&[("x-tenant-id", "a"), ("x-tenant-id", "b")]), text("a"));
        assert_eq!(of(&[("x-tenant-id", "\tA b ")]), text("A b"));
        assert_eq!(of(&[("x-tenant-id", "")]), None);
        assert_eq!(of(&[("x-tenant-id", " ")]), None);
        assert_eq!(of(&[("x-other", "a")]), None);
    }

    #[test]
    fn a_path_segment_is_counted_from_1_after_what_is_ours_of_the_path() {
        let of = |place, target, strip| key(&KeySource::PathSegment(place), target, &[], strip);
        let target = "/whatsapp/v19.0/155501/messages?to=1";
        assert_eq!(of(1, target, 9), text("v19.0"));
        assert_eq!(of(2, target, 9), text("155501"));
        assert_eq!(of(3, target, 9), text("messages"));
        assert_eq!(of(4, target, 9), None);
        assert_eq!(of(2, "/v19.0/155501", 0), text("155501"));
        assert_eq!(of(2, "/v19.0//x", 0), None);
        assert_eq!(of(1, "/", 0), None);
        assert_eq!(of(1, "/r", 2), None);
        assert_eq!(of(0, "/r/x", 0), None);
        assert_eq!(of(1, "/r", 20), None);
    }

    #[test]
    fn a_host_is_the_targets_before_the_fields_in_lower_case_without_port_and_final_dot() {
        let of = |target, fields: &[_]| key(&KeySource::Host, target, fields, 0);
        let host = ("host", "Api.Example.com:8080");
        assert_eq!(of("/x", &[host]), text("api.example.com"));
        assert_eq!(of("http://Other.example/x", &[host]), text("other.example"));
        assert_eq!(of("http://other.example.:80/x", &[]), text("other.example"));
        assert_eq!(
            of("http://[2001:DB8::1]:80/x", &[]),
            of("/x", &[("host", "[2001:db8::1]")])
        );
        assert_eq!(of("/x", &[]), None);
    }
}

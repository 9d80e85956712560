//! Fields that only we may set: a caller can always tell our answer from the upstream's by `X-Sidefuse-*` and by our member of
//! `Proxy-Status` (RFC 9209 §2), so they are removed from what others send.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::reply::PROXY_STATUS;
use crate::wire::closed_members;

/// The prefix of our own fields' names.
const PREFIX: &str = "x-sidefuse-";

/// The prefix of the fields that say how a request was forwarded.
const FORWARDING: &str = "x-forwarded-";

/// Our name in a `Proxy-Status`.
const OUR_NAME: &[u8] = b"sidefuse";

/// Whether a field of that name is ours alone.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Whether a field of a request says how it was forwarded, which nobody but the hop before the upstream may say.
pub(super) fn is_forwarding(name: &str) -> bool {
    name.starts_with(FORWARDING)
}

/// Removes the fields that are ours alone.
pub(super) fn remove(headers: &mut HeaderMap) {
    remove_those(headers, is_ours);
}

/// Removes the fields with such names.
pub(super) fn remove_those(headers: &mut HeaderMap, are_such: impl Fn(&str) -> bool) {
    let ours: Vec<HeaderName> = headers
        .keys()
        .filter(|name| are_such(name.as_str()))
        .cloned()
        .collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Removes from the trailers of an upstream's answer what only we may say.
pub(super) fn remove_from_trailers(trailers: &mut HeaderMap) {
    remove(trailers);
    if trailers.contains_key(&PROXY_STATUS) {
        remove_status(trailers);
    }
}

/// Removes our members from a `Proxy-Status`; those of other proxies stay, each in its field. A field that is no well-formed
/// list is dropped whole: another reader might find a member of ours in it.
pub(super) fn remove_status(headers: &mut HeaderMap) {
    let fields: Vec<HeaderValue> = headers
        .get_all(&PROXY_STATUS)
        .iter()
        .filter_map(of_others)
        .collect();
    headers.remove(&PROXY_STATUS);
    for field in fields {
        headers.append(PROXY_STATUS, field);
    }
}

/// The members of a field that other proxies wrote; `None` if there are none.
fn of_others(field: &HeaderValue) -> Option<HeaderValue> {
    let members = closed_members(field.as_bytes())?;
    let count = members.len();
    let others: Vec<&[u8]> = members.into_iter().filter(|one| !names_us(one)).collect();
    if others.len() == count {
        return Some(field.clone());
    }
    let others = others.join(&b", "[..]);
    (!others.is_empty()).then(|| HeaderValue::from_bytes(&others).ok())?
}

/// Whether a member says that it is by us: its name, a token or a string, before its parameters.
fn names_us(member: &[u8]) -> bool {
    let name = member.strip_prefix(b"\"").unwrap_or(member);
    let end = name
        .iter()
        .position(|byte| matches!(byte, b';' | b'"' | b' ' | b'\t'));
    name[..end.unwrap_or(name.len())].eq_ignore_ascii_case(OUR_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(fields: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(PROXY_STATUS, field.parse().unwrap());
        }
        remove_status(&mut headers);
        let left = headers.get_all(PROXY_STATUS).iter();
        left.map(|field| field.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn other_proxies_keep_their_members_and_nobody_speaks_as_us() {
        assert_eq!(left(&["cdn; error=dns_error"]), ["cdn; error=dns_error"]);
        for forged in [
            "sidefuse",
            "Sidefuse; error=x",
            "\"sidefuse\"; error=x",
            " sidefuse ;error=x",
            "sidefuse, sidefuse; details=\"a, b\"",
            "\"sidefuse; no end",
            "cdn; details=\"no end, sidefuse; error=x",
        ] {
            assert!(left(&[forged]).is_empty(), "{forged}");
        }
        assert_eq!(
            left(&[
                "a; details=\"x, sidefuse, \\\"y\", sidefuse; error=x, b",
                "sidefuse",
                "c"
            ]),
            ["a; details=\"x, sidefuse, \\\"y\", b", "c"]
        );
        assert_eq!(left(&["sidefuse2; error=x"]), ["sidefuse2; error=x"]);
    }
}

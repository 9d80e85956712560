//! Other names of fields that frame a request or that only we may set: some servers read an underscore as a hyphen.

use http::{HeaderMap, HeaderName};
use memchr::memchr;

use super::hop::OF_THE_CALLER;

/// Fields that must not arrive under another name, besides [`OF_THE_CALLER`] and those with one of [`OUR_PREFIXES`].
const OURS: [&str; 4] = [
    "content-length",
    "transfer-encoding",
    "x-correlation-id",
    "x-request-id",
];

/// The prefixes of fields that are ours.
const OUR_PREFIXES: [&str; 2] = ["x-forwarded-", "x-sidefuse-"];

/// Removes from a head or a trailer section what some servers would take for one of these fields, or for `correlation`, the
/// field that carries the correlation id.
pub fn strip_aliases(fields: &mut HeaderMap, correlation: &HeaderName) {
    let same = |(a, b): (u8, u8)| a == b || matches!((a, b), (b'_', b'-') | (b'-', b'_'));
    let is_correlation = |name: &HeaderName| {
        let (name, other) = (name.as_str(), correlation.as_str());
        name != other && name.len() == other.len() && name.bytes().zip(other.bytes()).all(same)
    };
    let aliases: Vec<HeaderName> = fields
        .keys()
        .filter(|name| is_alias(name.as_str().as_bytes()) || is_correlation(name))
        .cloned()
        .collect();
    for name in aliases {
        fields.remove(name);
    }
}

/// Whether the name is that of such a field except for underscores; of a longer one the beginning counts.
pub(super) fn is_alias(name: &[u8]) -> bool {
    if memchr(b'_', name).is_none() {
        return false;
    }
    let is = |other: &str| name.len() == other.len() && begins(name, other);
    let names = OURS.iter().chain(&OF_THE_CALLER);
    names.into_iter().any(|other| is(other))
        || OUR_PREFIXES.iter().any(|prefix| begins(name, prefix))
}

/// Whether `name` begins with `other`, where a hyphen equals an underscore.
fn begins(name: &[u8], other: &str) -> bool {
    let same = |(a, b): (&u8, u8)| a.to_ascii_lowercase() == b || *a == b'_' && b == b'-';
    name.len() >= other.len() && name.iter().zip(other.bytes()).all(same)
}

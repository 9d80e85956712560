//! Fields that are removed from a trailer section (RFC 9110 §6.5.1).

use http::{HeaderMap, HeaderName};

use super::alias::strip_aliases;
use super::hop::{HOP_BY_HOP, OF_THE_CALLER, joined};

/// Fields that frame or route a message, belong to one hop, or are set by the hop next to the caller.
const STAYS: [&str; 25] = joined::<11, 14, 25>(
    joined::<6, 5, 11>(HOP_BY_HOP, OF_THE_CALLER),
    [
        "te",
        "trailer",
        "content-length",
        "host",
        "expect",
        "via",
        "authorization",
        "proxy-authorization",
        "proxy-authenticate",
        "cookie",
        "set-cookie",
        "x-forwarded-for",
        "x-request-id",
        "x-correlation-id",
    ],
);

/// Removes from a trailer section what must stand in a head or nowhere. Over HTTP/2 some of these are an error of the whole
/// stream (RFC 9113 §8.2.2), which would be blamed on the other side. `correlation` is the field that carries the correlation
/// id. Names that equal one of our fields except for underscores are removed as well.
pub fn strip_trailers(trailers: &mut HeaderMap, correlation: &HeaderName) {
    for name in STAYS {
        trailers.remove(name);
    }
    trailers.remove(correlation);
    let forwarding = |name: &&HeaderName| name.as_str().starts_with("x-forwarded-");
    let forwarding: Vec<HeaderName> = trailers.keys().filter(forwarding).cloned().collect();
    for name in forwarding {
        trailers.remove(name);
    }
    strip_aliases(trailers, correlation);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_frames_routes_or_identifies_goes_and_the_rest_stays() {
        let mut trailers = HeaderMap::new();
        for name in STAYS
            .iter()
            .chain(&["grpc-status", "x-checksum", "x-trace-no"])
        {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("a"));
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("b"));
        }
        for name in ["x_trace_no", "x_request_id", "x-forwarded-prefix"] {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("a"));
        }
        strip_trailers(&mut trailers, &HeaderName::from_static("x-trace-no"));
        let mut left: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }
}

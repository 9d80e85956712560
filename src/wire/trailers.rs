//! Fields that no trailer section carries on (RFC 9110 §6.5.1).

use http::{HeaderMap, HeaderName};

use super::alias::strip_aliases;
use super::hop::{HOP_BY_HOP, OF_THE_CALLER, joined};

/// What frames or routes a message, belongs to one hop, or is said of the caller by whoever is next to it.
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

/// Takes out of a trailer section what must stand in a head or nowhere. Over HTTP/2 some of these are an error of the whole stream
/// (RFC 9113 §8.2.2), which would be blamed on whoever is on its other side. `correlation` is the field that carries the correlation id.
/// Nor does anything go on that is one of our fields but for underscores.
pub fn strip_trailers(trailers: &mut HeaderMap, correlation: &HeaderName) {
    for name in STAYS {
        trailers.remove(name);
    }
    trailers.remove(correlation);
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
        for name in ["x_trace_no", "x_request_id"] {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("a"));
        }
        strip_trailers(&mut trailers, &HeaderName::from_static("x-trace-no"));
        let mut left: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }
}

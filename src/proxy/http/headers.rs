//! Header fields on their way through: hop-by-hop fields are removed, then our own are set.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT, VIA,
};
use http::{Method, Version};

use super::{ours, reply};
use crate::snapshot::Edits;
use crate::wire::{HOP_BY_HOP, OF_THE_CALLER, joined};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The number of the attempt, from the second on.
const X_ATTEMPT: HeaderName = HeaderName::from_static("x-attempt");

/// Carries the correlation id unless the configuration names another.
pub(super) const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Carries the correlation id beside the configured header.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const OUR_VIA: HeaderValue = HeaderValue::from_static("1.1 sidefuse");

/// Fields that a sender cannot have removed by naming them in `Connection`: those by which calls are routed, framed and traced
/// (compare Traefik's CVE-2024-45410).
const NEVER_HOP_BY_HOP: [&str; 10] = [
    "baggage",
    "content-length",
    "host",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "b3",
];

/// Fields that are removed from a request: those of one hop (RFC 9110 §7.6.1), and those that only we may say of the caller.
///
/// `Trailer` is not among them (§6.6.2), and the HTTP library sends only the trailers that it announces.
/// `Connection` stands first in both lists: [`strip`] looks there.
const REQUEST_STAYS: &[&str] = &joined::<11, 2, 13>(
    joined::<6, 5, 11>(HOP_BY_HOP, OF_THE_CALLER),
    [
        // Goes on if it says `trailers`, and says nothing else then.
        "te",
        "proxy-authorization",
    ],
);

/// Fields that are removed from an answer.
const RESPONSE_STAYS: &[&str] = &joined::<6, 2, 8>(
    HOP_BY_HOP,
    [
        "proxy-authenticate",
        // Only our own members are removed.
        "proxy-status",
    ],
);

/// The bit for fields that are ours alone, above the bits of both lists.
const OURS: u32 = 1 << 31;

/// Removes the fields of that list, those that `Connection` names, and those that `are_ours`.
fn strip(headers: &mut HeaderMap, stays: &[&str], are_ours: impl Fn(&str) -> bool) {
    // One walk over the few fields that are present costs less than looking up each of the list.
    let present = headers.keys().fold(0_u32, |present, name| {
        let name = name.as_str();
        let place = stays.iter().position(|other| *other == name);
        present
            | match place {
                Some(place) => 1 << place,
                None if are_ours(name) => OURS,
                None => 0,
            }
    });
    let named = if present & 1 == 0 {
        Vec::new()
    } else {
        named_by_connection(headers, stays)
    };
    for (place, name) in stays.iter().enumerate() {
        if present & 1 << place == 0 {
            continue;
        }
        if *name == reply::PROXY_STATUS {
            ours::remove_status(headers);
        } else if *name == TE {
            leave_trailers(headers);
        } else {
            headers.remove(*name);
        }
    }
    if present & OURS != 0 {
        ours::remove_those(headers, are_ours);
    }
    for name in named {
        headers.remove(name);
    }
}

/// Whether `Connection` has a field removed from a caller's request that would go on otherwise.
pub(super) fn loses_fields(headers: &HeaderMap) -> bool {
    headers.contains_key(CONNECTION)
        && named_by_connection(headers, REQUEST_STAYS)
            .iter()
            .any(|name| headers.contains_key(name))
}

/// The fields that `Connection` names, except those that are removed anyway and those that must not be.
fn named_by_connection(headers: &HeaderMap, stays: &[&str]) -> Vec<HeaderName> {
    let is_same = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    // The usual values name no field.
    let names_none = |value: &HeaderValue| {
        [&b"keep-alive"[..], b"close"]
            .iter()
            .any(|option| value.as_bytes().eq_ignore_ascii_case(option))
    };
    headers
        .get_all(CONNECTION)
        .iter()
        .filter(|value| !names_none(value))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !NEVER_HOP_BY_HOP.iter().any(|kept| is_same(name, kept)))
        .filter(|name| !stays.iter().any(|other| is_same(name, other)))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect()
}

/// Takes out of `TE` what is for one hop, which is all but `trailers` (RFC 9110 §10.1.4).
fn leave_trailers(headers: &mut HeaderMap) {
    let wants_trailers = headers
        .get_all(TE)
        .iter()
        .any(|value| is_listed(value, "trailers"));
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TE);
    }
}

/// Makes the head of a caller's request fit for the upstream. `upgrade` is the protocol that the caller may switch to.
pub(super) fn prepare_request(headers: &mut HeaderMap, facts: &Facts<'_>, edits: &Edits) {
    strip(headers, REQUEST_STAYS, |name| {
        ours::is_ours(name) || ours::is_forwarding(name)
    });
    join_cookies(headers);
    headers.insert(X_FORWARDED_FOR, facts.peer.clone());
    if facts.attempt > 1 {
        headers.insert(X_ATTEMPT, HeaderValue::from(facts.attempt));
    }
    complete(headers, facts, edits);
}

/// Makes the head of a probe: that of any request of the route, without what tells of a caller. `correlation` is the id with
/// its header.
pub(super) fn prepare_probe(
    headers: &mut HeaderMap,
    correlation: (&HeaderName, &HeaderValue),
    edits: &Edits,
) {
    headers.insert(USER_AGENT, HeaderValue::from_static("sidefuse-probe"));
    apply(headers, edits);
    correlate(headers, correlation.0, correlation.1);
    headers.append(VIA, OUR_VIA);
}

/// HTTP/2 may bring cookies in several fields; HTTP/1.1 has one (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.len() == headers.keys_len() {
        // No name stands twice.
        return;
    }
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (cookies.next(), cookies.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for cookie in headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    // Always valid: it is joined from valid values.
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(COOKIE, joined);
    }
}

/// Makes the head of an upstream's answer fit for the caller.
pub(super) fn prepare_response(headers: &mut HeaderMap, facts: &Facts<'_>, edits: &Edits) {
    strip(headers, RESPONSE_STAYS, ours::is_ours);
    complete(headers, facts, edits);
}

/// Completes both kinds of head: the switch of protocols, the route's edits, and then our own fields, which no edit overrides.
fn complete(headers: &mut HeaderMap, facts: &Facts<'_>, edits: &Edits) {
    if let Some(protocol) = facts.upgrade {
        headers.insert(UPGRADE, protocol.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    apply(headers, edits);
    correlate(headers, facts.correlation_header, facts.correlation);
    headers.append(VIA, OUR_VIA);
}

/// What the fields that we own are made from.
pub(super) struct Facts<'a> {
    /// The caller's address.
    pub(super) peer: &'a HeaderValue,
    /// The header that carries the correlation id.
    pub(super) correlation_header: &'a HeaderName,
    /// The correlation id.
    pub(super) correlation: &'a HeaderValue,
    /// The protocol that is being switched to.
    pub(super) upgrade: Option<&'a HeaderValue>,
    /// The number of this attempt, from 1.
    pub(super) attempt: u32,
}

/// Sets the correlation id under both its names.
pub(super) fn correlate(headers: &mut HeaderMap, name: &HeaderName, id: &HeaderValue) {
    headers.insert(name.clone(), id.clone());
    if *name != X_REQUEST_ID {
        headers.insert(X_REQUEST_ID, id.clone());
    }
}

/// The protocol that an HTTP/1.1 request asks to switch to. There is no switch to h2c (RFC 9113 §3.1 dropped it).
pub(super) fn upgrade_of(
    version: Version,
    method: &Method,
    headers: &HeaderMap,
) -> Option<HeaderValue> {
    let may_switch = version == Version::HTTP_11 && method == Method::GET;
    if !may_switch
        || !headers
            .get_all(CONNECTION)
            .iter()
            .any(|value| is_listed(value, "upgrade"))
    {
        return None;
    }
    let has_body = headers
        .get(CONTENT_LENGTH)
        .is_some_and(|length| length.as_bytes() != b"0")
        || headers.contains_key(TRANSFER_ENCODING);
    headers
        .get(UPGRADE)
        .filter(|protocol| !has_body && !is_listed(protocol, "h2c"))
        .cloned()
}

/// Whether a 101 with these fields switches to what was asked for: it must say to what, and only to what was offered (RFC 9110 §7.8).
pub(super) fn is_asked_for(switched: &HeaderMap, asked: Option<&HeaderValue>) -> bool {
    let Some(asked) = asked else { return false };
    let mut protocols = switched.get_all(UPGRADE).iter().peekable();
    protocols.peek().is_some()
        && protocols.all(|protocols| {
            protocols
                .to_str()
                .is_ok_and(|protocols| protocols.split(',').all(|one| is_listed(asked, one.trim())))
        })
}

/// Whether a caller holds its body back until it is asked for it (RFC 9110 §10.1.1).
pub(super) fn expects_go_ahead(version: Version, headers: &HeaderMap) -> bool {
    let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    version == Version::HTTP_11 && headers.get(EXPECT).is_some_and(expects)
}

fn apply(headers: &mut HeaderMap, edits: &Edits) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name.clone(), value.clone());
    }
}

fn is_listed(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|value| {
        value
            .split(',')
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: HeaderValue = HeaderValue::from_static("abc");
    const PEER: HeaderValue = HeaderValue::from_static("127.0.0.1");
    const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn request(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = map(fields);
        let facts = Facts {
            peer: &PEER,
            correlation_header: &CORRELATION,
            correlation: &ID,
            upgrade: None,
            attempt: 1,
        };
        prepare_request(&mut headers, &facts, &Edits::default());
        headers
    }

    #[test]
    fn case_16_naming_a_field_of_ours_in_connection_removes_nothing_of_it() {
        let headers = request(&[
            (
                "connection",
                "x-correlation-id, x-forwarded-for, traceparent, x-mine",
            ),
            ("x-correlation-id", "forged"),
            ("x-forwarded-for", "6.6.6.6"),
            ("traceparent", "00-a-b-01"),
            ("x-mine", "gone"),
        ]);
        assert_eq!(headers["x-correlation-id"], "abc");
        assert_eq!(headers["x-request-id"], "abc");
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["traceparent"], "00-a-b-01");
        assert!(!headers.contains_key("x-mine") && !headers.contains_key("connection"));
    }

    #[test]
    fn only_a_field_of_its_own_that_would_go_on_is_lost_by_its_name_in_connection() {
        let loses = |fields: &[_]| loses_fields(&map(fields));
        assert!(loses(&[
            ("connection", "close, X-Tenant"),
            ("x-tenant", "a")
        ]));
        for fields in [
            &[("x-tenant", "a")][..],
            &[("connection", "x-tenant")],
            &[("connection", "keep-alive"), ("keep-alive", "timeout=5")],
            &[
                ("connection", "te, upgrade, http2-settings"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("http2-settings", "A"),
            ],
            &[("connection", "traceparent"), ("traceparent", "00-a-b-01")],
        ] {
            assert!(!loses(fields), "{fields:?}");
        }
    }

    #[test]
    fn case_18_fields_of_one_hop_go_both_ways() {
        let hop = [
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAA"),
            ("transfer-encoding", "chunked"),
        ];
        let headers = request(&[&hop[..], &[("proxy-authorization", "Basic x")]].concat());
        assert!(
            hop.iter().all(|(name, _)| !headers.contains_key(*name)),
            "{headers:?}"
        );
        assert!(!headers.contains_key("proxy-authorization"));

        let mut back = map(&[&hop[..], &[("proxy-authenticate", "Basic")]].concat());
        let facts = Facts {
            peer: &PEER,
            correlation_header: &CORRELATION,
            correlation: &ID,
            upgrade: None,
            attempt: 1,
        };
        prepare_response(&mut back, &facts, &Edits::default());
        assert!(
            [
                "keep-alive",
                "proxy-connection",
                "upgrade",
                "transfer-encoding",
                "proxy-authenticate"
            ]
            .iter()
            .all(|name| !back.contains_key(*name))
        );
    }

    #[test]
    fn te_trailers_passes_and_every_other_coding_goes() {
        assert_eq!(request(&[("te", "gzip, trailers;q=1")]).get(TE), None);
        assert_eq!(request(&[("te", "gzip, trailers")])[TE], "trailers");
    }

    #[test]
    fn forwarding_fields_of_the_caller_are_replaced_and_tracing_fields_pass_untouched() {
        let mut headers = request(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/evil"),
            ("x-forwarded-user", "root"),
            ("x-real-ip", "6.6.6.6"),
            ("b3", "1-2-1"),
            ("baggage", "a=b"),
            ("sentry-trace", "t"),
        ]);
        assert_eq!(headers.remove("x-forwarded-for").unwrap(), PEER);
        let left = headers.keys().find(|name| {
            let name = name.as_str();
            name.contains("forwarded") || name == "x-real-ip"
        });
        assert_eq!(left, None);
        assert_eq!(
            (
                &headers["b3"],
                &headers["baggage"],
                &headers["sentry-trace"]
            ),
            (
                &"1-2-1".parse().unwrap(),
                &"a=b".parse().unwrap(),
                &"t".parse().unwrap()
            )
        );
        assert_eq!(headers["via"], "1.1 sidefuse");
    }

    #[test]
    fn case_71_cookies_in_several_fields_become_one() {
        let headers = request(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn an_upgrade_needs_connection_a_get_and_no_body() {
        let websocket = map(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        let of =
            |version, method, headers: &HeaderMap| upgrade_of(version, method, headers).is_some();
        assert!(of(Version::HTTP_11, &Method::GET, &websocket));
        assert!(!of(Version::HTTP_10, &Method::GET, &websocket));
        assert!(!of(Version::HTTP_11, &Method::POST, &websocket));
        assert!(!of(
            Version::HTTP_11,
            &Method::GET,
            &map(&[("upgrade", "websocket")])
        ));
        assert!(!of(
            Version::HTTP_11,
            &Method::GET,
            &map(&[("connection", "upgrade"), ("upgrade", "h2c")])
        ));
        let with_body = map(&[
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("content-length", "3"),
        ]);
        assert!(!of(Version::HTTP_11, &Method::GET, &with_body));
    }

    #[test]
    fn a_switch_is_to_something_and_to_nothing_that_was_not_asked_for() {
        let is_asked_for = |switched: &[&'static str], asked| {
            let switched: Vec<_> = switched.iter().map(|one| ("upgrade", *one)).collect();
            let mut headers = HeaderMap::new();
            for (name, value) in switched {
                headers.append(name, HeaderValue::from_static(value));
            }
            super::is_asked_for(&headers, Some(&HeaderValue::from_static(asked)))
        };
        assert!(is_asked_for(&["WebSocket"], "websocket"));
        assert!(is_asked_for(&["bar/2"], "foo/1, Bar/2"));
        assert!(!is_asked_for(&[], "websocket"));
        assert!(!is_asked_for(&[""], "websocket"));
        assert!(!is_asked_for(&["h2c"], "websocket"));
        assert!(!is_asked_for(&["websocket, h2c"], "websocket"));
        assert!(!is_asked_for(&["websocket", "h2c"], "websocket"));
        assert!(!super::is_asked_for(
            &map(&[("upgrade", "websocket")]),
            None
        ));
    }
}

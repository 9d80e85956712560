//! Which calls are the same, for an answer that one caller may get instead of another.
//!
//! An unknown header may be a tenant, an API key or a user. So two calls are the same only if their heads are, except for
//! fields that do not select an answer by HTTP or by their purpose, or for which the answer's `Vary` says so.

use http::header::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::asked::Call;
use crate::config::plan::{Sharing, StalePlan};

/// A fingerprint: the whole SHA-256, since two calls with one fingerprint would get each other's answers. Its input, which may
/// be a password, is not kept.
pub(super) type Print = [u8; 32];

/// Fields that do not tell calls apart.
const NEUTRAL: [&str; 43] = [
    // Fields of the message or of one hop.
    "connection",
    "content-length",
    "date",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
    // Content negotiation: an answer that depends on them says so by `Vary` (RFC 9110 §12.5.5).
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "user-agent",
    // Freshness, judged elsewhere.
    "cache-control",
    "if-modified-since",
    "if-none-match",
    "pragma",
    // Deadlines.
    "grpc-timeout",
    "priority",
    "x-attempt",
    "x-request-timeout",
    // Ids of calls in logs and traces. (`baggage` holds more than that: see below.)
    "b3",
    "elastic-apm-traceparent",
    "grpc-trace-bin",
    "newrelic",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-b3-flags",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "x-datadog-trace-id",
    "x-request-id",
];

/// Carries any data of an application, besides Sentry's trace data (W3C Baggage; each member of the list is judged by itself).
const BAGGAGE: &str = "baggage";

/// The fingerprint of a call.
pub(super) fn print(call: &Call<'_>, plan: &StalePlan) -> Print {
    let mut digest = Sha256::new();
    push(&mut digest, call.host.map_or(b"", |host| host.as_bytes()));
    push(&mut digest, call.target.as_bytes());
    for key in call.keys {
        let digits = key.map(crate::resilience::Key::digits);
        push(&mut digest, digits.as_ref().map_or(b"", |digits| digits));
    }
    for name in &plan.vary {
        push_values(&mut digest, call.headers, name);
    }
    if plan.credentials == Sharing::Apart {
        let mut names: Vec<&HeaderName> = call
            .headers
            .keys()
            .filter(|name| tells_apart(name, call, plan))
            .collect();
        // The map's own order differs between requests.
        names.sort_unstable_by_key(|name| name.as_str());
        for name in names {
            push_field(&mut digest, call.headers, name);
        }
    }
    digest.finalize().into()
}

/// The fingerprint of what a head has in that field.
pub(super) fn select(headers: &HeaderMap, name: &HeaderName) -> Print {
    let mut digest = Sha256::new();
    push_values(&mut digest, headers, name);
    digest.finalize().into()
}

fn tells_apart(name: &HeaderName, call: &Call<'_>, plan: &StalePlan) -> bool {
    call.user_id == Some(name)
        || !(NEUTRAL.contains(&name.as_str())
            || plan.neutral.contains(name)
            || call.ids.contains(name))
}

fn push_field(digest: &mut Sha256, headers: &HeaderMap, name: &HeaderName) {
    if name.as_str() == BAGGAGE {
        let members = headers
            .get_all(name)
            .iter()
            .flat_map(|list| list.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty() && !member.starts_with(b"sentry-"));
        for member in members {
            push(digest, BAGGAGE.as_bytes());
            push(digest, member);
        }
        return;
    }
    push(digest, name.as_str().as_bytes());
    push_values(digest, headers, name);
}

/// Hashes each piece with its length, so that no two lists of pieces have the same bytes.
fn push(digest: &mut Sha256, piece: &[u8]) {
    digest.update((piece.len() as u64).to_le_bytes());
    digest.update(piece);
}

fn push_values(digest: &mut Sha256, headers: &HeaderMap, name: &HeaderName) {
    let values = headers.get_all(name);
    digest.update((values.iter().count() as u64).to_le_bytes());
    values
        .iter()
        .for_each(|value| push(digest, value.as_bytes()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resilience::Key;
    use crate::stale::store::tests::{call, headers, plan};

    fn print_of(plan: &StalePlan, target: &str, fields: &[(&str, &str)]) -> Print {
        print(&call(target, &headers(fields)), plan)
    }

    #[test]
    fn calls_differ_by_target_and_by_every_header_that_is_not_neutral() {
        let plan = StalePlan {
            vary: vec![http::header::ACCEPT_LANGUAGE],
            neutral: vec![HeaderName::from_static("x-nonce")],
            ..plan()
        };
        let base = print_of(&plan, "/a?b", &[("accept", "*/*"), ("x-nonce", "1")]);
        let same = |target, fields: &[_]| print_of(&plan, target, fields) == base;
        assert!(same(
            "/a?b",
            &[("user-agent", "x"), ("x-correlation-id", "1")]
        ));
        assert!(!same("/a?c", &[]));
        // What applications and gateways say of who calls.
        for name in [
            "accept-language",
            "api_key",
            "authorization",
            "cf-access-jwt-assertion",
            "cookie",
            "dpop",
            "forwarded",
            "from",
            "ocp-apim-subscription-key",
            "proxy-authorization",
            "remote-user",
            "x-access-key",
            "x-amz-security-token",
            "x-amzn-oidc-identity",
            "x-api-key",
            "x-auth-token",
            "x-customer-id",
            "x-forwarded-email",
            "x-forwarded-for",
            "x-forwarded-user",
            "x-functions-key",
            "x-goog-iap-jwt-assertion",
            "x-ms-client-principal",
            "x-org",
            "x-org-id",
            "x-organization-id",
            "x-real-ip",
            "x-tenant",
            "x-tenant-id",
            "x-user",
            "x-user-id",
        ] {
            assert!(!same("/a?b", &[(name, "x")]), "{name}");
        }
    }

    #[test]
    fn credentials_that_are_shared_tell_nobody_apart_but_keys_and_vary_do() {
        let shared = StalePlan {
            credentials: Sharing::Shared,
            vary: vec![http::header::ACCEPT_LANGUAGE],
            ..plan()
        };
        let base = print_of(&shared, "/a", &[("authorization", "a")]);
        let same = |fields: &[_]| print_of(&shared, "/a", fields) == base;
        assert!(same(&[("authorization", "b"), ("x-org", "c")]));
        assert!(!same(&[("accept-language", "de")]));
        let none = headers(&[]);
        let mut keyed = call("/a", &none);
        keyed.keys = [Some(Key::of(b"acme")), None];
        let mut rated = call("/a", &none);
        rated.keys = [None, Some(Key::of(b"acme"))];
        let prints = [&call("/a", &none), &keyed, &rated].map(|call| print(call, &shared));
        assert_eq!(prints[0], base);
        assert!(prints[0] != prints[1] && prints[1] != prints[2] && prints[2] != prints[0]);
    }

    #[test]
    fn the_users_header_counts_whatever_is_neutral_and_a_header_of_ids_does_not() {
        let (user, id) = (http::header::USER_AGENT, HeaderName::from_static("x-trace"));
        let ids = [id];
        let of = |agent, trace| {
            let fields = headers(&[("user-agent", agent), ("x-trace", trace)]);
            let call = Call {
                user_id: Some(&user),
                ids: &ids,
                ..call("/", &fields)
            };
            print(&call, &plan())
        };
        assert_eq!(of("a", "1"), of("a", "2"));
        assert_ne!(of("a", "1"), of("b", "1"));
    }

    #[test]
    fn what_sentry_says_of_a_trace_is_neutral_and_the_rest_of_the_baggage_is_not() {
        let of = |baggage| print_of(&plan(), "/", &[("baggage", baggage)]);
        let none = print_of(&plan(), "/", &[]);
        assert_eq!(of("sentry-trace_id=1, sentry-sampled=true"), none);
        assert_eq!(
            of("sentry-trace_id=1,tenant=a"),
            of("tenant=a, sentry-trace_id=2")
        );
        assert_ne!(of("tenant=a"), of("tenant=b"));
        assert_ne!(of("tenant=a"), none);
    }

    /// A field of any name, of a neutral one in every other case.
    fn field() -> impl Strategy<Value = (String, String)> {
        let neutral = proptest::sample::select(NEUTRAL.to_vec()).prop_map(str::to_owned);
        let name = prop_oneof![neutral, "[a-z0-9_-]{1,12}", "x-[a-c]"];
        (name, "[ab,=]{0,2}")
    }

    proptest! {
        #[test]
        fn no_two_calls_that_differ_outside_the_neutral_headers_are_the_same(
            a in ("[a-c/?]{0,2}", proptest::collection::vec(field(), 0..4)),
            b in ("[a-c/?]{0,2}", proptest::collection::vec(field(), 0..4)),
            mut shuffled in proptest::collection::vec(field(), 0..4).prop_shuffle(),
        ) {
            let print = |(target, fields): &(String, Vec<(String, String)>)| {
                let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                print_of(&plan(), target, &fields)
            };
            let telling = |(target, fields): &(String, Vec<(String, String)>)| {
                let mut told: Vec<_> = fields.iter().filter(|(name, _)| !NEUTRAL.contains(&name.as_str())).cloned().collect();
                // Of one name in the order of the request, of others in none.
                told.sort_by(|(a, _), (b, _)| a.cmp(b));
                (target.clone(), told)
            };
            prop_assert_eq!(print(&a) == print(&b), telling(&a) == telling(&b));
            let mut other = a.clone();
            other.1.append(&mut shuffled);
            prop_assert_eq!(print(&a) == print(&other), telling(&a) == telling(&other));
        }
    }
}

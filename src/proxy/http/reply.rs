//! The answers that we give ourselves: problem details (RFC 9457) that say which route, why, and when to come back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::telemetry::CorrelationId;

const X_SIDEFUSE_REASON: HeaderName = HeaderName::from_static("x-sidefuse-reason");
pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Why we answer ourselves.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The reason.
    pub(super) failure: Failure,
    /// A sentence for a person: what is the matter and what to do.
    pub(super) detail: String,
    /// The state of the route's breaker, where that is the reason.
    pub(super) state: Option<&'static str>,
    /// When it makes sense to ask again, where we know.
    pub(super) retry_at: Option<Instant>,
}

impl Refusal {
    /// A refusal for which no time is known.
    pub(super) fn new(failure: Failure, detail: impl Into<String>) -> Self {
        Self {
            failure,
            detail: detail.into(),
            state: None,
            retry_at: None,
        }
    }

    /// In how many seconds it makes sense to ask again, where we know.
    pub(super) fn wait(&self, now: Instant) -> Option<u64> {
        self.retry_at
            .map(|at| whole_seconds(at.saturating_duration_since(now)))
    }
}

/// What an answer is made from besides the refusal.
pub(super) struct Circumstances<'a> {
    /// The route, if one was found.
    pub(super) route: Option<&'a str>,
    /// The correlation id.
    pub(super) correlation: &'a str,
    /// Whether the caller wants one line of text rather than JSON.
    pub(super) as_text: bool,
    /// Now.
    pub(super) now: Instant,
}

/// Whether the caller asks for plain text and not for JSON.
pub(super) fn wants_text(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(b"text/plain"))
}

/// Writes the answer; the correlation id's headers are the caller's to set.
pub(super) fn answer(refusal: &Refusal, circumstances: &Circumstances<'_>) -> Response<Bytes> {
    let Circumstances {
        route,
        correlation,
        as_text,
        now,
    } = *circumstances;
    let status = refusal.failure.answer().0;
    let wait = refusal.wait(now);
    let (kind, text) = if as_text {
        (
            "text/plain; charset=utf-8",
            format!("{}: {}\n", refusal.failure.label(), refusal.detail),
        )
    } else {
        (
            "application/problem+json",
            problem(refusal, status, route, correlation, wait, now),
        )
    };
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(10);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    mark(headers, refusal, route);
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    if refusal.failure == Failure::MethodNotAllowed {
        headers.insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    if refusal.failure == Failure::Draining {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Says in an answer why it is not the upstream's.
pub(super) fn mark(headers: &mut HeaderMap, refusal: &Refusal, route: Option<&str>) {
    let (_, error_type) = refusal.failure.answer();
    headers.insert(
        X_SIDEFUSE_REASON,
        HeaderValue::from_static(refusal.failure.label()),
    );
    let proxy_status = match route {
        Some(route) => format!(
            "sidefuse; error={error_type}; details=\"{}\"",
            summary(refusal, route)
        ),
        None => format!(
            "sidefuse; error={error_type}; details=\"{}\"",
            refusal.failure.label()
        ),
    };
    if let Ok(value) = HeaderValue::try_from(proxy_status) {
        headers.insert(PROXY_STATUS, value);
    }
}

/// The whole answer, as bytes, to a request that the HTTP library refused before it was one.
pub(super) fn bare_refusal(failure: Failure, correlation: &CorrelationId) -> Vec<u8> {
    let refusal = Refusal::new(
        failure,
        "the request is not well-formed HTTP/1.1, or beyond a limit of `http` in the configuration",
    );
    let circumstances = Circumstances {
        route: None,
        correlation: correlation.as_str(),
        as_text: false,
        now: crate::time::now(),
    };
    let response = answer(&refusal, &circumstances);
    let status = response.status();
    let mut bytes = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    )
    .into_bytes();
    let id = correlation.header_value();
    let ids = [
        (&HeaderName::from_static("x-correlation-id"), id),
        (&super::headers::X_REQUEST_ID, id),
    ];
    for (name, value) in response.headers().iter().chain(ids) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let body = response.body();
    bytes.extend_from_slice(
        format!(
            "connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .as_bytes(),
    );
    bytes.extend_from_slice(body);
    bytes
}

fn summary(refusal: &Refusal, route: &str) -> String {
    match refusal.state {
        Some(_) if refusal.failure == Failure::Ramping => format!("breaker {route} ramping"),
        Some(state) => format!("breaker {route} {state}"),
        None => format!("route {route} {}", refusal.failure.label()),
    }
}

fn problem(
    refusal: &Refusal,
    status: StatusCode,
    route: Option<&str>,
    correlation: &str,
    wait: Option<u64>,
    now: Instant,
) -> String {
    let mut members = Map::with_capacity(10);
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("type", Value::from("about:blank"));
    put(
        "title",
        Value::from(status.canonical_reason().unwrap_or("Refused")),
    );
    put("status", Value::from(status.as_u16()));
    put("detail", Value::from(refusal.detail.as_str()));
    if let Some(route) = route {
        put("route", Value::from(route));
    }
    put("reason", Value::from(refusal.failure.label()));
    if let Some(state) = refusal.state {
        put("state", Value::from(state));
    }
    if let (Some(wait), Some(at)) = (wait, refusal.retry_at) {
        put("retryAfter", Value::from(wait));
        // While it ramps up it is past its probes.
        if refusal.failure != Failure::Ramping {
            let at = humantime::format_rfc3339_millis(crate::time::wall_at(at, now));
            put("nextProbeAt", Value::from(at.to_string()));
        }
    }
    put("correlationId", Value::from(correlation));
    Value::Object(members).to_string()
}

/// Rounded up, so that who comes back then does not come too early; at least 1.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(refusal: &Refusal, as_text: bool, now: Instant) -> Response<Bytes> {
        answer(
            refusal,
            &Circumstances {
                route: Some("whatsapp"),
                correlation: "id-1",
                as_text,
                now,
            },
        )
    }

    #[test]
    fn an_open_breaker_is_answered_with_everything_a_caller_can_use() {
        let now = crate::time::now();
        let refusal = Refusal {
            failure: Failure::CircuitOpen,
            detail: "open".into(),
            state: Some("open"),
            retry_at: Some(now + Duration::from_millis(41_001)),
        };
        let response = answered(&refusal, false, now);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "42");
        assert_eq!(response.headers()["x-sidefuse-reason"], "circuit_open");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(
            response.headers()["proxy-status"],
            "sidefuse; error=destination_unavailable; details=\"breaker whatsapp open\""
        );
        let problem: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["retryAfter"], 42);
        assert_eq!(problem["state"], "open");
        assert_eq!(problem["route"], "whatsapp");
        assert_eq!(problem["correlationId"], "id-1");
        assert!(problem["nextProbeAt"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_ramping_breaker_says_when_all_calls_are_back_and_names_no_probe() {
        let now = crate::time::now();
        let refusal = Refusal {
            failure: Failure::Ramping,
            detail: "closed; ramping up".into(),
            state: Some("closed"),
            retry_at: Some(now + Duration::from_secs(27)),
        };
        let response = answered(&refusal, false, now);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "27");
        assert_eq!(response.headers()["x-sidefuse-reason"], "ramping");
        assert_eq!(
            response.headers()["proxy-status"],
            "sidefuse; error=destination_unavailable; details=\"breaker whatsapp ramping\""
        );
        let problem: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            (&problem["retryAfter"], &problem["state"]),
            (&27.into(), &"closed".into())
        );
        assert_eq!(problem.get("nextProbeAt"), None);
    }

    #[test]
    fn who_wants_text_gets_one_line() {
        let response = answered(
            &Refusal::new(Failure::Timeout, "no answer within 15s"),
            true,
            crate::time::now(),
        );
        assert_eq!(response.body(), "timeout: no answer within 15s\n");
        assert_eq!(response.status(), 504);
        assert!(!response.headers().contains_key("retry-after"));
    }
}

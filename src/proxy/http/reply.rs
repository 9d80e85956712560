//! Our own answers: problem details (RFC 9457), or an error in the form of Meta's Graph API or of gRPC, with the route, the reason,
//! and when to come back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{Response, StatusCode};

use super::grpc::tell;
use super::object::Object;
use crate::failure::Failure;
use crate::resilience::grpc;
use crate::telemetry::{CorrelationId, Exchange};
use crate::time::Moment;
use crate::wire::{Flaw, wants_text};

const X_SIDEFUSE_REASON: HeaderName = HeaderName::from_static("x-sidefuse-reason");
pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Why we answer ourselves.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The reason.
    pub(super) failure: Failure,
    /// A sentence for people: what is wrong and what to do.
    pub(super) detail: String,
    /// The state of the route's breaker, where that is the reason.
    pub(super) state: Option<&'static str>,
    /// When it makes sense to ask again, if known.
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

    /// The refusal after the time to drain; its advice depends on whether the upstream may have seen the call.
    pub(super) fn draining(exchange: &Exchange) -> Self {
        let detail = if exchange.attempts() > 0 {
            "shutting down before the upstream's answer; the upstream may have carried the call out"
        } else {
            "shutting down; call again, another instance answers"
        };
        Self::new(Failure::Draining, detail)
    }

    /// In how many seconds it makes sense to ask again, if known.
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
    /// The form of the answer.
    pub(super) form: Form,
    /// Now.
    pub(super) now: Instant,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A status of gRPC's, without a body.
    Grpc,
    /// One line of text, as the caller asked.
    Text,
    /// Problem details.
    Problem,
    /// An error of Graph's.
    Graph,
}

impl Form {
    /// The form that a request with these fields asks for, if it does.
    pub(super) fn asked_for(headers: &HeaderMap) -> Option<Self> {
        if grpc::is_spoken(headers) {
            Some(Self::Grpc)
        } else {
            wants_text(headers).then_some(Self::Text)
        }
    }
}

/// Writes the answer, without the headers of the correlation id.
pub(super) fn answer(refusal: &Refusal, circumstances: &Circumstances<'_>) -> Response<Bytes> {
    let Circumstances {
        route,
        correlation: _,
        form,
        now,
    } = *circumstances;
    let status = refusal.failure.answer().0;
    let wait = refusal.wait(now);
    let (kind, text) = match form {
        Form::Grpc => ("application/grpc", Vec::new()),
        Form::Text => (
            "text/plain; charset=utf-8",
            format!("{}: {}\n", refusal.failure.label(), refusal.detail).into_bytes(),
        ),
        Form::Problem => (
            "application/problem+json",
            problem(refusal, status, circumstances),
        ),
        Form::Graph => ("application/json", graph(refusal, status, circumstances)),
    };
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    mark(headers, refusal, route);
    if form == Form::Grpc {
        tell(headers, refusal.failure, &refusal.detail);
    }
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
    let label = refusal.failure.label();
    headers.insert(X_SIDEFUSE_REASON, HeaderValue::from_static(label));
    let [whose, route, blank, what] = match (route, refusal.state) {
        (None, _) => ["", "", "", label],
        (Some(route), Some(_)) if refusal.failure == Failure::Ramping => {
            ["breaker ", route, " ", "ramping"]
        }
        (Some(route), Some(state)) => ["breaker ", route, " ", state],
        (Some(route), None) => ["route ", route, " ", label],
    };
    let proxy_status = [
        "sidefuse; error=",
        error_type,
        "; details=\"",
        whose,
        route,
        blank,
        what,
        "\"",
    ]
    .concat();
    if let Ok(value) = HeaderValue::try_from(proxy_status) {
        headers.insert(PROXY_STATUS, value);
    }
}

/// The whole answer, as bytes, to a request that the HTTP library refused; for this flaw, if it is known.
pub(super) fn bare_refusal(
    failure: Failure,
    flaw: Option<Flaw>,
    correlation: &CorrelationId,
) -> Vec<u8> {
    let detail = flaw.map_or_else(
        || "the request is not well-formed HTTP/1.1, or beyond a limit of `http` in the configuration".to_owned(),
        |flaw| flaw.to_string(),
    );
    let refusal = Refusal::new(failure, detail);
    let circumstances = Circumstances {
        route: None,
        correlation: correlation.as_str(),
        form: Form::Problem,
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

/// Problem details (RFC 9457).
fn problem(refusal: &Refusal, status: StatusCode, circumstances: &Circumstances<'_>) -> Vec<u8> {
    let mut problem = Object::new();
    problem.text("type", "about:blank");
    problem.text("title", status.canonical_reason().unwrap_or("Refused"));
    problem.number("status", status.as_u16().into());
    problem.text("detail", &refusal.detail);
    why(&mut problem, refusal, circumstances);
    problem.text("correlationId", circumstances.correlation);
    problem.finish()
}

/// An error as Graph writes it. Its clients branch on `code`: 2 is "service down" and 4 "too many calls", both of which Meta's SDKs and
/// typical callers try again later; 100 is "invalid parameter", which they do not. Its type is none of Meta's: `OAuthException` would make
/// callers throw their token away. `error_data.details` is what the Cloud API's callers log.
fn graph(refusal: &Refusal, status: StatusCode, circumstances: &Circumstances<'_>) -> Vec<u8> {
    let (code, is_transient) = match status {
        StatusCode::TOO_MANY_REQUESTS => (4, true),
        StatusCode::REQUEST_TIMEOUT => (2, true),
        status if status.is_client_error() => (100, false),
        _ => (2, true),
    };
    let mut answer = Object::new();
    answer.begin("error");
    answer.text(
        "message",
        &format!("(#{code}) sidefuse: {}", refusal.detail),
    );
    answer.text("type", "SidefuseException");
    answer.number("code", code);
    answer.flag("is_transient", is_transient);
    answer.begin("error_data");
    answer.text("details", &refusal.detail);
    why(&mut answer, refusal, circumstances);
    answer.end();
    answer.text("fbtrace_id", circumstances.correlation);
    answer.end();
    answer.finish()
}

/// The part of a refusal that is meant for programs.
fn why(object: &mut Object, refusal: &Refusal, circumstances: &Circumstances<'_>) {
    let now = circumstances.now;
    if let Some(route) = circumstances.route {
        object.text("route", route);
    }
    object.text("reason", refusal.failure.label());
    if let Some(state) = refusal.state {
        object.text("state", state);
    }
    if let Some(wait) = refusal.wait(now) {
        object.number("retryAfter", wait);
    }
    // While it ramps up, it has no next probe.
    let at = refusal
        .retry_at
        .filter(|_| refusal.failure != Failure::Ramping);
    if let Some(at) = at {
        // Only a breaker has a next probe; of the others it is when a call may go again.
        let is_probe = refusal.state.is_some() && refusal.failure != Failure::ForcedOpen;
        let name = if is_probe { "nextProbeAt" } else { "retryAt" };
        object.text(name, &Moment::read().stamp(at));
    }
}

/// Rounded up, so that a caller that comes back then is not too early; at least 1.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answered(refusal: &Refusal, form: Form, now: Instant) -> Response<Bytes> {
        answer(
            refusal,
            &Circumstances {
                route: Some("whatsapp"),
                correlation: "id-1",
                form,
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
        let response = answered(&refusal, Form::Problem, now);
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
    fn the_end_of_a_hold_is_told_as_a_time_to_come_back_and_as_no_probe() {
        let now = crate::time::now();
        let refusal = Refusal {
            failure: Failure::ForcedOpen,
            detail: "forced open".into(),
            state: Some("open"),
            retry_at: Some(now + Duration::from_secs(42)),
        };
        let response = answered(&refusal, Form::Problem, now);
        assert_eq!(response.headers()["retry-after"], "42");
        let problem: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(problem["retryAt"].is_string() && problem.get("nextProbeAt").is_none());
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
        let response = answered(&refusal, Form::Problem, now);
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
            Form::Text,
            crate::time::now(),
        );
        assert_eq!(response.body(), "timeout: no answer within 15s\n");
        assert_eq!(response.status(), 504);
        assert!(!response.headers().contains_key("retry-after"));
    }

    #[test]
    fn a_grpc_call_gets_a_status_and_the_sentence_beside_what_all_get() {
        let now = crate::time::now();
        let refusal = Refusal {
            failure: Failure::CircuitOpen,
            detail: "open since 02:14:09".into(),
            state: Some("open"),
            retry_at: Some(now + Duration::from_secs(42)),
        };
        let response = answered(&refusal, Form::Grpc, now);
        assert_eq!(
            (response.status().as_u16(), response.body().len()),
            (503, 0)
        );
        for (name, value) in [
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            ("grpc-message", "open since 02:14:09"),
            ("retry-after", "42"),
            ("x-sidefuse-reason", "circuit_open"),
        ] {
            assert_eq!(response.headers()[name], value, "{name}");
        }
    }

    #[test]
    fn what_a_request_speaks_goes_before_what_it_accepts() {
        let form = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            Form::asked_for(&fields.collect())
        };
        let grpc = ("content-type", "application/grpc+proto");
        assert_eq!(form(&[grpc]), Some(Form::Grpc));
        assert_eq!(form(&[grpc, ("accept", "text/plain")]), Some(Form::Grpc));
        assert_eq!(form(&[("accept", "text/plain")]), Some(Form::Text));
        assert_eq!(form(&[("content-type", "application/grpc-web")]), None);
        assert_eq!(form(&[]), None);
    }

    #[test]
    fn a_client_of_graph_finds_everything_where_it_looks() {
        let now = crate::time::now();
        let refusal = Refusal {
            failure: Failure::CircuitOpen,
            detail: "open since 02:14:09".into(),
            state: Some("open"),
            retry_at: Some(now + Duration::from_secs(42)),
        };
        let response = answered(&refusal, Form::Graph, now);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["retry-after"], "42");
        assert_eq!(response.headers()["x-sidefuse-reason"], "circuit_open");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        let mut error = body["error"].clone();
        assert!(error["error_data"]["nextProbeAt"].take().is_string());
        assert_eq!(
            error,
            json!({
                "message": "(#2) sidefuse: open since 02:14:09",
                "type": "SidefuseException",
                "code": 2,
                "is_transient": true,
                "error_data": {
                    "details": "open since 02:14:09", "route": "whatsapp", "reason": "circuit_open", "state": "open",
                    "retryAfter": 42, "nextProbeAt": null
                },
                "fbtrace_id": "id-1"
            })
        );
    }

    #[test]
    fn the_code_says_whether_to_try_again() {
        let table: String = Failure::ALL
            .into_iter()
            .map(|failure| {
                let response =
                    answered(&Refusal::new(failure, "x"), Form::Graph, crate::time::now());
                let body: Value = serde_json::from_slice(response.body()).unwrap();
                let error = &body["error"];
                let transient = error["is_transient"].as_bool().unwrap();
                let again = if transient { "transient" } else { "final" };
                format!(
                    "{:<19} {:<4} {again}\n",
                    failure.label(),
                    error["code"].to_string()
                )
            })
            .collect();
        insta::assert_snapshot!(table);
    }
}

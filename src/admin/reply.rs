//! Answers: JSON, text, and problem details (RFC 9457), all with headers that keep browsers from misusing them.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::telemetry::CorrelationId;
use crate::wire::wants_text;

/// An answer of the admin port.
pub(super) type Answer = Response<Full<Bytes>>;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request fails.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    members: Vec<(&'static str, Value)>,
    header: Option<(Extra, &'static str)>,
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Programs.
    Json,
    /// People: text, where there is one.
    Text,
}

/// The header that goes with a status.
#[derive(Clone, Copy, Debug)]
enum Extra {
    Challenge,
    Allow,
}

impl Problem {
    /// A problem: what failed and what to do.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            members: Vec::new(),
            header: None,
        }
    }

    /// 400.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 403.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 401.
    pub(super) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self {
            header: Some((Extra::Challenge, "Bearer realm=\"sidefuse\"")),
            ..Self::new(StatusCode::UNAUTHORIZED, detail)
        }
    }

    /// 405.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            header: Some((Extra::Allow, allow)),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("this takes {allow} only"),
            )
        }
    }

    /// One more member of the JSON object.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// The answer: a problem document, or for people what it says and the diagnostics, if it has any.
    pub(super) fn answer(self, correlation: &CorrelationId, form: Form) -> Answer {
        let header = self.header;
        let mut answer = match form {
            Form::Json => self.document(correlation),
            Form::Text => self.text(),
        };
        if let Some((extra, value)) = header {
            let name = match extra {
                Extra::Challenge => WWW_AUTHENTICATE,
                Extra::Allow => ALLOW,
            };
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    fn text(self) -> Answer {
        let mut text = format!("{}\n", self.detail);
        for (name, value) in &self.members {
            match (*name, value) {
                ("diagnostics", Value::String(diagnostics)) => text.push_str(diagnostics),
                ("endpoints", Value::Array(paths)) => {
                    for path in paths.iter().filter_map(Value::as_str) {
                        text.push_str(&format!("  {path}\n"));
                    }
                }
                _ => {}
            }
        }
        plain(self.status, text)
    }

    fn document(self, correlation: &CorrelationId) -> Answer {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("type", Value::from("about:blank"));
        let title = self.status.canonical_reason().unwrap_or("Refused");
        put("title", Value::from(title));
        put("status", Value::from(self.status.as_u16()));
        put("detail", Value::from(self.detail));
        for (name, value) in self.members {
            put(name, value);
        }
        put("correlationId", Value::from(correlation.as_str()));
        let mut text = Value::Object(members).to_string();
        text.push('\n');
        with_body(self.status, "application/problem+json", text.into())
    }
}

impl Form {
    /// The form that the caller accepts first.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if wants_text(headers) {
            Self::Text
        } else {
            Self::Json
        }
    }
}

/// An answer for people.
pub(super) fn plain(status: StatusCode, text: String) -> Answer {
    with_body(status, "text/plain; charset=utf-8", text.into())
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Answer, Problem> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the answer cannot be written as JSON",
        )
    })?;
    text.push(b'\n');
    Ok(with_body(status, "application/json", text.into()))
}

/// An answer of some media type.
pub(super) fn with_body(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// A page for a browser, under a policy of its own.
pub(super) fn html(text: Bytes, policy: &'static str) -> Answer {
    let mut answer = with_body(StatusCode::OK, "text/html; charset=utf-8", text);
    let policy = HeaderValue::from_static(policy);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

/// 304: the asker has this version already.
pub(super) fn not_modified() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    answer
}

/// Sets the entity tag of an answer.
pub(super) fn tag(answer: &mut Answer, tag: &str) {
    if let Ok(value) = HeaderValue::try_from(tag) {
        answer.headers_mut().insert(ETAG, value);
    }
}

/// Adds what every answer carries. There are no CORS headers on purpose: no page of another origin may read an answer.
pub(super) fn seal(answer: &mut Answer, header: &HeaderName, correlation: &CorrelationId) {
    let headers = answer.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers.insert(header.clone(), correlation.header_value().clone());
    headers.insert(X_REQUEST_ID, correlation.header_value().clone());
}

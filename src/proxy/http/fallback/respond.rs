//! `respond`: a fixed answer, filled in.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::Told;
use crate::config::plan::RespondPlan;
use crate::config::template::Filling;

/// Whether the status is no refusal: then no `Retry-After` goes with it.
fn is_good(status: StatusCode) -> bool {
    status.as_u16() < 400
}

/// The answer.
pub(super) fn respond(plan: &RespondPlan, told: &Told<'_>) -> Response<Bytes> {
    let filling = Filling {
        correlation_id: told.correlation,
        route: told.route,
        retry_after: told.retry_after,
    };
    let body = plan.body.as_ref().map(|body| body.fill(&filling));
    let mut response = Response::new(body.unwrap_or_default());
    let status = plan.status.unwrap_or(told.status);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(10 + plan.headers.len());
    told.why.mark(headers, told.route);
    if let Some(wait) = told.retry_after.filter(|_| !is_good(status)) {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(kind) = &plan.content_type {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    for (name, value) in &plan.headers {
        let value = value.fill(&filling);
        // A field that holds nothing but an unknown time is left out.
        if value.is_empty() {
            headers.remove(name);
        } else if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            headers.insert(name.clone(), value);
        }
    }
    response
}

//! `stale`: the last good answer to the same call, copied while it passes.

use std::time::Instant;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, WARNING};
use http::{Response, StatusCode, Version};
use http_body::Body as _;

use super::Reply;
use crate::proxy::http::call::Call;
use crate::proxy::http::carry::{Answer, Context, carry};
use crate::proxy::http::headers::{self, Facts};
use crate::proxy::http::reply::Refusal;
use crate::proxy::http::target;
use crate::proxy::http::waiting::rate_key;
use crate::resilience::Outcome;
use crate::snapshot::{Route, Way};
use crate::stale::{self, Asked, Collector, Kept};
use crate::telemetry::Exchange;
use crate::time::now;

/// The `Warning` of RFC 7234 §5.5.1. RFC 9111 has dropped the field, but there are callers that look for it and nothing took
/// its place.
const STALE: HeaderValue = HeaderValue::from_static("110 - \"Response is Stale\"");

/// What the call may do with the route's kept answers; `None` if there are none, or if it has nothing to do with them.
pub(super) fn asked(context: &Context<'_>, call: &Call, way: &Way) -> Option<Asked> {
    let snapshot = &context.current.snapshot;
    let route = &snapshot.routes[way.route];
    let store = route.stale.as_ref()?;
    // The upstream gets less than the caller wrote, and answers another call than one that looks the same.
    let loses_fields = headers::loses_fields(call.headers());
    if loses_fields || call.wants_to_switch() || !call.upload.is_empty() {
        return None;
    }
    let target = target::rewrite(
        &call.target(),
        way,
        &route.plan.upstream.base_path,
        context.connection.worker.arena(),
    )
    .ok()?;
    let host = if route.plan.preserve_host {
        call.host()
    } else {
        None
    };
    let call = stale::Call {
        method: &call.method,
        host: host.as_ref(),
        target: target.as_str(),
        headers: call.headers(),
        keys: [call.key_at(route, way), rate_key(route, call, context)],
        user_id: snapshot.plan.logs.user_id_header.as_ref(),
        ids: &snapshot.plan.correlation.accept,
    };
    Asked::of(&call, store.plan())
}

/// Carries the call; a good answer is copied while it passes.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn carry_and_keep(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    (way, asked): (&Way, &Asked),
) -> Result<Reply, Refusal> {
    let mut answer = carry(context, exchange, call, way).await?;
    let route = &context.current.snapshot.routes[way.route];
    answer.collector = collect(route, asked, &answer, now()).map(Box::new);
    Ok(Reply::Upstream(answer))
}

/// A collector of the answer, if it may be kept.
pub(super) fn collect(
    route: &Route,
    asked: &Asked,
    answer: &Answer,
    now: Instant,
) -> Option<Collector> {
    let response = &answer.response;
    let headers = response.headers();
    // A body that ends with its connection may have been cut off (RFC 9112 §8).
    let has_end = response.version() == Version::HTTP_2
        || headers.contains_key(CONTENT_LENGTH)
        || headers.contains_key(TRANSFER_ENCODING);
    if answer.upstream.judged.verdict.outcome != Outcome::Success || !has_end {
        return None;
    }
    let head = (response.status(), headers);
    let length = response.body().size_hint().exact();
    route.stale.as_ref()?.collect(asked, head, length, now)
}

/// The kept answer to the call, if there is one.
pub(super) fn serve(
    context: &Context<'_>,
    exchange: &Exchange,
    route: &Route,
    asked: &Asked,
) -> Option<Response<Bytes>> {
    let now = now();
    let kept = route.stale.as_ref()?.find(asked, now)?;
    let mut response = answer_of(&kept, context, exchange, route);
    let headers = response.headers_mut();
    headers.insert(AGE, HeaderValue::from(kept.age(now).as_secs()));
    headers.append(WARNING, STALE);
    if asked.has_already(kept.tag()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Bytes::new();
    }
    Some(response)
}

/// Makes a kept answer fit for this caller.
pub(super) fn answer_of(
    kept: &Kept,
    context: &Context<'_>,
    exchange: &Exchange,
    route: &Route,
) -> Response<Bytes> {
    let mut response = Response::new(kept.body.clone());
    *response.headers_mut() = kept.headers.clone();
    prepare(response.headers_mut(), context, exchange, route);
    response
}

/// Makes the head of an answer whose body is whole fit for the caller.
pub(super) fn prepare(
    headers: &mut HeaderMap,
    context: &Context<'_>,
    exchange: &Exchange,
    route: &Route,
) {
    // The library derives it from the body.
    headers.remove(CONTENT_LENGTH);
    let facts = Facts {
        peer: &context.connection.peer,
        correlation_header: &context.current.snapshot.plan.correlation.header,
        correlation: exchange.correlation_id().header_value(),
        upgrade: None,
        attempt: 0,
    };
    headers::prepare_response(headers, &facts, &route.response_headers);
}

//! A request on its way up: rewritten once, sent once, and once more where that is surely safe.

use std::rc::Rc;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::attempt::Attempt;
use super::framing::is_ambiguous;
use super::headers::{self, Facts};
use super::reply::Refusal;
use super::target;
use crate::failure::Failure;
use crate::snapshot::{Route, Way};
use crate::telemetry::Exchange;
use crate::telemetry::names::RetryResult;
use crate::time::{Deadline, now, timeout_at};
use crate::upstream::{
    Checkout, Fate, Lease, Purpose, SendError, Upload, UploadEnd, UploadProgress,
};

/// A request on its way up.
pub(super) struct Outgoing {
    head: Head,
    /// The caller's own `Host`, where the route preserves it.
    host: Option<HeaderValue>,
    body: Option<Upload>,
    pub(super) upload: Rc<UploadProgress>,
    /// The protocol the caller would switch to, and its side of the switch.
    pub(super) upgrade: Option<(HeaderValue, OnUpgrade)>,
    /// Time spent in our own queue, which is nobody's slowness but ours.
    queued: Duration,
}

#[derive(Clone)]
struct Head {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
}

impl Outgoing {
    /// Makes the upstream's request of the caller's.
    ///
    /// # Errors
    /// When the target cannot be written behind the upstream's base path.
    pub(super) fn new(
        context: &Attempt<'_>,
        exchange: &mut Exchange,
        route: &Route,
        way: &Way,
        mut request: Request<Incoming>,
    ) -> Result<Self, Refusal> {
        let upgrade = headers::upgrade_of(request.version(), request.method(), request.headers())
            .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
        let (mut parts, body) = request.into_parts();
        let target = parts
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        let path = target::rewrite(&target, way, &route.plan.upstream.base_path).map_err(|_| {
            Refusal::new(
                Failure::BadRequest,
                "the path makes no valid target behind the upstream's base path",
            )
        })?;
        let facts = Facts {
            peer: &context.connection.peer,
            correlation_header: &context.current.snapshot.plan.correlation.header,
            correlation: exchange.correlation_id().header_value(),
            upgrade: upgrade.as_ref().map(|(protocol, _)| protocol),
        };
        let host = if route.plan.preserve_host {
            caller_host(&parts)
        } else {
            None
        };
        parts.headers.remove(HOST);
        headers::prepare_request(&mut parts.headers, &facts, &route.request_headers);
        let upload = Rc::new(UploadProgress::counting(exchange.request_bytes()));
        let body = Upload::streaming(body, Rc::clone(&upload), route.plan.idle_timeout);
        let head = Head {
            method: parts.method,
            path,
            headers: parts.headers,
        };
        Ok(Self {
            head,
            host,
            body: Some(body),
            upload,
            upgrade,
            queued: Duration::ZERO,
        })
    }

    /// Time spent in our own queue.
    pub(super) fn queued(&self) -> Duration {
        self.queued
    }

    /// Makes the call, and once more if the first was surely never sent, or was lost with a kept-alive connection and is idempotent.
    ///
    /// # Errors
    /// Why there are no response headers.
    pub(super) async fn make(
        &mut self,
        context: &Attempt<'_>,
        exchange: &mut Exchange,
        route: &Route,
        deadline: Deadline,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        match self.try_once(context, exchange, route, deadline).await {
            Err((failure, again))
                if again != Again::Impossible
                    && failure.is_retryable()
                    && !deadline.has_passed(now()) =>
            {
                if again == Again::Unseen {
                    exchange.never_attempted();
                }
                let second = self.try_once(context, exchange, route, deadline).await;
                let result = if second.is_ok() {
                    RetryResult::Answered
                } else {
                    RetryResult::Failed
                };
                route.meters.retried(result);
                second
            }
            first => first,
        }
        .map_err(|(failure, _)| failure)
    }

    async fn try_once(
        &mut self,
        context: &Attempt<'_>,
        exchange: &mut Exchange,
        route: &Route,
        deadline: Deadline,
    ) -> Result<(Response<Incoming>, Lease), (Failure, Again)> {
        let mut lease = self.connect(context, exchange, route, deadline).await?;
        let begin = now();
        let spare = self.spare(&lease);
        let request = self
            .request(&lease, route)
            .map_err(|failure| (failure, Again::Impossible))?;
        let sent = timeout_at(deadline, lease.send(request)).await;
        exchange.waited(now().saturating_duration_since(begin));
        match sent {
            // Nobody asked for it, so nobody could speak what follows (RFC 9110 §15.2.2).
            Ok(Ok(response))
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && self.upgrade.is_none() =>
            {
                Err((Failure::Protocol, Again::Impossible))
            }
            Ok(Ok(response)) if is_ambiguous(response.version(), response.headers()) => {
                Err((Failure::Protocol, Again::Impossible))
            }
            Ok(Ok(response)) => Ok((response, lease)),
            Ok(Err(error)) => Err(self.lost(error, spare)),
            Err(_) if self.upload.is_waiting() => Err((Failure::RequestTimeout, Again::Impossible)),
            Err(_) => {
                lease.timed_out();
                Err((Failure::Timeout, Again::Impossible))
            }
        }
    }

    /// A connection for the call.
    async fn connect(
        &mut self,
        context: &Attempt<'_>,
        exchange: &mut Exchange,
        route: &Route,
        deadline: Deadline,
    ) -> Result<Lease, (Failure, Again)> {
        let begin = now();
        let pool = context.connection.worker.pool(route);
        let purpose = if self.upgrade.is_some() {
            Purpose::Switch
        } else {
            Purpose::Call
        };
        let checkout = pool.checkout(begin, deadline, purpose).await;
        let end = now();
        let took = end.saturating_duration_since(begin);
        exchange.waited(took);
        let result = match checkout {
            Ok(Checkout { lease, has_waited }) => {
                if has_waited {
                    self.queued += took;
                    route.meters.waited_for_connection(took);
                }
                if has_waited && deadline.has_passed(end) {
                    // Its turn came too late: that the time is over is our doing, not the upstream's.
                    lease.keep(end);
                    Err(Failure::Overloaded)
                } else {
                    Ok(lease)
                }
            }
            Err(failure) => Err(failure),
        };
        if !matches!(result, Err(Failure::Overloaded)) {
            exchange.attempting(&route.upstream_label);
        }
        result.map_err(|failure| (failure, Again::Unseen))
    }

    /// A copy of the head, where a kept-alive connection may be closed under a call that can be made again.
    fn spare(&self, lease: &Lease) -> Option<Head> {
        let is_empty = self.body.as_ref().is_some_and(Upload::is_empty);
        (is_empty && lease.is_reused()).then(|| self.head.clone())
    }

    fn request(&mut self, lease: &Lease, route: &Route) -> Result<Request<Upload>, Failure> {
        let body = self.body.take().ok_or(Failure::Internal)?;
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method.clone();
        let path = self.head.path.clone();
        *request.headers_mut() = std::mem::take(&mut self.head.headers);
        if lease.is_http2() {
            let host = self
                .host
                .as_ref()
                .and_then(|host| Authority::try_from(host.as_bytes()).ok());
            let authority = host.unwrap_or_else(|| route.origin.1.clone());
            let target = target::absolute_form(path, route.origin.0.clone(), authority);
            *request.uri_mut() = target.map_err(|_| Failure::Internal)?;
            *request.version_mut() = Version::HTTP_2;
        } else {
            let host = self.host.as_ref().unwrap_or(&route.plan.upstream.authority);
            request.headers_mut().insert(HOST, host.clone());
            *request.uri_mut() = target::origin_form(path);
        }
        Ok(request)
    }

    /// What became of a call that got no response headers, and whether it can be made again.
    fn lost(&mut self, error: SendError, spare: Option<Head>) -> (Failure, Again) {
        match self.upload.end() {
            Some(UploadEnd::Gone) => return (Failure::ClientGone, Again::Impossible),
            Some(UploadEnd::Malformed) => return (Failure::BadRequest, Again::Impossible),
            Some(UploadEnd::Stalled) => return (Failure::RequestTimeout, Again::Impossible),
            None => {}
        }
        let SendError {
            failure,
            fate,
            request,
        } = error;
        let again = match (fate, request, spare) {
            (Fate::NeverSent, Some(request), _) => {
                let (parts, body) = request.into_parts();
                self.head.headers = parts.headers;
                self.body = Some(body);
                Again::Unseen
            }
            (Fate::NeverSent, None, Some(head)) => self.again(head, Again::Unseen),
            (Fate::Unanswered, None, Some(head)) if is_idempotent(&head.method) => {
                self.again(head, Again::Unanswered)
            }
            (Fate::NeverSent, None, None) | (Fate::Unanswered | Fate::Unknown, _, _) => {
                Again::Impossible
            }
        };
        (failure, again)
    }

    fn again(&mut self, head: Head, again: Again) -> Again {
        self.head = head;
        self.body = Some(Upload::empty());
        again
    }
}

/// Whether the same call can be made a second time, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// The upstream cannot have seen it.
    Unseen,
    /// The upstream may have seen it, but did not answer and would do the same twice.
    Unanswered,
    /// It may do harm, or cannot be put together again.
    Impossible,
}

/// The methods that may be carried out twice (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
    ]
    .contains(method)
}

/// The host that the caller wrote: the target's before the field's (RFC 9112 §3.2.2).
fn caller_host(parts: &http::request::Parts) -> Option<HeaderValue> {
    match parts.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => parts.headers.get(HOST).cloned(),
    }
}

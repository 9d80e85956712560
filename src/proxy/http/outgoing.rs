//! A call as its route's upstream gets it: rewritten once for the route, then for each attempt.

use std::time::Instant;

use http::header::{ACCEPT_ENCODING, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Request, Version};

use super::call::{Call, Keep};
use super::carry::Context;
use super::headers::{self, Facts, X_CORRELATION_ID, X_REQUEST_ID};
use super::reply::Refusal;
use super::target;
use crate::arena::Arena;
use crate::failure::Failure;
use crate::snapshot::{Route, Way};
use crate::telemetry::Exchange;
use crate::upstream::{EndpointId, Lease, Upload};
use crate::wire::strip_aliases;

/// A call as its route's upstream gets it.
pub(super) struct Outgoing<'a> {
    pub(super) route: &'a Route,
    path: PathAndQuery,
    /// The caller's own `Host`, where the route preserves it.
    host: Option<HeaderValue>,
    /// The fields of a request that came back unsent.
    unsent: Option<HeaderMap>,
    /// Whether the one free resend of a call that was never sent is used up.
    pub(super) was_resent: bool,
    /// The endpoint where it failed last.
    pub(super) avoid: Option<EndpointId>,
}

/// How a request is sent.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) lease: &'a Lease,
    pub(super) keep: Keep,
    pub(super) now: Instant,
}

impl<'a> Outgoing<'a> {
    /// Rewrites what is the same for every attempt.
    ///
    /// # Errors
    /// When the target cannot be written behind the upstream's base path.
    pub(super) fn new(
        call: &Call,
        route: &'a Route,
        way: &Way,
        arena: &Arena,
    ) -> Result<Self, Refusal> {
        let base = &route.plan.upstream.base_path;
        let path = target::rewrite(&call.target(), way, base, arena).map_err(|_| {
            Refusal::new(
                Failure::BadRequest,
                "the path makes no valid target behind the upstream's base path",
            )
        })?;
        let host = if route.plan.preserve_host {
            call.host()
        } else {
            None
        };
        Ok(Self {
            route,
            path,
            host,
            unsent: None,
            was_resent: false,
            avoid: None,
        })
    }

    /// The request of one attempt.
    ///
    /// # Errors
    /// When the call has been given away already, which is a defect of ours.
    pub(super) fn request(
        &mut self,
        call: &mut Call,
        context: &Context<'_>,
        exchange: &Exchange,
        sending: Sending<'_>,
    ) -> Result<Request<Upload>, Failure> {
        let Sending { lease, keep, now } = sending;
        let mut headers = match self.unsent.take() {
            Some(headers) => headers,
            None => {
                let mut headers = call.take_headers(keep).ok_or(Failure::Internal)?;
                if lease.is_http2() {
                    headers.remove(HOST);
                }
                if self.route.plan.classify.look_into_bodies() {
                    // Clients ask for gzip by default, and rules cannot look into an encoded body.
                    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
                }
                let plan = &context.current.snapshot.plan;
                let correlation = &plan.correlation.header;
                // Over HTTP/1 the strict reader refuses those of the names that it knows.
                let is_known = [X_CORRELATION_ID, X_REQUEST_ID].contains(correlation);
                if plan.http.strict && !(is_known && call.version != Version::HTTP_2) {
                    strip_aliases(&mut headers, correlation);
                }
                let facts = Facts {
                    peer: &context.connection.peer,
                    correlation_header: correlation,
                    correlation: exchange.correlation_id().header_value(),
                    upgrade: call.upgrade.as_ref().map(|(protocol, _)| protocol),
                    attempt: exchange.attempts(),
                };
                if let Some(patience) = &call.patience {
                    patience.tell(&mut headers, now);
                }
                headers::prepare_request(&mut headers, &facts, &self.route.request_headers);
                headers
            }
        };
        let plan = &self.route.plan;
        let correlation = &context.current.snapshot.plan.correlation.header;
        let upload = Upload::of(&call.upload, plan.idle_timeout, correlation);
        let mut request = Request::new(upload);
        *request.method_mut() = call.method.clone();
        let path = self.path.clone();
        if lease.is_http2() {
            let host = self
                .host
                .as_ref()
                .and_then(|host| Authority::try_from(host.as_bytes()).ok());
            let authority = host.unwrap_or_else(|| self.route.origin.1.clone());
            let target = target::absolute_form(path, self.route.origin.0.clone(), authority);
            *request.uri_mut() = target.map_err(|_| Failure::Internal)?;
            *request.version_mut() = Version::HTTP_2;
        } else {
            let host = self.host.as_ref().unwrap_or(&plan.upstream.authority);
            headers.insert(HOST, host.clone());
            if call.upload.is_open_ended() && [Method::GET, Method::HEAD].contains(&call.method) {
                // For these methods the library sends a body of unknown length only if told to.
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            *request.uri_mut() = target::origin_form(path);
        }
        let expects = headers::expects_go_ahead(call.version, &headers);
        *request.headers_mut() = headers;
        if expects {
            lease.hold_back(&mut request);
        }
        Ok(request)
    }

    /// Keeps the fields of a request that the connection gave back.
    pub(super) fn came_back(&mut self, request: Request<Upload>) {
        let mut headers = request.into_parts().0.headers;
        headers.remove(HOST);
        headers.remove(TRANSFER_ENCODING);
        self.unsent = Some(headers);
    }

    /// Whether another attempt could send the call from its first byte to its last.
    pub(super) fn can_go_again(&self, call: &Call) -> bool {
        call.is_whole() || self.unsent.is_some() && call.upload.is_intact()
    }
}

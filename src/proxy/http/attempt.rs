//! From a request to the upstream's response headers: a straight line.

use std::rc::Rc;
use std::time::Instant;

use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::classify::{Certainty, classify};
use super::connection::Connection;
use super::ending::verdict;
use super::headers::{self, Facts};
use super::reply::Refusal;
use super::target;
use crate::failure::Failure;
use crate::net::Phase;
use crate::proxy::worker::Current;
use crate::resilience::{Permit, RefusalKind, Sample, explain};
use crate::snapshot::{Call, Destination, Miss, Route, Way};
use crate::telemetry::Exchange;
use crate::telemetry::names::RetryResult;
use crate::time::{Deadline, now, timeout_at, wall_at};
use crate::upstream::{Fate, Lease, Purpose, SendError, Upload, UploadEnd, UploadProgress};

/// What an attempt is made with.
pub(super) struct Attempt<'a> {
    pub(super) connection: &'a Connection,
    pub(super) current: &'a Current,
    /// When the request was accepted.
    pub(super) start: Instant,
}

/// The upstream's answer, its body still to come.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    /// The place of the route.
    pub(super) route: usize,
    pub(super) lease: Lease,
    pub(super) upload: Rc<UploadProgress>,
    /// The right to the attempt, if its verdict waits for the body's end.
    pub(super) permit: Option<Permit>,
    pub(super) sample: Sample,
    /// Both sides leave HTTP.
    pub(super) switch: Option<Switch>,
}

/// A switch of protocols that the upstream has agreed to.
pub(super) struct Switch {
    pub(super) protocol: HeaderValue,
    pub(super) caller: OnUpgrade,
    pub(super) upstream: OnUpgrade,
}

/// A refusal, with the place of the route if one was found.
pub(super) type Refused = (Refusal, Option<usize>);

impl Refusal {
    /// Where no route is known.
    pub(super) fn anywhere(self) -> Refused {
        (self, None)
    }
}

/// Carries a request to its upstream.
///
/// # Errors
/// Why the caller gets an answer of ours instead.
pub(super) async fn attempt(
    context: &Attempt<'_>,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Result<Answer, Refused> {
    if context.connection.worker.shared().phases.now() == Phase::Closing {
        return Err(Refusal::new(
            Failure::Draining,
            "shutting down; call again, another instance answers",
        )
        .anywhere());
    }
    let way = context.route(&request).map_err(Refusal::anywhere)?;
    let route = &context.current.snapshot.routes[way.route];
    exchange.routed(&route.meters);
    let permit = admit(route, context.start).map_err(|refusal| (refusal, Some(way.route)))?;
    let mut deadline = Deadline::after(context.start, route.plan.timeout);
    if let Some(timeout) = route
        .plan
        .breaker
        .keys()
        .probe_timeout
        .filter(|_| permit.is_probe())
    {
        deadline = deadline.min(Deadline::after(context.start, timeout));
    }
    let mut call = Outgoing::new(context, exchange, route, &way, request)
        .map_err(|refusal| (refusal, Some(way.route)))?;
    match call.make(context, exchange, route, deadline).await {
        Ok((response, lease)) => Ok(call.answered(exchange, &way, permit, response, lease)),
        Err(failure) => {
            let latency = Some(now().saturating_duration_since(context.start));
            if failure.blame() == crate::failure::Blame::Upstream {
                exchange.attempt_failed(failure);
            }
            permit.finish(verdict(failure, latency), now());
            Err((
                Refusal::new(failure, describe(failure, route)),
                Some(way.route),
            ))
        }
    }
}

impl Attempt<'_> {
    fn route(&self, request: &Request<Incoming>) -> Result<Way, Refusal> {
        let (uri, headers) = (request.uri(), request.headers());
        if request.method() == Method::CONNECT {
            return Err(
                self.refuse_tunnel(uri.authority().map_or("", |authority| authority.as_str()))
            );
        }
        if request.method() == Method::TRACE {
            return Err(Refusal::new(
                Failure::MethodNotAllowed,
                "TRACE is not relayed: it shows what proxies add",
            ));
        }
        let authority = uri.authority().map(http::uri::Authority::as_str);
        let destination = match authority {
            Some(authority) if request.version() != Version::HTTP_2 => {
                Destination::Absolute(authority)
            }
            Some(authority) => Destination::Host(authority),
            None => Destination::Host(
                headers
                    .get(HOST)
                    .and_then(|host| host.to_str().ok())
                    .unwrap_or_default(),
            ),
        };
        let call = Call {
            destination,
            path: uri.path(),
            method: request.method(),
            headers,
        };
        let snapshot = &self.current.snapshot;
        snapshot.router.find(&call).map_err(|miss| match miss {
            Miss::NoRoute => Refusal::new(Failure::NoRoute, no_route(&snapshot.routes)),
            Miss::HostNotAllowed => {
                Refusal::new(Failure::HostNotAllowed, "no route has this host as its upstream or in `also_hosts`; nothing was dialled")
            }
            Miss::Ambiguous(routes) => {
                let names: Vec<&str> = routes.iter().map(|route| &*snapshot.routes[*route].name).collect();
                let names = names.join(", ");
                Refusal::new(Failure::NoRoute, format!("several routes have this host ({names}): call one by its path, or give one a `match`"))
            }
        })
    }

    fn refuse_tunnel(&self, authority: &str) -> Refusal {
        let (host, port) = crate::snapshot::router::split_authority(authority);
        let is_known = self.current.snapshot.routes.iter().any(|route| {
            let plan = &route.plan.upstream;
            port == Some(plan.port)
                && (plan.host == host || plan.also_hosts.iter().any(|other| other == host))
        });
        if is_known {
            let detail = "tunnels by CONNECT are not supported yet: call the route by its path or in absolute form";
            Refusal::new(Failure::MethodNotAllowed, detail)
        } else {
            Refusal::new(
                Failure::HostNotAllowed,
                "no route has this host as its upstream; nothing was dialled",
            )
        }
    }
}

fn no_route(routes: &[std::sync::Arc<Route>]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = routes
        .iter()
        .take(SHOWN)
        .map(|route| format!("/{}/…", route.name))
        .collect();
    if routes.len() > SHOWN {
        names.push(format!("and {} more", routes.len() - SHOWN));
    }
    format!(
        "no route matches; reach one by its path: {}",
        names.join(", ")
    )
}

fn admit(route: &Route, now: Instant) -> Result<Permit, Refusal> {
    route.breaker.admit(now).map_err(|refused| {
        let failure = match refused.kind {
            RefusalKind::CircuitOpen | RefusalKind::HalfOpenFull => Failure::CircuitOpen,
            RefusalKind::ForcedOpen => Failure::ForcedOpen,
        };
        let detail = explain(&route.breaker.view(now), |at| clock(at, now));
        Refusal {
            failure,
            detail,
            state: Some(refused.state.label()),
            retry_at: refused.retry_at,
        }
    })
}

/// The time of day in UTC, to the second.
fn clock(at: Instant, now: Instant) -> String {
    let stamp = humantime::format_rfc3339_seconds(wall_at(at, now)).to_string();
    stamp.get(11..19).unwrap_or_default().to_owned()
}

fn describe(failure: Failure, route: &Route) -> String {
    let plan = &route.plan;
    let to = &route.upstream_label;
    match failure {
        Failure::Dns => format!("cannot find the address of {to}"),
        Failure::Connect => format!("cannot connect to {to}"),
        Failure::ConnectTimeout => format!(
            "no connection to {to} within {:?}",
            plan.upstream.connect_timeout
        ),
        Failure::Tls => format!(
            "the TLS handshake with {to} failed: its certificate or protocol was not accepted"
        ),
        Failure::Reset => format!("{to} closed the connection before it answered"),
        Failure::Protocol => format!("{to} sent what is not HTTP"),
        Failure::Timeout => format!("no response headers from {to} within {:?}", plan.timeout),
        Failure::Overloaded => format!(
            "all {} connections to {to} stayed in use",
            plan.upstream.pool.max
        ),
        Failure::RequestTimeout => format!("the request body paused for {:?}", plan.idle_timeout),
        Failure::BadRequest => "the request body broke off".to_owned(),
        Failure::NoRoute
        | Failure::HostNotAllowed
        | Failure::MethodNotAllowed
        | Failure::UriTooLong
        | Failure::HeadersTooLarge
        | Failure::CircuitOpen
        | Failure::ForcedOpen
        | Failure::Draining
        | Failure::IdleTimeout
        | Failure::Truncated
        | Failure::ClientGone
        | Failure::Internal => failure.label().to_owned(),
    }
}

/// A request on its way up.
struct Outgoing {
    head: Head,
    /// The caller's own `Host`, where the route preserves it.
    host: Option<HeaderValue>,
    body: Option<Upload>,
    upload: Rc<UploadProgress>,
    /// The protocol the caller would switch to, and its side of the switch.
    upgrade: Option<(HeaderValue, OnUpgrade)>,
}

#[derive(Clone)]
struct Head {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
}

impl Outgoing {
    fn new(
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
        })
    }

    /// Makes the call, and once more if the first was surely never sent, or was lost with a kept-alive connection and is idempotent.
    async fn make(
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
        let begin = now();
        let pool = context.connection.worker.pool(route);
        let purpose = if self.upgrade.is_some() {
            Purpose::Switch
        } else {
            Purpose::Call
        };
        let checkout = pool.checkout(begin, deadline, purpose).await;
        let checked_out = now();
        exchange.waited(checked_out.saturating_duration_since(begin));
        if !matches!(checkout, Err(Failure::Overloaded)) {
            exchange.attempting(&route.upstream_label);
        }
        let checkout = checkout.map_err(|failure| (failure, Again::Unseen))?;
        if checkout.has_waited {
            route
                .meters
                .waited_for_connection(checked_out.saturating_duration_since(begin));
        }
        let mut lease = checkout.lease;
        let spare = self.spare(&lease);
        let request = self
            .request(&lease, route)
            .map_err(|failure| (failure, Again::Impossible))?;
        let sent = timeout_at(deadline, lease.send(request)).await;
        exchange.waited(now().saturating_duration_since(checked_out));
        match sent {
            // Nobody asked for it, so nobody could speak what follows (RFC 9110 §15.2.2).
            Ok(Ok(response))
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && self.upgrade.is_none() =>
            {
                Err((Failure::Protocol, Again::Impossible))
            }
            Ok(Ok(response)) => Ok((response, lease)),
            Ok(Err(error)) => Err(self.lost(error, spare)),
            Err(_) if self.upload.is_waiting() => Err((Failure::RequestTimeout, Again::Impossible)),
            Err(_) => Err((Failure::Timeout, Again::Impossible)),
        }
    }

    /// A copy of the head, where a kept-alive connection may be closed under a call that can be made again.
    fn spare(&self, lease: &Lease) -> Option<Head> {
        let is_empty = self.body.as_ref().is_some_and(Upload::is_empty);
        (is_empty && lease.is_reused() && is_idempotent(&self.head.method))
            .then(|| self.head.clone())
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
            (Fate::NeverSent | Fate::Unanswered, None, Some(head)) => {
                self.head = head;
                self.body = Some(Upload::empty());
                if fate == Fate::NeverSent {
                    Again::Unseen
                } else {
                    Again::Unanswered
                }
            }
            (Fate::NeverSent, None, None) | (Fate::Unanswered | Fate::Unknown, _, _) => {
                Again::Impossible
            }
        };
        (failure, again)
    }

    /// The verdict on an answer, as far as its headers allow one.
    fn answered(
        self,
        exchange: &mut Exchange,
        way: &Way,
        permit: Permit,
        mut response: Response<Incoming>,
        lease: Lease,
    ) -> Answer {
        let now = now();
        let latency = now.saturating_duration_since(exchange.begun());
        let (sample, certainty) = classify(&response, latency, permit.is_probe());
        let permit = match certainty {
            Certainty::AtEnd => Some(permit),
            Certainty::AtHeaders => {
                permit.finish(sample, now);
                None
            }
        };
        let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let switch = self
            .upgrade
            .filter(|_| is_switching)
            .map(|(protocol, caller)| {
                let upstream = hyper::upgrade::on(&mut response);
                Switch {
                    protocol,
                    caller,
                    upstream,
                }
            });
        Answer {
            response,
            route: way.route,
            lease,
            upload: self.upload,
            permit,
            sample,
            switch,
        }
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

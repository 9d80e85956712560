//! One exchange: the outer function, which never fails.
//!
//! 1. begin the record, with a correlation id
//! 2. read the call (`call`), find its route (`destination`)
//! 3. carry it there: breaker, attempt, response headers (`carry`); or find what the caller gets instead (`fallback`)
//! 4. relay the answer, or give our own
//! 5. the body carries everything to the one ending (`body`, `ending`)

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Version};
use hyper::body::Incoming;

use super::body::{Body, Pace, Theirs};
use super::bounds::refuse_too_large;
use super::call::Call;
use super::carry::{Answer, Context};
use super::connection::Connection;
use super::ending::Ending;
use super::fallback::{self, Reply, X_SIDEFUSE_FALLBACK};
use super::framing::{Ambiguous, fold_lengths, has_no_length, is_bodiless};
use super::gate::Refused;
use super::headers::{self, Facts};
use super::reply::{self, Circumstances, Form, Refusal};
use super::shield::{Panicked, shield};
use super::tunnel;
use super::upgrade::join;
use crate::config::plan::{Plan, RefusalForm};
use crate::failure::Failure;
use crate::net::Phase;
use crate::proxy::worker::{Current, Worker};
use crate::resilience::grpc;
use crate::telemetry::correlation::trace_id;
use crate::telemetry::{Acceptance, Begin, Correlation, End, Exchange};
use crate::time::{Deadline, now};
use crate::upstream::UploadEnd;

/// Relays one request.
///
/// The exchange begins here and not with the future's first poll, which may never come: the library drops the future unpolled
/// if the caller is seen to leave in the same read.
pub(super) fn relay(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> {
    let start = now();
    let busy = connection.begin();
    let current = connection.worker.current();
    let exchange = begin(&connection, &current.snapshot.plan, &request, start);
    let ending = Ending::of(exchange, busy);
    serve(connection, current, ending, request)
}

/// Serves the request up to the head of its answer.
async fn serve(
    connection: Rc<Connection>,
    current: Rc<Current>,
    mut ending: Box<Ending>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let version = request.version();
    let form = Form::asked_for(request.headers());
    let head_only = request.method() == Method::HEAD;
    let exchange = &mut ending.exchange;
    if let Some(target) = request.uri().authority()
        && let Some(field) = request.headers().get(HOST)
        && !target
            .as_str()
            .as_bytes()
            .eq_ignore_ascii_case(field.as_bytes())
    {
        exchange.target().differs(target.clone(), field.clone());
    }

    if request.method() == Method::CONNECT {
        return Ok(Box::pin(tunnel::serve(connection, current, ending, request)).await);
    }
    let context = Context {
        connection: &connection,
        current: &current,
    };
    let found = Cell::new(None);
    // Boxed: the library keeps room for this future in every idle connection, 2 KiB more without the box.
    let result = Box::pin(async {
        tokio::select! {
            biased;
            // Polled first: an upstream's answer goes before the end of the drain.
            result = shield(answer(&context, exchange, request, &found)) => Some(result),
            () = connection.worker.called_off() => None,
        }
    });
    let result = match result.await {
        Some(Ok(result)) => result,
        Some(Err(Panicked)) => Err(defect()),
        None => {
            // The verdict of an attempt so far says nothing about this ending.
            exchange.unsettled();
            Err((Refusal::draining(exchange), found.get()))
        }
    };
    let told = Told {
        connection: &connection,
        current: &current,
        version,
        form,
        head_only,
    };
    Ok(match result {
        Ok(Reply::Upstream(answer)) => relayed(&told, ending, answer),
        Ok(Reply::Whole(response)) => told.whole(ending, response),
        Err((refusal, route)) => told.refused(ending, &refusal, route),
    })
}

/// A refusal, with the place of the route if one was found.
pub(super) type NoAnswer = (Refusal, Option<usize>);

impl Refusal {
    /// Where no route is known.
    pub(super) fn anywhere(self) -> NoAnswer {
        (self, None)
    }
}

/// The answer to a call in which something panicked.
pub(super) fn defect() -> NoAnswer {
    let detail = "a defect in sidefuse; its log has the details";
    Refusal::new(Failure::Internal, detail).anywhere()
}

/// The answer to a request; `found` gets the place of its route as soon as that is known.
///
/// # Errors
/// Why the caller gets an answer of ours instead.
async fn answer(
    context: &Context<'_>,
    exchange: &mut Exchange,
    mut request: Request<Incoming>,
    found: &Cell<Option<usize>>,
) -> Result<Reply, NoAnswer> {
    fold_lengths(request.headers_mut()).map_err(|Ambiguous| {
        let detail = "the request has several lengths (`Content-Length`) that differ";
        Refusal::new(Failure::BadRequest, detail).anywhere()
    })?;
    let mut call = Call::read(request, exchange.begun(), exchange.request_bytes());
    let plan = &context.current.snapshot.plan.http;
    refuse_too_large(&call, plan).map_err(Refusal::anywhere)?;
    if plan.strict
        && let Some(flaw) = call.flaw()
    {
        exchange.flawed(flaw);
        return Err(Refusal::new(Failure::BadRequest, flaw.to_string()).anywhere());
    }
    let way = context.find_way(&call).map_err(|refusal| {
        if refusal.failure == Failure::HostNotAllowed
            && let Some(target) = call.uri.authority()
        {
            let field = call.headers().get(HOST).cloned();
            let absent = || HeaderValue::from_static("");
            exchange
                .target()
                .differs(target.clone(), field.unwrap_or_else(absent));
        }
        refusal.anywhere()
    })?;
    found.set(Some(way.route));
    let reply = fallback::answer(context, exchange, &mut call, &way).await;
    // It is not sent again, and the answer may take long.
    call.upload.forget();
    reply.map_err(|mut refusal| {
        if call.upload.end() == Some(UploadEnd::Malformed) {
            "the request body is not framed as RFC 9112 §7.1 says".clone_into(&mut refusal.detail);
            if let Some(flaw) = context.connection.state.flaw() {
                refusal.detail = flaw.to_string();
                exchange.flawed(flaw);
            }
        }
        (refusal, Some(way.route))
    })
}

/// Records a request that the HTTP library refused.
pub(super) fn record_refused(worker: &Worker, refused: Refused) {
    let now = now();
    let correlation = Correlation {
        id: refused.correlation,
        replaced: false,
    };
    let mut exchange = Exchange::begin(
        worker.telemetry(),
        Begin {
            now,
            correlation,
            method: None,
            path: None,
            user_id: None,
            trace_id: None,
        },
    );
    exchange.failed(refused.failure);
    if let Some(flaw) = refused.flaw {
        exchange.flawed(flaw);
    }
    exchange.answered(refused.failure.answer().0, now);
    exchange.sent(refused.bytes);
    exchange.finish(End::Complete, now);
}

/// What the answer to the caller depends on besides the upstream's.
pub(super) struct Told<'a> {
    pub(super) connection: &'a Connection,
    pub(super) current: &'a Current,
    pub(super) version: Version,
    /// The form of our own answers that the caller asks for.
    pub(super) form: Option<Form>,
    /// The caller asked for the head alone.
    pub(super) head_only: bool,
}

fn begin(
    connection: &Connection,
    plan: &Plan,
    request: &Request<Incoming>,
    now: Instant,
) -> Exchange {
    let accepted = Acceptance {
        headers: &plan.correlation.accept,
        max_length: plan.correlation.max_length,
    };
    let headers = request.headers();
    Exchange::begin(
        connection.worker.telemetry(),
        Begin {
            now,
            correlation: Correlation::of(headers, accepted, connection.worker.arena()),
            method: Some(request.method().clone()),
            path: request.uri().path_and_query().cloned(),
            user_id: plan
                .logs
                .user_id_header
                .as_ref()
                .and_then(|name| headers.get(name))
                .cloned(),
            trace_id: trace_id(headers),
        },
    )
}

/// The upstream's answer.
fn relayed(told: &Told<'_>, mut ending: Box<Ending>, answer: Answer) -> Response<Body> {
    let Answer {
        mut response,
        route,
        upstream,
        switch,
        collector,
    } = answer;
    let route = &told.current.snapshot.routes[route];
    let plan = &told.current.snapshot.plan;
    ending.relays(upstream);
    let Ending { exchange, busy, .. } = &mut *ending;
    exchange.answered(response.status(), now());
    if told.form == Some(Form::Grpc) {
        exchange.grpc_status(grpc::code(response.headers()));
    }
    *response.version_mut() = if told.version == Version::HTTP_2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    let facts = Facts {
        peer: &told.connection.peer,
        correlation_header: &plan.correlation.header,
        correlation: exchange.correlation_id().header_value(),
        upgrade: switch.as_ref().map(|switch| &switch.protocol),
        attempt: 0,
    };
    headers::prepare_response(response.headers_mut(), &facts, &route.response_headers);
    mark_fallback(response.headers_mut(), exchange);
    if has_no_length(response.status()) {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let most = route.plan.max_duration;
    let pace = Pace {
        idle_timeout: route.plan.idle_timeout,
        until: most.map(|most| Deadline::after(exchange.begun(), most)),
    };
    if let Some(switch) = switch {
        busy.tunnelling();
        let joined = join(*switch, pace, ending);
        tokio::task::spawn_local(joined);
        return response.map(|_| Body::nothing());
    }
    told.close_if_draining(&mut response);
    busy.answering(pace);
    let is_absent = told.head_only || is_bodiless(response.status());
    // Of a body that ends in chunks an HTTP/1 caller could not tell that it broke off.
    let is_grpc = told.version == Version::HTTP_2 && grpc::is_spoken(response.headers());
    response.map(|source| {
        let theirs = Theirs {
            source,
            is_absent,
            is_grpc,
        };
        Body::relayed(theirs, ending, pace, collector)
    })
}

/// Marks an answer that is not the one of the route's upstream with what it is.
fn mark_fallback(headers: &mut HeaderMap, exchange: &Exchange) {
    if let Some(kind) = exchange.fallback() {
        headers.insert(X_SIDEFUSE_FALLBACK, HeaderValue::from_static(kind.label()));
    }
}

impl Told<'_> {
    /// Our own answer.
    pub(super) fn refused(
        &self,
        mut ending: Box<Ending>,
        refusal: &Refusal,
        route: Option<usize>,
    ) -> Response<Body> {
        let now = now();
        let exchange = &mut ending.exchange;
        exchange.failed(refusal.failure);
        if let Some(state) = refusal.state {
            exchange.breaker_state(state);
        }
        let route = route.map(|route| &self.current.snapshot.routes[route]);
        let form = match route.map(|route| route.plan.refusals) {
            _ if let Some(form) = self.form => form,
            Some(RefusalForm::Graph) => Form::Graph,
            Some(RefusalForm::Problem) | None => Form::Problem,
        };
        let circumstances = Circumstances {
            route: route.map(|route| &*route.name),
            correlation: exchange.correlation_id().as_str(),
            form,
            now,
        };
        let response = reply::answer(refusal, &circumstances);
        if refusal.failure == Failure::ClientGone {
            // The caller is gone; the access line must say so even if the system takes the bytes.
            exchange.finish(End::ClientGone, now);
            return response.map(|_| Body::nothing());
        }
        self.whole(ending, response)
    }

    /// An answer whose body is whole: our own, or one that was kept or shared.
    fn whole(&self, mut ending: Box<Ending>, mut response: Response<Bytes>) -> Response<Body> {
        let plan = &self.current.snapshot.plan;
        let Ending { exchange, busy, .. } = &mut *ending;
        let id = exchange.correlation_id().header_value();
        headers::correlate(response.headers_mut(), &plan.correlation.header, id);
        mark_fallback(response.headers_mut(), exchange);
        exchange.answered(response.status(), now());
        if self.form == Some(Form::Grpc) {
            exchange.grpc_status(grpc::code(response.headers()));
        }
        self.close_if_draining(&mut response);
        busy.answering(Pace {
            idle_timeout: plan.http.keep_alive,
            until: None,
        });
        if self.head_only && !is_bodiless(response.status()) {
            let length = HeaderValue::from(response.body().len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
            return response.map(|_| Body::own(Bytes::new(), ending));
        }
        response.map(|text: Bytes| Body::own(text, ending))
    }

    /// While we drain, every answer over HTTP/1 is its connection's last; HTTP/2 has GOAWAY for that.
    fn close_if_draining<B>(&self, response: &mut Response<B>) {
        let is_serving = self.connection.worker.shared().phases.now() == Phase::Serving;
        if !is_serving && self.version != Version::HTTP_2 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            // The library would add `keep-alive` for a caller of HTTP/1.0 that asked for it.
            if self.version == Version::HTTP_10 {
                *response.version_mut() = Version::HTTP_10;
            }
        }
    }
}

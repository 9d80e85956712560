//! CONNECT: a tunnel to a route's upstream, in which the caller speaks what it likes, mostly TLS (RFC 9110 §9.3.6).
//!
//! A tunnel passes the same limits and the same breaker as a call, and its connection is among the upstream's. Of what goes on in it nothing
//! can be seen: `course` is what can be told of the upstream all the same, `passage` moves the bytes.

mod course;
mod passage;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use self::passage::Passage;
use super::attempt::{Attempt, Lost, Time};
use super::body::{Body, Pace};
use super::call::{Call, Keep};
use super::carry::{Context, admit};
use super::classify::{Certainty, Judged};
use super::connection::Connection;
use super::ending::{Ending, UpstreamEnding};
use super::headers;
use super::kept::Kept;
use super::losing::give_up;
use super::outgoing::Outgoing;
use super::relay::{NoAnswer, Told, defect};
use super::reply::{Form, Refusal};
use super::shield::shield;
use super::waiting::Held;
use crate::config::plan::RoutePlan;
use crate::failure::Failure;
use crate::net::BoxIo;
use crate::proxy::worker::Current;
use crate::resilience::{Label, Outcome, Verdict};
use crate::snapshot::Way;
use crate::telemetry::Exchange;
use crate::time::{Deadline, now};
use crate::upstream::Purpose;

/// A stream to an upstream that a tunnel may use.
struct Dug {
    stream: BoxIo,
    /// What ends with the tunnel.
    upstream: Box<UpstreamEnding>,
    /// The longest pause before the upstream's first byte.
    patience: Duration,
    pace: Pace,
}

/// Serves a CONNECT up to the head of its answer.
pub(super) async fn serve(
    connection: Rc<Connection>,
    current: Rc<Current>,
    mut ending: Box<Ending>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let version = request.version();
    let form = Form::asked_for(request.headers());
    let caller = hyper::upgrade::on(&mut request);
    let context = Context {
        connection: &connection,
        current: &current,
    };
    let found = Cell::new(None);
    let exchange = &mut ending.exchange;
    let dug = tokio::select! {
        biased;
        dug = shield(answer(&context, exchange, request, &found)) => Some(dug),
        () = connection.worker.called_off() => None,
    };
    let dug = match dug {
        Some(dug) => dug.unwrap_or_else(|_| Err(defect())),
        None => Err((Refusal::draining(exchange), found.get())),
    };
    match dug {
        Ok(dug) => {
            let response = established(&current, &mut ending, dug.upstream);
            if version != Version::HTTP_2 {
                ending.busy.tunnelling();
            }
            let passage = Passage {
                caller,
                stream: dug.stream,
                patience: dug.patience,
                pace: dug.pace,
                ending,
            };
            tokio::task::spawn_local(passage.run());
            response
        }
        Err((refusal, route)) => {
            let told = Told {
                connection: &connection,
                current: &current,
                version,
                form,
                head_only: false,
            };
            let mut response = told.refused(ending, &refusal, route);
            if version != Version::HTTP_2 {
                // What follows may be meant for the tunnel and must not be taken for a request (RFC 9931).
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                tokio::task::spawn_local(linger(caller, Rc::clone(&connection)));
            }
            response
        }
    }
}

/// Our answer that the tunnel is there, which has no body and does not say so (RFC 9110 §9.3.6).
fn established(
    current: &Current,
    ending: &mut Ending,
    upstream: Box<UpstreamEnding>,
) -> Response<Body> {
    ending.relays(upstream);
    let exchange = &mut ending.exchange;
    let mut response = Response::new(Body::nothing());
    let header = &current.snapshot.plan.correlation.header;
    let id = exchange.correlation_id().header_value();
    headers::correlate(response.headers_mut(), header, id);
    exchange.answered(response.status(), now());
    response
}

/// Closes the connection of a caller that got no tunnel, after reading for a moment what it sends on: for the library it is one that has
/// switched protocols, and would be reset under the answer.
async fn linger(caller: OnUpgrade, connection: Rc<Connection>) {
    if let Ok(caller) = caller.await {
        let _ = TokioIo::new(caller).shutdown().await;
    }
    drop(connection);
}

/// The stream that a CONNECT asks for; `found` gets the place of its route as soon as that is known.
async fn answer(
    context: &Context<'_>,
    exchange: &mut Exchange,
    request: Request<Incoming>,
    found: &Cell<Option<usize>>,
) -> Result<Dug, NoAnswer> {
    let mut call = Call::read(request, exchange.begun(), exchange.request_bytes());
    let way = context.find_tunnel(exchange, &call);
    let way = way.map_err(Refusal::anywhere)?;
    found.set(Some(way.route));
    let dug = dig(context, exchange, &mut call, &way).await;
    dug.map_err(|refusal| (refusal, Some(way.route)))
}

/// Opens the stream: limits, permit, one attempt.
async fn dig(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    way: &Way,
) -> Result<Dug, Refusal> {
    let (mut held, total) = Held::enter(context, exchange, call, way)?;
    let route = &*context.current.snapshot.routes[way.route];
    context.refuse_when_closing(exchange)?;
    let pass = held.pass(exchange, call.key, call.free).await?;
    context.refuse_when_closing(exchange)?;
    let begin = held.now(call.free);
    let permit = admit(route, call.key, begin)?;
    let arena = context.connection.worker.arena();
    let mut outgoing = Outgoing::new(call, route, way, arena)?;
    let is_probe = permit.is_probe();
    let time = Time {
        total,
        allowance: total.of_attempt(&route.plan, is_probe, begin),
        begin,
        is_probe,
        queued: Duration::ZERO,
    };
    let mut attempt = Attempt {
        context,
        exchange,
        call,
        outgoing: &mut outgoing,
        time,
        purpose: Purpose::Tunnel,
        keep: Keep::Nothing,
        left: None,
    };
    let (mut lease, at) = match attempt.connect(begin).await {
        Ok(connected) => connected,
        Err(failed) => {
            let lost = Lost {
                named: failed.named,
                is_unsent: true,
                at: failed.at,
                refusal: failed.refusal,
            };
            return Err(give_up(&mut attempt, (permit, pass), lost));
        }
    };
    let latency = attempt.latency(at);
    // A pause is for calls, and whether one would be taken now a tunnel does not show.
    let throttle = &route.limits.throttle;
    throttle.settle(pass, Outcome::Ignored, None, at);
    let Some(stream) = lease.take_stream() else {
        let failure = Failure::Internal;
        return Err(Refusal::new(failure, "there is no stream for the tunnel"));
    };
    let upstream = UpstreamEnding {
        lease: Some(lease),
        upload: Rc::clone(&call.upload),
        permit: Some(permit),
        judged: Judged {
            verdict: Verdict::plain(Outcome::Ignored, Label::Named("tunnel")),
            certainty: Certainty::AtHeaders,
            latency,
            rules: route.plan.classify.clone(),
            is_hurried: false,
        },
        kept: Kept::of_tunnel(held.into_ticket()),
    };
    let most = route.plan.max_duration;
    Ok(Dug {
        stream,
        upstream: Box::new(upstream),
        patience: patience(&route.plan, is_probe),
        pace: Pace {
            idle_timeout: route.plan.idle_timeout,
            until: most.map(|most| Deadline::after(exchange.begun(), most)),
        },
    })
}

/// How long an upstream may be silent before its first byte: as long as a call may wait for response headers.
fn patience(plan: &RoutePlan, is_probe: bool) -> Duration {
    let probe_timeout = plan.breaker.keys().probe_timeout;
    [plan.attempt_timeout, probe_timeout.filter(|_| is_probe)]
        .into_iter()
        .flatten()
        .fold(plan.timeout.min(plan.idle_timeout), Duration::min)
}

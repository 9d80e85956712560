//! From a request whose route is known to the upstream's response headers: a straight line.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use super::attempt::{Answered, Attempt, Lost, Time};
use super::call::Call;
use super::classify::{Certainty, Judged, classify, look_into, sample};
use super::clock::clock;
use super::connection::Connection;
use super::ending::UpstreamEnding;
use super::kept::Kept;
use super::losing::{Pending, give_up};
use super::outgoing::Outgoing;
use super::peek::{Patience, Source};
use super::reply::Refusal;
use super::retrying::{Next, Retrying};
use super::waiting::Held;
use crate::config::plan::HttpVersion;
use crate::failure::Failure;
use crate::net::Phase;
use crate::proxy::worker::Current;
use crate::resilience::{Key, Outcome, Pass, Permit, RefusalKind, Rejection, explain, grpc};
use crate::snapshot::{Route, Way};
use crate::stale::Collector;
use crate::telemetry::{Exchange, HeldBy};
use crate::time::{Moment, now, sleep_until, wall};

/// The surroundings of an exchange.
pub(super) struct Context<'a> {
    pub(super) connection: &'a Connection,
    pub(super) current: &'a Current,
}

impl Context<'_> {
    /// Refuses once the time to drain is over: no upstream is called any more.
    pub(super) fn refuse_when_closing(&self, exchange: &Exchange) -> Result<(), Refusal> {
        if self.connection.worker.shared().phases.now() == Phase::Closing {
            return Err(Refusal::draining(exchange));
        }
        Ok(())
    }

    /// Waits for a future. For a call that `has_been_out` before, and so has an earlier result, the wait ends with the time to
    /// drain and gives `None` then; any other call is dropped from outside at that time.
    pub(super) async fn unless_called_off<T>(
        &self,
        has_been_out: bool,
        wait: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        if !has_been_out {
            return Some(wait.await);
        }
        tokio::select! {
            biased;
            brought = wait => Some(brought),
            () = self.connection.worker.called_off() => None,
        }
    }
}

/// The upstream's answer, its body still to come.
pub(super) struct Answer {
    pub(super) response: Response<Source>,
    /// The place of the route.
    pub(super) route: usize,
    /// What ends with its body.
    pub(super) upstream: Box<UpstreamEnding>,
    /// Set if both sides switch to another protocol.
    pub(super) switch: Option<Box<Switch>>,
    /// Keeps a copy of the answer, if that may be kept.
    pub(super) collector: Option<Box<Collector>>,
}

/// A switch of protocols that the upstream has agreed to.
pub(super) struct Switch {
    pub(super) protocol: HeaderValue,
    pub(super) caller: OnUpgrade,
    pub(super) upstream: OnUpgrade,
}

/// The result of an attempt, with what a retry policy needs to know of it.
pub(super) struct Ended {
    pub(super) result: Result<Answer, Refusal>,
    /// When that was known.
    pub(super) at: Instant,
    /// The upstream cannot have seen the call.
    pub(super) is_unsent: bool,
    /// It was called off before it was sent: a breaker opened, or the time to drain was over.
    pub(super) was_called_off: bool,
    /// The call could be sent again from its first byte to its last.
    pub(super) is_whole: bool,
}

/// Carries a call to the upstream of its route: permit, attempt, verdict, and again for as long as the route's retry policy says so.
///
/// # Errors
/// Why the caller gets an answer of ours instead.
pub(super) async fn carry(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    way: &Way,
) -> Result<Answer, Refusal> {
    let (mut held, total) = Held::enter(context, exchange, call, way)?;
    let route = &*context.current.snapshot.routes[way.route];
    // HTTP/2 has no such switch, and a server may ignore the wish for one (RFC 9110 §7.8).
    call.let_switch(route.plan.upstream.http != HttpVersion::Http2);
    let mut begin = call.free;
    let mut retrying = Retrying::new(route, call);
    let mut outgoing = None;
    loop {
        let passed = match context.refuse_when_closing(exchange) {
            Ok(()) => {
                let has_been_out = exchange.attempts() > 0;
                let passed = {
                    let passing = pin!(held.pass(exchange, call.key, begin));
                    context.unless_called_off(has_been_out, passing).await
                };
                passed.unwrap_or_else(|| {
                    exchange.let_go(self::now());
                    Err(Refusal::draining(exchange))
                })
            }
            Err(refusal) => Err(refusal),
        };
        let admitted = passed.and_then(|pass| {
            context.refuse_when_closing(exchange)?;
            begin = held.now(begin);
            admit(route, call.key, begin).map(|permit| (permit, pass))
        });
        let (permit, pass) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                if let Some(state) = refusal.state {
                    exchange.breaker_state(state);
                }
                let result = retrying.refused(refusal).await;
                return result.map(|answer| held.hand_over(answer));
            }
        };
        let outgoing = match &mut outgoing {
            Some(outgoing) => outgoing,
            // Not before a call is admitted: to refuse must be cheap.
            none => none.insert(Outgoing::new(
                call,
                route,
                way,
                context.connection.worker.arena(),
            )?),
        };
        retrying.begin();
        exchange.unsettled();
        let is_probe = permit.is_probe();
        let time = Time {
            total,
            allowance: total.of_attempt(&route.plan, is_probe, begin),
            begin,
            is_probe,
            queued: Duration::ZERO,
        };
        let purpose = call.purpose();
        let mut attempt = Attempt {
            context,
            exchange,
            call,
            outgoing,
            time,
            purpose,
            keep: retrying.keep(),
            left: None,
        };
        let ended = conclude(&mut attempt, (permit, pass), way.route).await;
        let now = ended.at;
        match retrying.judge(ended, total.until, now).await {
            Next::Done(result) => return result.map(|answer| held.hand_over(answer)),
            Next::Again(at) => {
                held.backs_off();
                exchange.holding(HeldBy::Backoff, now);
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = context.connection.worker.called_off() => {}
                }
                begin = self::now();
                exchange.let_go(begin);
            }
        }
    }
}

/// Makes an attempt and tells the breaker what it proved.
async fn conclude(
    attempt: &mut Attempt<'_, '_>,
    (mut permit, pass): (Permit, Pass),
    place: usize,
) -> Ended {
    let made = Pending::of(attempt, &mut permit).made().await;
    let made_at = made
        .as_ref()
        .map_or_else(|lost| lost.at, |answered| answered.at);
    let latency = attempt.latency(made_at);
    let Attempt {
        exchange,
        call,
        outgoing,
        time: Time {
            allowance, begin, ..
        },
        ..
    } = attempt;
    let route = outgoing.route;
    let rules = &route.plan.classify;
    match made {
        Ok(Answered {
            response,
            mut lease,
            ..
        }) => {
            let patience = Patience {
                until: allowance.until,
                idle_timeout: route.plan.idle_timeout,
            };
            let (response, at) =
                look_into((response, made_at), (rules, permit.is_probe()), patience).await;
            exchange.waited(at.saturating_duration_since(made_at));
            let is_hurried = allowance.is_hurried(*begin);
            let (mut verdict, certainty) = classify(&response, rules, permit.is_probe());
            if is_hurried {
                verdict = grpc::excused(verdict);
            }
            if verdict.outcome == Outcome::Failure {
                outgoing.avoid = Some(lease.endpoint().id());
            }
            let kept = Kept::of(route, (pass, at), (verdict, certainty), response.headers());
            let judged = Judged {
                verdict,
                certainty,
                latency,
                rules: rules.clone(),
                is_hurried,
            };
            let permit = match certainty {
                Certainty::AtEnd | Certainty::InTrailers => Some(permit),
                Certainty::AtHeaders => {
                    let sample = sample(verdict, latency);
                    lease.record(sample, at);
                    permit.finish_as(sample, at, || exchange.identity());
                    None
                }
            };
            let upstream = Box::new(UpstreamEnding {
                lease: Some(lease),
                upload: Rc::clone(&call.upload),
                permit,
                judged,
                kept,
            });
            Ended {
                at,
                is_unsent: false,
                was_called_off: false,
                is_whole: outgoing.can_go_again(call),
                result: Ok(answer(call, place, response, upstream)),
            }
        }
        Err(lost) => {
            let Lost { is_unsent, at, .. } = lost;
            let was_called_off = lost.refusal.is_some();
            let is_whole = outgoing.can_go_again(call);
            Ended {
                at,
                is_unsent,
                was_called_off,
                is_whole,
                result: Err(give_up(attempt, (permit, pass), lost)),
            }
        }
    }
}

pub(super) fn admit(route: &Route, key: Option<Key>, now: Instant) -> Result<Permit, Refusal> {
    let admitted = route.admit(key, now);
    admitted.map_err(|rejection| refusal(route, rejection, key, now))
}

/// The refusal of a breaker as the caller gets it.
pub(super) fn refusal(
    route: &Route,
    rejection: Rejection,
    key: Option<Key>,
    now: Instant,
) -> Refusal {
    let Rejection {
        refusal: refused,
        by_key,
    } = rejection;
    let failure = match refused.kind {
        RefusalKind::CircuitOpen | RefusalKind::HalfOpenFull => Failure::CircuitOpen,
        RefusalKind::ForcedOpen => Failure::ForcedOpen,
        RefusalKind::Ramping => Failure::Ramping,
    };
    let breaker = by_key.as_ref().unwrap_or(&route.breaker);
    let moment = Moment { now, wall: wall() };
    let sentence = explain(&breaker.view(now), |at| clock(moment.at(at), moment.wall));
    let detail = match key.filter(|_| by_key.is_some()) {
        Some(key) => format!("the breaker of this call's key ({key}) alone: {sentence}"),
        None => sentence,
    };
    Refusal {
        failure,
        detail,
        state: Some(refused.state.label()),
        retry_at: refused.retry_at,
    }
}

/// The upstream's answer with all that ends with it.
fn answer(
    call: &mut Call,
    route: usize,
    mut response: Response<Source>,
    upstream: Box<UpstreamEnding>,
) -> Answer {
    let is_switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let upgrade = if is_switching {
        call.upgrade.take()
    } else {
        None
    };
    let switch = upgrade.map(|(asked, caller)| {
        Box::new(Switch {
            // Of several protocols that the caller offered, the upstream has chosen.
            protocol: response.headers().get(UPGRADE).cloned().unwrap_or(asked),
            caller,
            upstream: hyper::upgrade::on(&mut response),
        })
    });
    Answer {
        response,
        route,
        upstream,
        switch,
        collector: None,
    }
}

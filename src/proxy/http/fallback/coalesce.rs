//! `coalesce`: calls that are the same and made at the same time share one call to the upstream.
//!
//! Only an answer that may be kept is shared. Its body is read whole before any caller gets it, so that a slow reader does not
//! keep the others waiting. Any other answer goes to its own caller alone, and the others learn that as soon as its headers are
//! there.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body as _;

use super::Reply;
use super::stale::{answer_of, carry_and_keep, collect, prepare};
use crate::failure::{Blame, Failure};
use crate::proxy::http::allowance::Allowance;
use crate::proxy::http::call::Call;
use crate::proxy::http::carry::{Answer, Context, carry};
use crate::proxy::http::detail::detail;
use crate::proxy::http::ending::BodyEnd;
use crate::proxy::http::peek::Source;
use crate::proxy::http::reply::Refusal;
use crate::resilience::Outcome;
use crate::snapshot::{Route, Way};
use crate::stale::{Asked, Collector, Kept, Landed, Lead, Place};
use crate::telemetry::{Exchange, HeldBy};
use crate::time::{Deadline, now, timeout_at};

/// Carries the call, or waits for the same one that is under way.
///
/// # Errors
/// Why there is no answer. Followers fail as their leader did: if all tried again, the upstream would get all the calls at once
/// that it was spared. There are two exceptions, in which one follower makes the call again. If only the leader's time was
/// over, followers with enough time left go on. If the upstream answered with a failure, followers go on as well, but each
/// waits only as long as leaves the upstream a fair time for a call of the follower's own.
pub(super) async fn carry_for_many(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    (way, asked): (&Way, &Asked),
) -> Result<Reply, Refusal> {
    let route = &*context.current.snapshot.routes[way.route];
    let Some(store) = &route.stale else {
        return carry(context, exchange, call, way)
            .await
            .map(Reply::Upstream);
    };
    let allowance = Allowance::of_call(call, &route.plan);
    let deadline = allowance.until;
    let mut patience = deadline;
    let refused = |failure, exchange: &Exchange| {
        let detail = detail(failure, route, allowance, exchange);
        Err(Refusal::new(failure, detail))
    };
    loop {
        let follow = match store.join(asked) {
            Place::Lead(lead) => {
                return lead_on(context, exchange, call, (way, asked, lead)).await;
            }
            Place::Follow(follow) => follow,
        };
        exchange.routed(&route.meters, way.strip);
        let begin = now();
        let landed = timeout_at(patience, follow.landed()).await;
        let end = now();
        let wait = end.saturating_duration_since(begin);
        let gone = end.saturating_duration_since(call.begin);
        let landed = match landed {
            Ok(Landed::Late) if allowance.is_scant(gone, end) => {
                Ok(Landed::Failed(Failure::Timeout))
            }
            Ok(Landed::Late) => Ok(Landed::Again),
            Err(_) if !deadline.has_passed(end) => Ok(Landed::Alone),
            landed => landed,
        };
        match landed {
            Ok(Landed::Answer(_) | Landed::Failed(_)) | Err(_) => exchange.waited(wait),
            // The wait was in vain, and its time is shorter by it.
            Ok(Landed::Alone | Landed::Again | Landed::Late | Landed::Unfit) => {
                exchange.held_back(HeldBy::Coalesce, wait);
                call.free = end;
            }
        }
        match landed {
            Ok(Landed::Answer(kept)) if kept.answers(asked) => {
                exchange.coalesced();
                exchange.settled(Outcome::Success);
                return Ok(Reply::Whole(answer_of(&kept, context, exchange, route)));
            }
            Ok(Landed::Answer(_) | Landed::Alone) => {
                return carry_and_keep(context, exchange, call, (way, asked)).await;
            }
            Ok(Landed::Failed(failure)) => {
                exchange.coalesced();
                return refused(failure, exchange);
            }
            Ok(Landed::Unfit) if !deadline.has_passed(end) => {
                patience = allowance.fair_until(end);
            }
            Ok(Landed::Again | Landed::Late) if !deadline.has_passed(end) => {}
            Ok(Landed::Again | Landed::Late | Landed::Unfit) | Err(_) => {
                exchange.coalesced();
                let chance = allowance.chance(Duration::ZERO);
                let named = allowance.judge(Failure::Timeout, (wait, end), chance);
                return refused(named.told, exchange);
            }
        }
    }
}

/// Makes the call for all that wait.
async fn lead_on(
    context: &Context<'_>,
    exchange: &mut Exchange,
    call: &mut Call,
    (way, asked, lead): (&Way, &Asked, Lead),
) -> Result<Reply, Refusal> {
    let route = &*context.current.snapshot.routes[way.route];
    let mut answer = match carry(context, exchange, call, way).await {
        Ok(answer) => answer,
        Err(refusal) => {
            let is_over = Allowance::of_call(call, &route.plan)
                .until
                .has_passed(now());
            match refusal.failure.blame() {
                // The limit of one attempt is the same for all, but not what was left of the leader's time.
                Blame::Upstream if refusal.failure == Failure::Timeout && is_over => {
                    lead.landed(Landed::Late);
                }
                Blame::Upstream => lead.landed(Landed::Failed(refusal.failure)),
                // Whether a follower is refused is decided for each.
                Blame::Ours => lead.landed(Landed::Alone),
                // A fault of the leader's caller is none of the next one's.
                Blame::Caller => lead.landed(Landed::Again),
            }
            return Err(refusal);
        }
    };
    let Some(collector) = collect(route, asked, &answer, now()) else {
        match answer.upstream.judged.verdict.outcome {
            // They try one by one; the breaker may stop that before long.
            Outcome::Failure | Outcome::Throttled => lead.landed(Landed::Unfit),
            Outcome::Success | Outcome::Alive | Outcome::Ignored => lead.landed(Landed::Alone),
        }
        return Ok(Reply::Upstream(answer));
    };
    // A body of unknown length may prove too long half-way, and the followers would have waited in vain.
    if !lead.has_followers() || answer.response.body().size_hint().exact().is_none() {
        lead.landed(Landed::Alone);
        answer.collector = Some(Box::new(collector));
        return Ok(Reply::Upstream(answer));
    }
    let most = route.plan.max_duration;
    let most = most.map(|most| Deadline::after(exchange.begun(), most));
    let result = whole(&mut answer, collector, (route, most)).await;
    let Answer {
        response, upstream, ..
    } = answer;
    match result {
        Ok(kept) => {
            upstream.finish(exchange, BodyEnd::Whole, now());
            let mut whole = Response::new(kept.body.clone());
            *whole.status_mut() = response.status();
            *whole.headers_mut() = response.into_parts().0.headers;
            prepare(whole.headers_mut(), context, exchange, route);
            lead.landed(Landed::Answer(kept));
            Ok(Reply::Whole(whole))
        }
        Err(failure) => {
            upstream.finish(exchange, BodyEnd::Broken(failure), now());
            lead.landed(Landed::Failed(failure));
            let allowance = Allowance::of_call(call, &route.plan);
            let detail = detail(failure, route, allowance, exchange);
            Err(Refusal::new(failure, detail))
        }
    }
}

/// Reads the body to its end.
async fn whole(
    answer: &mut Answer,
    mut collector: Collector,
    (route, most): (&Route, Option<Deadline>),
) -> Result<std::sync::Arc<Kept>, Failure> {
    let body = answer.response.body_mut();
    while !body.is_end_stream() {
        let idle = Deadline::after(now(), route.plan.idle_timeout);
        let until = most.map_or(idle, |most| idle.min(most));
        match timeout_at(until, next(body)).await {
            Err(_) if until < idle => return Err(Failure::MaxDuration),
            Err(_) => return Err(Failure::IdleTimeout),
            Ok(Some(Err(failure))) => return Err(failure),
            Ok(Some(Ok(data))) if collector.push(&data) => {}
            // Cannot be: its length was known, and there was room for it.
            Ok(Some(Ok(_))) => return Err(Failure::Internal),
            Ok(None) => break,
        }
    }
    Ok(collector.finish(now()))
}

/// The next data of a body; trailers count as none.
async fn next(body: &mut Source) -> Option<Result<Bytes, Failure>> {
    let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(match frame {
        Ok(frame) => Ok(frame.into_data().unwrap_or_default()),
        Err(error) if error.is_misframed() => Err(Failure::Protocol),
        Err(_) => Err(Failure::Truncated),
    })
}

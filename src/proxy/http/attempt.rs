//! One attempt at an upstream: a connection, the call, the response headers.

use std::pin::pin;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};

use super::allowance::{Allowance, Named};
use super::call::{Call, Keep};
use super::carry::Context;
use super::classify::{of_failure, sample};
use super::framing::{is_ambiguous, is_status};
use super::headers::is_asked_for;
use super::losing::Out;
use super::outgoing::{Outgoing, Sending};
use super::reply::Refusal;
use super::retrying::Further;
use crate::failure::{Blame, Failure};
use crate::resilience::Chance;
use crate::telemetry::Exchange;
use crate::telemetry::names::RetryResult;
use crate::time::{now, timeout_at};
use crate::upstream::{Download, Fate, Lease, Purpose, SendError, UploadEnd};

/// What is needed to make an attempt.
pub(super) struct Attempt<'a, 'c> {
    pub(super) context: &'a Context<'c>,
    pub(super) exchange: &'a mut Exchange,
    pub(super) call: &'a mut Call,
    pub(super) outgoing: &'a mut Outgoing<'c>,
    pub(super) time: Time,
    /// What the connection is for.
    pub(super) purpose: Purpose,
    /// Another attempt may follow.
    pub(super) keep: Keep,
    /// What counts if the caller has left at the end of its deadline.
    pub(super) left: Option<Failure>,
}

/// The time of an attempt.
#[derive(Clone, Copy)]
pub(super) struct Time {
    /// The whole call's allowance.
    pub(super) total: Allowance,
    /// The attempt's part of it.
    pub(super) allowance: Allowance,
    /// When it began.
    pub(super) begin: Instant,
    /// Whether the attempt is a probe of a half-open breaker.
    pub(super) is_probe: bool,
    /// Time spent in the queue for a connection: ours, not the upstream's.
    pub(super) queued: Duration,
}

/// Response headers and the connection that they came over.
pub(super) struct Answered {
    pub(super) response: Response<Download>,
    pub(super) lease: Lease,
    /// When they came.
    pub(super) at: Instant,
}

/// An attempt that brought no response headers.
pub(super) struct Lost {
    pub(super) named: Named,
    /// The upstream cannot have seen the call.
    pub(super) is_unsent: bool,
    /// When it was lost.
    pub(super) at: Instant,
    /// The refusal of a breaker that opened while the call waited for its connection.
    pub(super) refusal: Option<Box<Refusal>>,
}

/// A try that brought no response headers.
pub(super) struct Failed {
    pub(super) named: Named,
    pub(super) again: Again,
    pub(super) at: Instant,
    pub(super) refusal: Option<Box<Refusal>>,
}

impl Attempt<'_, '_> {
    /// Makes the attempt; makes it once more at once if the call was certainly never sent, or was lost with a kept-alive
    /// connection and is idempotent.
    ///
    /// # Errors
    /// Why there are no response headers.
    pub(super) async fn make(&mut self) -> Result<Answered, Lost> {
        let meters = &*self.outgoing.route.meters;
        let (mut begin, mut second) = (self.time.begin, None);
        // The failure of the first try, if the upstream may have seen it.
        let mut seen = None;
        // One call site for both tries, so that the future has room for one of them only.
        loop {
            let tried = self.try_once(begin).await;
            match tried {
                Err(Failed {
                    named, again, at, ..
                }) if second.is_none() && self.may_resend(named.charged, again, at) => {
                    if again == Again::Unseen {
                        self.exchange.never_attempted();
                    } else {
                        seen = Some(named);
                    }
                    if let Some(budget) = &self.outgoing.route.retry_budget {
                        // Counted against the budget but not refused by it: it would be made without a retry policy, too.
                        let _ = budget.withdraw(at);
                    }
                    self.outgoing.was_resent = true;
                    second = Some(Further::begin(meters));
                    begin = at;
                }
                last => {
                    if let Some(second) = second {
                        second.ended(match &last {
                            Ok(_) => RetryResult::Answered,
                            Err(failed) if failed.refusal.is_some() => RetryResult::Refused,
                            Err(_) => RetryResult::Failed,
                        });
                    }
                    return last.map_err(|failed| match seen {
                        // If a breaker forbids the second try, the result is that of the first.
                        Some(named) if failed.refusal.is_some() => Lost {
                            named,
                            is_unsent: false,
                            at: failed.at,
                            refusal: None,
                        },
                        Some(_) | None => Lost {
                            named: failed.named,
                            is_unsent: failed.again == Again::Unseen,
                            at: failed.at,
                            refusal: failed.refusal,
                        },
                    });
                }
            }
        }
    }

    /// Whether a second try at once is allowed: one per call. A failure to connect is left to the route's retry policy if it
    /// has one, since that can wait first.
    fn may_resend(&self, failure: Failure, again: Again, now: Instant) -> bool {
        let has_policy = self.outgoing.route.plan.retry.is_some();
        again != Again::Impossible
            && failure.is_retryable()
            && !self.outgoing.was_resent
            && !(has_policy && failure == Failure::Connect)
            && !self.time.allowance.until.has_passed(now)
    }

    /// How long the upstream took, at `now`.
    pub(super) fn latency(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.time.begin)
            .saturating_sub(self.time.queued)
    }

    /// How much time the upstream must have had before its silence counts.
    pub(super) fn chance(&self) -> Chance {
        self.time.allowance.chance(self.held())
    }

    /// How long the call has waited in sidefuse on this route.
    pub(super) fn held(&self) -> Duration {
        let (held, _) = self.exchange.held();
        held.saturating_sub(self.call.held_before)
    }

    async fn try_once(&mut self, begin: Instant) -> Result<Answered, Failed> {
        let (mut lease, begin) = self.connect(begin).await?;
        if self.purpose == Purpose::Switch && lease.is_http2() {
            self.call.let_switch(false);
        }
        let (until, chance) = (self.time.allowance.until, self.chance());
        let sending = Sending {
            lease: &lease,
            keep: self.keep(&lease),
            now: begin,
        };
        let Self {
            context,
            exchange,
            call,
            outgoing,
            ..
        } = self;
        let request = outgoing
            .request(call, context, exchange, sending)
            .map_err(|failure| Failed {
                named: failure.into(),
                again: Again::Impossible,
                at: begin,
                refusal: None,
            })?;
        let sent = {
            let out = Out::of(&mut *self, &mut lease, begin);
            let sent = {
                let sending = pin!(out.lease.send(request));
                timeout_at(until, sending).await
            };
            out.ends();
            sent
        };
        let end = now();
        let took = end.saturating_duration_since(begin);
        let Self {
            exchange,
            call,
            outgoing,
            ..
        } = self;
        exchange.waited(took);
        let failed = match sent {
            // The caller could not speak a protocol that it did not ask for (RFC 9110 §15.2.2).
            Ok(Ok(response))
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && !is_asked_for(
                        response.headers(),
                        call.upgrade.as_ref().map(|(asked, _)| asked),
                    ) =>
            {
                (Failure::Protocol, Again::Impossible)
            }
            Ok(Ok(response))
                if !is_status(response.status())
                    || is_ambiguous(response.version(), response.headers()) =>
            {
                (Failure::Protocol, Again::Impossible)
            }
            Ok(Ok(response)) => {
                lease.took(took);
                call.upload.answered();
                outgoing.route.doubt.ends();
                return Ok(Answered {
                    response,
                    lease,
                    at: end,
                });
            }
            Ok(Err(error)) => self.lost(error),
            Err(_) if call.upload.is_waiting() => (Failure::RequestTimeout, Again::Impossible),
            Err(_) => {
                lease.timed_out();
                (Failure::Timeout, Again::Impossible)
            }
        };
        let (failure, again) = failed;
        let named = self.name(failure, (begin, end));
        if named.charged.blame() == Blame::Upstream {
            // A time that the caller or a queue cut short says nothing about the endpoint's latency.
            lease.took(took);
        }
        if !self.may_resend(named.charged, again, end) {
            // What is made again at once was lost to the end of a kept-alive connection, which an endpoint may close at any
            // time.
            self.record(&mut lease, named.charged, (took, end));
            self.outgoing.avoid = Some(lease.endpoint().id());
        }
        if !chance.was_given(took) {
            self.doubt(named);
        }
        Err(Failed {
            named,
            again,
            at: end,
            refusal: None,
        })
    }

    /// What a failure is called of a call that was sent at `begin` and lost at `end`.
    pub(super) fn name(&self, failure: Failure, (begin, end): (Instant, Instant)) -> Named {
        let moved = self.call.upload.moved();
        // It cannot answer what it does not have: its time begins with the last byte that it took.
        let uploading = moved.map_or(Duration::ZERO, |moved| {
            moved.saturating_duration_since(begin)
        });
        let had = end
            .saturating_duration_since(begin)
            .saturating_sub(uploading);
        let chance = self.chance().after(uploading);
        self.time.allowance.judge(failure, (had, end), chance)
    }

    /// Tells the endpoint what a call proved that was lost after it `took` so long.
    pub(super) fn record(
        &self,
        lease: &mut Lease,
        charged: Failure,
        (took, at): (Duration, Instant),
    ) {
        let verdict = of_failure(charged, &self.outgoing.route.plan.classify);
        lease.record(sample(verdict, took), at);
    }

    /// Notes a call that was cut short, so that the next one with as little time is not sent.
    pub(super) fn doubt(&self, named: Named) {
        if named.charged == Failure::CutShort {
            self.outgoing.route.doubt.arises();
        }
    }

    /// Whether the fields are copied because the call may have to be made again without a policy: a kept-alive connection may
    /// close under it, and one of HTTP/2 may give it back unprocessed. For HTTP/2 a short body is kept, too.
    fn keep(&self, lease: &Lease) -> Keep {
        let upload = &self.call.upload;
        let may_come_back = if lease.is_http2() {
            !self.outgoing.was_resent && upload.keep()
        } else {
            upload.is_empty() && lease.is_reused()
        };
        if may_come_back { Keep::Copy } else { self.keep }
    }

    /// The failure of a call that got no response headers, and whether it can be made again.
    fn lost(&mut self, error: SendError) -> (Failure, Again) {
        match self.call.upload.end() {
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
        if let Some(request) = request {
            self.outgoing.came_back(*request);
        }
        let is_whole = self.outgoing.can_go_again(self.call);
        let again = match fate {
            Fate::NeverSent if is_whole => Again::Unseen,
            Fate::Unanswered if is_whole && self.call.is_idempotent() => Again::Unanswered,
            Fate::NeverSent | Fate::Unanswered | Fate::Unknown => Again::Impossible,
        };
        (failure, again)
    }
}

/// Whether the same call can be made a second time, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The upstream cannot have seen it.
    Unseen,
    /// The upstream may have seen it, but did not answer and would do the same twice.
    Unanswered,
    /// It may do harm, or cannot be put together again.
    Impossible,
}

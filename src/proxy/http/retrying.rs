//! The retries of one call: the decision after each attempt, and the results that are kept meanwhile.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Response;
use http::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::sync::oneshot;

use super::call::{Call, Keep};
use super::carry::{Answer, Ended};
use super::classify::sample;
use super::ending::{UpstreamEnding, give_back};
use super::peek::Patience;
use super::reply::Refusal;
use crate::failure::Failure;
use crate::resilience::{Facts, Label, Outcome, RetryBudget, RetrySpec, RetryVerdict, Stop};
use crate::snapshot::Route;
use crate::telemetry::RouteMeters;
use crate::telemetry::names::RetryResult;
use crate::time::{Deadline, now, wall};
use crate::wire::PauseHints;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long the rest of an unwanted answer is read, so that its connection can be used again.
const UNWANTED_TIME: Duration = Duration::from_secs(1);

/// The retries of one call on its route.
pub(super) struct Retrying<'a> {
    route: &'a Route,
    policy: Option<(&'a RetrySpec, &'a RetryBudget)>,
    is_idempotent: bool,
    /// Attempts begun.
    attempts: u32,
    /// The attempt that is under way, if it is not the first.
    further: Option<Further<'a>>,
    /// What the attempt before came to. The caller gets it if no further one may be made, or the one that is out is not sent.
    before: Option<Before>,
}

/// What an attempt came to that another one may follow. While the call waits for its next attempt this holds nothing that others wait
/// for: its breaker has the verdict, and its connection is free once the answer is read, unless the answer is too long for that.
enum Before {
    Refusal(Box<Refusal>),
    /// Its body is being read.
    Coming(Coming),
    Answer(Box<Answer>),
    /// It could not be kept.
    Nothing,
}

/// An answer whose body is being read, which takes no longer than [`UNWANTED_TIME`].
struct Coming {
    answer: oneshot::Receiver<Box<Answer>>,
    /// Another attempt is out, so an answer that still needs its connection is given up.
    is_followed: Rc<Cell<bool>>,
}

/// An attempt after the first. It is counted once, also if its caller leaves in the middle of it.
pub(super) struct Further<'a> {
    meters: &'a RouteMeters,
    result: RetryResult,
}

/// What follows an attempt.
pub(super) enum Next {
    /// None: the caller gets this result.
    Done(Result<Answer, Refusal>),
    /// Another attempt, at that time.
    Again(Deadline),
}

impl<'a> Retrying<'a> {
    pub(super) fn new(route: &'a Route, call: &Call) -> Self {
        let policy = route
            .plan
            .retry
            .as_deref()
            .zip(route.retry_budget.as_deref());
        let is_idempotent = policy.is_some()
            && (call.is_idempotent() || call.headers().contains_key(IDEMPOTENCY_KEY));
        if policy.is_some() {
            call.upload.keep();
        }
        Self {
            route,
            policy,
            is_idempotent,
            attempts: 0,
            further: None,
            before: None,
        }
    }

    /// An attempt is about to be made, which may need the connection of the one before.
    pub(super) fn begin(&mut self) {
        self.attempts += 1;
        if self.attempts > 1 {
            self.further = Some(Further::begin(&self.route.meters));
        }
        if let (1, Some((_, budget))) = (self.attempts, self.policy) {
            budget.deposit();
        }
        self.before = self.before.take().map(Before::followed);
    }

    /// Whether another attempt could follow the one that has begun.
    pub(super) fn keep(&self) -> Keep {
        match self.policy {
            Some((spec, _)) if self.attempts < spec.attempts => Keep::Copy,
            Some(_) | None => Keep::Nothing,
        }
    }

    /// What the caller gets if `refusal` prevents an attempt: the result of the one before, if there was one.
    pub(super) async fn refused(self, refusal: Refusal) -> Result<Answer, Refusal> {
        let Some(before) = self.before else {
            return Err(refusal);
        };
        self.route.meters.retried(RetryResult::Refused);
        before.take().await.unwrap_or(Err(refusal))
    }

    /// Decides what follows the attempt that ended as `ended`; the call has time until `until`.
    pub(super) async fn judge(&mut self, ended: Ended, until: Deadline, now: Instant) -> Next {
        let Some((spec, budget)) = self.policy else {
            return Next::Done(ended.result);
        };
        let before = self.before.take();
        let label = ended.label();
        if let Some(further) = self.further.take() {
            further.ended(ended.as_retry());
        }
        if ended.was_called_off
            && let Some(before) = before
            && let Some(before) = before.take().await
        {
            return Next::Done(before);
        }
        if !spec.on.names(label) {
            return Next::Done(ended.result);
        }
        let facts = Facts {
            attempts: self.attempts,
            ended: label,
            is_unsent: ended.is_unsent,
            is_idempotent: self.is_idempotent,
            is_whole: ended.is_whole,
            retry_after: ended.retry_after(),
            left: until.remaining(now),
        };
        match spec.judge(&facts, budget, now, fastrand::u64(..)) {
            RetryVerdict::Again { after } => {
                self.before = Some(Before::of(ended.result, until));
                Next::Again(Deadline::after(now, after))
            }
            RetryVerdict::Stop(stop) => {
                let told = match stop {
                    Stop::NotListed | Stop::Unsafe | Stop::Attempts => None,
                    Stop::Body => Some(RetryResult::BodyTooLong),
                    Stop::Time => Some(RetryResult::NoTime),
                    Stop::Budget => Some(RetryResult::BudgetExhausted),
                };
                if let Some(told) = told {
                    self.route.meters.retried(told);
                }
                Next::Done(ended.result)
            }
        }
    }
}

// === impl Further ===

impl<'a> Further<'a> {
    pub(super) fn begin(meters: &'a RouteMeters) -> Self {
        let result = RetryResult::Abandoned;
        Self { meters, result }
    }

    /// Counts its result.
    pub(super) fn ended(mut self, result: RetryResult) {
        self.result = result;
    }
}

impl Drop for Further<'_> {
    fn drop(&mut self) {
        self.meters.retried(self.result);
    }
}

impl Ended {
    /// How it ended, in the terms of a retry policy.
    fn label(&self) -> Label {
        match &self.result {
            Ok(answer) => Label::Status(answer.response.status().as_u16()),
            // For whoever would try again, it is the same.
            Err(refusal) if refusal.failure == Failure::SharedLoss => {
                Label::Named(Failure::Reset.label())
            }
            Err(refusal) => Label::Named(refusal.failure.label()),
        }
    }

    /// How a further attempt that ended so is counted.
    fn as_retry(&self) -> RetryResult {
        match &self.result {
            Ok(answer) => match answer.upstream.judged.verdict.outcome {
                Outcome::Success | Outcome::Alive | Outcome::Ignored => RetryResult::Answered,
                Outcome::Failure | Outcome::Throttled => RetryResult::Failed,
            },
            Err(_) if self.was_called_off => RetryResult::Refused,
            Err(_) => RetryResult::Failed,
        }
    }

    /// How long the upstream wishes to be left alone.
    fn retry_after(&self) -> Option<Duration> {
        let headers = self.result.as_ref().ok()?.response.headers();
        let text = |name| headers.get(name).map(HeaderValue::as_bytes);
        let hints = PauseHints {
            retry_after: Some(text(RETRY_AFTER)?),
            date: text(DATE),
            ..PauseHints::default()
        };
        hints.pause(wall())
    }
}

// === impl Before ===

impl Before {
    /// Of a call that has until `until`.
    fn of(result: Result<Answer, Refusal>, until: Deadline) -> Self {
        match result {
            Ok(answer) => Self::of_answer(answer, until),
            Err(refusal) => Self::Refusal(Box::new(refusal)),
        }
    }

    fn of_answer(mut answer: Answer, until: Deadline) -> Self {
        let now = now();
        let upstream = &mut *answer.upstream;
        let verdict = upstream.judged.verdict;
        if let Some(permit) = upstream.permit.take() {
            permit.finish(sample(verdict, upstream.judged.latency), now);
        }
        upstream.kept.settle(verdict, now);
        // Nobody waits for a switch of protocols again.
        answer.switch = None;
        if upstream.lease.is_none() || !upstream.upload.is_whole() {
            return Self::Answer(Box::new(answer));
        }
        let patience = Patience {
            until: Deadline::after(now, UNWANTED_TIME).min(until),
            idle_timeout: UNWANTED_TIME,
        };
        let (came, coming) = oneshot::channel();
        let is_followed = Rc::new(Cell::new(false));
        let must_be_whole = Rc::clone(&is_followed);
        tokio::task::spawn_local(async move {
            let answer = read_on(answer, patience).await;
            if answer.upstream.lease.is_none() || !must_be_whole.get() {
                let _ = came.send(Box::new(answer));
            }
        });
        Self::Coming(Coming {
            answer: coming,
            is_followed,
        })
    }

    /// Another attempt is out: gives up what needs its connection yet.
    fn followed(self) -> Self {
        let answer = match self {
            Self::Answer(answer) => answer,
            Self::Coming(mut coming) => {
                coming.is_followed.set(true);
                match coming.answer.try_recv() {
                    Ok(answer) => answer,
                    Err(oneshot::error::TryRecvError::Empty) => return Self::Coming(coming),
                    Err(oneshot::error::TryRecvError::Closed) => return Self::Nothing,
                }
            }
            Self::Refusal(_) | Self::Nothing => return self,
        };
        if answer.upstream.lease.is_none() {
            return Self::Answer(answer);
        }
        let UpstreamEnding { lease, upload, .. } = *answer.upstream;
        if let Some(lease) = lease {
            give_back(lease, &upload);
        }
        Self::Nothing
    }

    async fn take(self) -> Option<Result<Answer, Refusal>> {
        match self {
            Self::Refusal(refusal) => Some(Err(*refusal)),
            Self::Coming(coming) => coming.answer.await.ok().map(|answer| Ok(*answer)),
            Self::Answer(answer) => Some(Ok(*answer)),
            Self::Nothing => None,
        }
    }
}

/// Detaches an answer from its connection by reading the rest, if that is short, so that the connection can be used again.
async fn read_on(answer: Answer, patience: Patience) -> Answer {
    let (head, body) = answer.response.into_parts();
    let body = body.read_on(patience).await;
    let mut upstream = answer.upstream;
    if body.is_whole()
        && let Some(lease) = upstream.lease.take()
    {
        lease.keep(now());
    }
    Answer {
        response: Response::from_parts(head, body),
        upstream,
        ..answer
    }
}

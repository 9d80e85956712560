//! The retries of one call: what there is to say after each attempt, and what is kept meanwhile.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Response;
use http::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};

use super::call::{Call, Keep};
use super::carry::{Answer, Ended};
use super::classify::sample;
use super::ending::{UpstreamEnding, give_back};
use super::kept::Kept;
use super::peek::Patience;
use super::reply::Refusal;
use crate::resilience::{Facts, Label, Outcome, RetryBudget, RetrySpec, RetryVerdict, Stop};
use crate::snapshot::Route;
use crate::telemetry::RouteMeters;
use crate::telemetry::names::RetryResult;
use crate::time::{Deadline, now, wall};
use crate::wire::PauseHints;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The rest of an answer that another attempt follows is read for so long, so that its connection can be used again.
const UNWANTED_TIME: Duration = Duration::from_secs(1);

/// The retries of one call on its route.
pub(super) struct Retrying<'a> {
    route: &'a Route,
    policy: Option<(&'a RetrySpec, &'a RetryBudget)>,
    is_idempotent: bool,
    /// Attempts begun.
    attempts: u32,
    /// The one that is out, if it is not the first.
    further: Option<Further<'a>>,
    /// What the attempt before came to. The caller gets it if no further one may be made.
    last: Option<Box<Result<Answer, Refusal>>>,
    /// The same while a further one is out, which may still not be sent.
    spare: Option<Spare>,
}

/// What an attempt came to that another one follows. It holds no connection: the other one may need that.
enum Spare {
    Refusal(Box<Refusal>),
    /// There once all of it has come.
    Answer(Rc<RefCell<Option<Answer>>>),
}

/// An attempt after the first. It counts once, also when its caller leaves in its middle.
pub(super) struct Further<'a> {
    meters: &'a RouteMeters,
    result: RetryResult,
}

/// What follows an attempt.
pub(super) enum Next {
    /// Its result is the caller's.
    Done(Result<Answer, Refusal>),
    /// Another attempt, from then on.
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
            last: None,
            spare: None,
        }
    }

    /// An attempt is about to be made, so what the one before came to is of use only if that is not sent.
    pub(super) fn begin(&mut self) {
        self.attempts += 1;
        if self.attempts > 1 {
            self.further = Some(Further::begin(&self.route.meters));
        }
        if let (1, Some((_, budget))) = (self.attempts, self.policy) {
            budget.deposit();
        }
        self.spare = self.last.take().map(|last| Spare::of(*last));
    }

    /// Whether another attempt could follow the one that has begun.
    pub(super) fn keep(&self) -> Keep {
        match self.policy {
            Some((spec, _)) if self.attempts < spec.attempts => Keep::Copy,
            Some(_) | None => Keep::Nothing,
        }
    }

    /// What the caller gets when `refusal` stands in the way of an attempt: what the upstream said last, if it was asked at all.
    pub(super) fn refused(self, refusal: Refusal) -> Result<Answer, Refusal> {
        match self.last {
            Some(last) => {
                self.route.meters.retried(RetryResult::Refused);
                *last
            }
            None => Err(refusal),
        }
    }

    /// Judges an attempt that came to `ended`, of a call that has until `until`.
    pub(super) fn judge(&mut self, ended: Ended, until: Deadline, now: Instant) -> Next {
        let Some((spec, budget)) = self.policy else {
            return Next::Done(ended.result);
        };
        let spare = self.spare.take();
        let label = ended.label();
        if let Some(further) = self.further.take() {
            further.ended(ended.as_retry());
        }
        if ended.was_called_off
            && let Some(before) = spare.and_then(Spare::take)
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
                self.last = Some(Box::new(ended.result));
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

    /// It came to that.
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
    /// How it ended, in the words of a policy.
    fn label(&self) -> Label {
        match &self.result {
            Ok(answer) => Label::Status(answer.response.status().as_u16()),
            Err(refusal) => Label::Named(refusal.failure.label()),
        }
    }

    /// What a further attempt that ended so is counted as.
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

// === impl Spare ===

impl Spare {
    fn of(last: Result<Answer, Refusal>) -> Self {
        match last {
            Ok(answer) => Self::Answer(spare(answer)),
            Err(refusal) => Self::Refusal(Box::new(refusal)),
        }
    }

    fn take(self) -> Option<Result<Answer, Refusal>> {
        match self {
            Self::Refusal(refusal) => Some(Err(*refusal)),
            Self::Answer(answer) => answer.take().map(Ok),
        }
    }
}

/// Has an answer do without its connection, if what is left of it is not much: that is read, and the connection can be used again.
fn spare(answer: Answer) -> Rc<RefCell<Option<Answer>>> {
    let spare = Rc::<RefCell<Option<Answer>>>::default();
    let Answer {
        response, upstream, ..
    } = answer;
    let (route, collector) = (answer.route, answer.collector);
    let UpstreamEnding {
        lease,
        upload,
        permit,
        judged,
        ..
    } = *upstream;
    if let Some(permit) = permit {
        permit.finish(sample(judged.verdict, judged.latency), now());
    }
    let Some(lease) = lease else { return spare };
    if !upload.is_whole() {
        give_back(lease, &upload);
        return spare;
    }
    let keeper = Rc::clone(&spare);
    tokio::task::spawn_local(async move {
        let (head, body) = response.into_parts();
        let patience = Patience {
            until: Deadline::after(now(), UNWANTED_TIME),
            idle_timeout: UNWANTED_TIME,
        };
        let body = body.read_on(patience).await;
        if !body.is_whole() {
            return;
        }
        lease.keep(now());
        let upstream = Box::new(UpstreamEnding {
            lease: None,
            upload,
            permit: None,
            judged,
            kept: Kept::default(),
        });
        keeper.replace(Some(Answer {
            response: Response::from_parts(head, body),
            route,
            upstream,
            switch: None,
            collector,
        }));
    });
    spare
}

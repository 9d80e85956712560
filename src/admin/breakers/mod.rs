//! Breakers as JSON: all of them, or one with its settings. The fields of the original system come first, then ours.

mod table;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::admin::kept::KeptAnswers;
use crate::admin::limits::{Limited, Throttle, sentence};
use crate::admin::upstream::{Endpoint, Live, Pool, Upstream};
use crate::admin::watchers::{Keys, Shadow, key_counts, shadows};
use crate::failure::Failure;
use crate::resilience::{Label, Mode, State, Statistics, View};
use crate::snapshot::{Route, Snapshot};
use crate::time::Moment;
use crate::upstream::{Probe, Report, Urgency};

pub(super) use table::Wanted;

/// All breakers.
#[derive(Serialize)]
pub(super) struct List {
    summary: Summary,
    breakers: Vec<One>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    total: usize,
    closed: usize,
    open: usize,
    half_open: usize,
    forced: usize,
    /// Routes that an upstream asked to pause.
    throttled: usize,
}

/// One breaker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct One {
    name: String,
    /// The fingerprint of the key, if it is the breaker of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    state: State,
    mode: &'static str,
    enforcement: &'static str,
    since: String,
    next_probe_at: Option<String>,
    until: Option<String>,
    by: Option<String>,
    reason: Option<String>,
    explanation: String,
    statistics: Numbers,
    last_failure: Option<Failed>,
    pool: Pool,
    endpoints: Vec<Endpoint>,
    /// Answers kept for an outage.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_answers: Option<KeptAnswers>,
    probe: Option<Probed>,
    /// How many retries the route's budget holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retries_left: Option<u64>,
    throttle: Option<Throttle>,
    limits: Limited,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Keys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadows: Option<Vec<Shadow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Vec<Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    total_calls: u64,
    successes: u64,
    failures: u64,
    alive: u64,
    throttled: u64,
    ignored: u64,
    rejected: u64,
    would_reject: u64,
    timeouts: u64,
    slow: u64,
    consecutive_failures: u32,
    consecutive_successes: u32,
    window_calls: u32,
    failure_ratio: Option<f64>,
    slow_ratio: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    at: String,
    reason: &'static str,
    status: Option<u16>,
    correlation_id: Option<String>,
}

/// The active probe: what the last one proved, and when the next is due.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Probed {
    at: Option<String>,
    result: Option<&'static str>,
    reason: Option<&'static str>,
    status: Option<u16>,
    latency_ms: Option<f64>,
    /// None while an operator holds the breaker open.
    next: Option<String>,
}

/// Those of all breakers that are wanted, at that moment, with the tag of this version of the answer.
pub(super) fn list(snapshot: &Snapshot, moment: &Moment, wanted: Wanted) -> (List, String) {
    let mut summary = Summary::default();
    let mut digest = Sha256::new();
    let mut breakers = Vec::with_capacity(snapshot.routes.len());
    for route in &snapshot.routes {
        let view = route.breaker.view(moment.now);
        let live = Live::of(route);
        let keys = key_counts(route, moment);
        summary.add(&view);
        let pause = route.limits.throttle.view(moment.now);
        summary.throttled += usize::from(pause.is_throttled());
        let bulkhead = route.limits.bulkhead.as_ref().map(|it| it.view());
        // The rest of the sentence is the time that is left, which alone makes no new version.
        digest.update(format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {live:?} {keys:?} {:?} {:?} {:?} {:?} {bulkhead:?}\n",
            route.name,
            view.standing,
            view.since,
            view.next_probe_at,
            view.hold,
            view.statistics,
            view.window,
            view.last_failure,
            route
                .probe
                .as_ref()
                .map(|probe| probe.seen(Urgency::Usual).0),
            (pause.since, pause.until),
            pause.signals_in_a_row,
            (pause.waiting, pause.keys),
        ));
        breakers.push(One {
            keys,
            ..One::new(route, &view, &live, moment)
        });
    }
    let digest = hex::encode(&digest.finalize()[..8]);
    let tag = format!("W/\"{digest}-{}\"", wanted.label());
    (List { summary, breakers }.only(wanted), tag)
}

/// One breaker as `view` shows it.
pub(super) fn one(route: &Route, view: &View, moment: &Moment) -> One {
    One {
        kept_answers: KeptAnswers::of(route),
        keys: key_counts(route, moment),
        shadows: shadows(route, moment),
        ..One::new(route, view, &Live::of(route), moment)
    }
}

impl Summary {
    fn add(&mut self, view: &View) {
        self.total += 1;
        match view.state() {
            State::Closed => self.closed += 1,
            State::Open => self.open += 1,
            State::HalfOpen => self.half_open += 1,
        }
        match view.mode() {
            Mode::Auto => {}
            Mode::ForcedOpen | Mode::ForcedClosed => self.forced += 1,
        }
    }
}

impl One {
    /// Adds the settings in force for its route, value by value.
    pub(super) fn with_settings(self, settings: Vec<Value>) -> Self {
        Self {
            settings: Some(settings),
            ..self
        }
    }

    /// The breaker of one key.
    pub(super) fn of_key(route: &Route, key: String, view: &View, moment: &Moment) -> Self {
        Self {
            key: Some(key),
            ..Self::new(route, view, &Live::of(route), moment)
        }
    }

    fn new(route: &Route, view: &View, live: &Live, moment: &Moment) -> Self {
        let stamp = |instant| moment.stamp(instant);
        let hold = view.hold.as_ref();
        let Upstream { pool, endpoints } = Upstream::of(live, moment);
        Self {
            name: (*route.name).to_owned(),
            key: None,
            state: view.state(),
            mode: view.mode().label(),
            enforcement: view.standing.enforcement.label(),
            since: stamp(view.since),
            next_probe_at: view.next_probe_at.map(stamp),
            until: hold.and_then(|hold| hold.until).map(stamp),
            by: hold.map(|hold| (*hold.by).to_owned()),
            reason: hold.and_then(|hold| hold.reason.as_deref().map(str::to_owned)),
            explanation: sentence(view, &route.limits, moment),
            statistics: Numbers::of(view),
            last_failure: view.last_failure.as_deref().map(|failure| {
                let (reason, status) = match failure.label {
                    Some(Label::Status(status)) => ("status", Some(status)),
                    Some(Label::Named(name)) => (name, None),
                    None => ("other", None),
                };
                let call = failure.call.as_ref();
                Failed {
                    at: stamp(failure.at),
                    reason,
                    status,
                    correlation_id: call.map(|call| (*call.id).to_owned()),
                }
            }),
            pool,
            endpoints,
            kept_answers: None,
            probe: route
                .probe
                .as_ref()
                .map(|probe| Probed::of(probe, view, moment)),
            keys: None,
            shadows: None,
            retries_left: route
                .retry_budget
                .as_ref()
                .map(|budget| budget.left(moment.now)),
            throttle: Throttle::of(&route.limits, moment),
            limits: Limited::of(&route.limits),
            settings: None,
        }
    }
}

impl Probed {
    fn of(probe: &Probe, view: &View, moment: &Moment) -> Self {
        let urgency = match view.state() {
            State::HalfOpen => Urgency::Wanted,
            State::Closed | State::Open => Urgency::Usual,
        };
        let (last, next) = probe.seen(urgency);
        let result = |last: Report| if last.is_good { "success" } else { "failure" };
        Self {
            at: last.map(|last| moment.stamp(last.at)),
            result: last.map(result),
            reason: last.and_then(|last| last.answer.err()).map(Failure::label),
            status: last.and_then(|last| last.answer.ok()),
            latency_ms: last.map(|last| last.took.as_micros() as f64 / 1000.0),
            next: (view.mode() != Mode::ForcedOpen).then(|| moment.stamp(next)),
        }
    }
}

impl Numbers {
    fn of(view: &View) -> Self {
        let Statistics {
            total_calls,
            successes,
            failures,
            alive,
            throttled,
            ignored,
            rejected,
            would_reject,
            timeouts,
            slow,
            consecutive_failures,
            consecutive_successes,
        } = view.statistics;
        Self {
            total_calls,
            successes,
            failures,
            alive,
            throttled,
            ignored,
            rejected,
            would_reject,
            timeouts,
            slow,
            consecutive_failures,
            consecutive_successes,
            window_calls: view.window.calls,
            failure_ratio: view.failure_ratio.map(|ratio| ratio.as_f64()),
            slow_ratio: view.slow_ratio.map(|ratio| ratio.as_f64()),
        }
    }
}

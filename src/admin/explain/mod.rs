//! Why a breaker is in its state: a sentence, the distance to each threshold, the transitions with their evidence.

mod text;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::admin::limits::{Throttle, sentence};
use crate::admin::watchers::{Keys, Shadow, keys, shadows};
use crate::config::units::spell_time;
use crate::resilience::{
    CountDistance, Exemplar, Label, LabelCount, Measure, Probes, Ramping, ShareDistance, Standing,
    Transition, View,
};
use crate::snapshot::Route;
use crate::time::Moment;

/// Everything that explains a breaker's state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::admin) struct Explanation {
    name: String,
    state: &'static str,
    mode: &'static str,
    enforcement: &'static str,
    explanation: String,
    /// Why the next call would be rejected.
    rejects: Option<&'static str>,
    next_probe_at: Option<String>,
    probes: Option<Probing>,
    /// The ramp, while only a share of the calls passes after closing.
    ramp: Option<Ramp>,
    /// The pause that the upstream asked for.
    throttle: Option<Throttle>,
    distances: Distances,
    /// The failures of the present run.
    run: Vec<Counted>,
    /// The latest calls among them.
    run_exemplars: Vec<Sighted>,
    /// Oldest first.
    transitions: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Keys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadows: Option<Vec<Shadow>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Distances {
    consecutive_failures: Option<Count>,
    failure_ratio: Option<Share>,
    slow_ratio: Option<Share>,
}

#[derive(Serialize)]
struct Count {
    reached: u32,
    threshold: u32,
}

#[derive(Serialize)]
struct Share {
    reached: Option<String>,
    threshold: String,
    calls: Count,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Probing {
    out: u32,
    max: u32,
    succeeded: Count,
    verdict_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ramp {
    share: String,
    full_at: String,
}

#[derive(Serialize)]
struct Counted {
    label: String,
    count: u32,
}

/// A call that the breaker judged by.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sighted {
    at: String,
    /// Its failure.
    label: String,
    correlation_id: Option<String>,
    method: Option<String>,
    /// Within the route, without the query.
    path: Option<String>,
}

#[derive(Serialize)]
struct Step {
    at: String,
    from: Stand,
    to: Stand,
    cause: &'static str,
    observed: Value,
    threshold: Value,
    window: Window,
    failures: Vec<Counted>,
    exemplars: Vec<Sighted>,
    by: Option<String>,
    reason: Option<String>,
    until: Option<String>,
}

/// The state in force, and the parts that it follows from.
#[derive(Serialize)]
struct Stand {
    state: &'static str,
    automatic: &'static str,
    mode: &'static str,
    enforcement: &'static str,
}

#[derive(Serialize)]
struct Window {
    calls: u32,
    failed: u32,
    slow: u32,
}

/// Explains a route's breaker as `view` shows it, with its keys and candidates.
pub(in crate::admin) fn explanation(route: &Route, view: &View, moment: &Moment) -> Explanation {
    let stamp = |instant| moment.stamp(instant);
    Explanation {
        name: (*route.name).to_owned(),
        state: view.state().label(),
        mode: view.mode().label(),
        enforcement: view.standing.enforcement.label(),
        explanation: sentence(view, &route.limits, moment),
        rejects: view.rejects.map(|kind| kind.phrase()),
        next_probe_at: view.next_probe_at.map(stamp),
        probes: view.probes.as_ref().map(|probes| {
            let Probes {
                out,
                max,
                succeeded,
                verdict_by,
            } = *probes;
            Probing {
                out,
                max,
                succeeded: succeeded.into(),
                verdict_by: verdict_by.map(stamp),
            }
        }),
        ramp: view.ramp.map(|Ramping { share, full_at }| Ramp {
            share: share.to_string(),
            full_at: stamp(full_at),
        }),
        throttle: Throttle::of(&route.limits, moment),
        distances: Distances {
            consecutive_failures: view.distances.consecutive_failures.map(Count::from),
            failure_ratio: view.distances.failure_ratio.map(Share::from),
            slow_ratio: view.distances.slow_ratio.map(Share::from),
        },
        run: counted(&view.run_labels),
        run_exemplars: sighted(&view.run_exemplars, moment),
        transitions: view
            .transitions
            .iter()
            .map(|transition| Step::of(transition, moment))
            .collect(),
        keys: keys(route, moment),
        shadows: shadows(route, moment),
    }
}

impl From<CountDistance> for Count {
    fn from(CountDistance { reached, threshold }: CountDistance) -> Self {
        Self { reached, threshold }
    }
}

impl From<ShareDistance> for Share {
    fn from(distance: ShareDistance) -> Self {
        Self {
            reached: distance.reached.map(|reached| reached.to_string()),
            threshold: distance.threshold.to_string(),
            calls: distance.calls.into(),
        }
    }
}

impl From<Standing> for Stand {
    fn from(standing: Standing) -> Self {
        Self {
            state: standing.state().label(),
            automatic: standing.automatic.label(),
            mode: standing.mode.label(),
            enforcement: standing.enforcement.label(),
        }
    }
}

impl Step {
    fn of(transition: &Transition, moment: &Moment) -> Self {
        let evidence = &transition.evidence;
        let author = transition.author.as_ref();
        Self {
            at: moment.stamp(transition.at),
            from: transition.before.into(),
            to: transition.after.into(),
            cause: transition.cause.label(),
            observed: measure(evidence.observed),
            threshold: measure(evidence.threshold),
            window: Window {
                calls: evidence.window.calls,
                failed: evidence.window.failed,
                slow: evidence.window.slow,
            },
            failures: counted(&evidence.labels),
            exemplars: sighted(&evidence.exemplars, moment),
            by: author.map(|author| (*author.by).to_owned()),
            reason: author.and_then(|author| author.reason.as_deref().map(str::to_owned)),
            until: author
                .and_then(|author| author.until)
                .map(|until| moment.stamp(until)),
        }
    }
}

/// Writes a count as a number, shares and times as in the configuration.
fn measure(measure: Measure) -> Value {
    match measure {
        Measure::Nothing => Value::Null,
        Measure::Count(count) => Value::from(count),
        Measure::Share(ratio) => Value::from(ratio.to_string()),
        Measure::Time(time) => Value::from(spell_time(time)),
    }
}

fn counted(labels: &[LabelCount]) -> Vec<Counted> {
    labels
        .iter()
        .map(|counted| Counted {
            label: counted.name().to_string(),
            count: counted.count,
        })
        .collect()
}

fn sighted(exemplars: &[Arc<Exemplar>], moment: &Moment) -> Vec<Sighted> {
    let one = |exemplar: &Arc<Exemplar>| {
        let Exemplar { at, label, call } = &**exemplar;
        let call = call.as_ref();
        Sighted {
            at: moment.stamp(*at),
            label: label.unwrap_or(Label::Named("other")).to_string(),
            correlation_id: call.map(|call| (*call.id).to_owned()),
            method: call.map(|call| (*call.method).to_owned()),
            path: call.map(|call| (*call.path).to_owned()),
        }
    };
    exemplars.iter().map(one).collect()
}

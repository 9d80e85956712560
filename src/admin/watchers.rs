//! What watches a route's calls besides its own breaker, as JSON: the breakers of its keys, and its candidates.

use serde::Serialize;

use crate::resilience::{Key, KeyCounts, ShadowReport, ShadowView, View, explain};
use crate::snapshot::Route;
use crate::time::Moment;

/// The most keys that are shown one by one.
const SHOWN: usize = 20;

/// The breakers of a route's keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Keys {
    total: usize,
    max_keys: usize,
    closed: usize,
    open: usize,
    half_open: usize,
    forced: usize,
    /// Calls whose key found no room for a breaker.
    untracked: u64,
    /// Those that are not closed first, then those that failed most often.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    worst: Vec<OfKey>,
}

/// The breaker of one key, in short.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfKey {
    /// The fingerprint; the text appears nowhere.
    key: String,
    state: &'static str,
    mode: &'static str,
    since: String,
    next_probe_at: Option<String>,
    explanation: String,
    failures: u64,
    rejected: u64,
}

/// A candidate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shadow {
    name: String,
    state: &'static str,
    explanation: String,
    would_open: u64,
    would_reject: u64,
    rejected_successes: u64,
    rejected_failures: u64,
}

impl Keys {
    /// For people: the counts, and a line for each key that needs a look.
    pub(super) fn lines(&self) -> Vec<String> {
        let Self {
            total,
            max_keys,
            closed,
            open,
            half_open,
            forced,
            untracked,
            worst,
        } = self;
        let counts = format!(
            "{total} of at most {max_keys}: {open} open, {half_open} half-open, {closed} closed; {forced} forced; {untracked} calls without room"
        );
        let worst = worst.iter().map(|key| {
            format!(
                "{}  {}  {}  {}",
                key.key, key.state, key.mode, key.explanation
            )
        });
        [counts].into_iter().chain(worst).collect()
    }
}

impl Shadow {
    /// For people.
    pub(super) fn line(&self) -> String {
        let Self {
            name,
            state,
            explanation,
            would_open,
            would_reject,
            rejected_successes,
            rejected_failures,
        } = self;
        format!(
            "{name}  {state}  {explanation}; opened {would_open} times, would have refused {would_reject} calls, of which {rejected_successes} succeeded and {rejected_failures} failed"
        )
    }
}

/// The counts alone; `None` for a route without keys.
pub(super) fn key_counts(route: &Route, moment: &Moment) -> Option<Keys> {
    let keyed = route.keyed.as_ref()?;
    let KeyCounts {
        total,
        closed,
        open,
        half_open,
        forced,
        untracked,
    } = keyed.counts(moment.now);
    Some(Keys {
        total,
        max_keys: keyed.max_keys(),
        closed,
        open,
        half_open,
        forced,
        untracked,
        worst: Vec::new(),
    })
}

/// The counts, and the keys that need a look; `None` for a route without keys.
pub(super) fn keys(route: &Route, moment: &Moment) -> Option<Keys> {
    let worst = route.keyed.as_ref()?.worst(SHOWN, moment.now);
    let worst = worst
        .iter()
        .map(|(key, view)| OfKey::new(*key, view, moment));
    Some(Keys {
        worst: worst.collect(),
        ..key_counts(route, moment)?
    })
}

/// The candidates of a route; `None` for a route without.
pub(super) fn shadows(route: &Route, moment: &Moment) -> Option<Vec<Shadow>> {
    let views = route.shadows.as_ref()?.views(moment.now);
    let shadow = |ShadowView { name, report, view }: ShadowView| {
        let ShadowReport {
            would_open,
            would_reject,
            rejected_successes,
            rejected_failures,
        } = report;
        Shadow {
            name: name.into(),
            state: view.state().label(),
            explanation: explain(&view, |instant| moment.phrase(instant)),
            would_open,
            would_reject,
            rejected_successes,
            rejected_failures,
        }
    };
    Some(views.into_iter().map(shadow).collect())
}

impl OfKey {
    fn new(key: Key, view: &View, moment: &Moment) -> Self {
        Self {
            key: key.to_string(),
            state: view.state().label(),
            mode: view.mode().label(),
            since: moment.stamp(view.since),
            next_probe_at: view.next_probe_at.map(|at| moment.stamp(at)),
            explanation: explain(view, |instant| moment.phrase(instant)),
            failures: view.statistics.failures,
            rejected: view.statistics.rejected,
        }
    }
}

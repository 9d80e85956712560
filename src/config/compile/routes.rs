//! `defaults:`, `presets:` and `routes:`: each checked by itself, then merged route by route.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderName;

use super::fallback_graph::FallbackGraph;
use super::overlap::refuse_overlaps;
use super::places::Places;
use super::reach::{check_reach, refuse_own_address, refuse_shared_hosts};
use super::shares::check_shares;
use super::times::check_drain;
use super::{Scope, route::route};
use crate::config::excerpt::show;
use crate::config::fields::{Fields, SPACE, lacks_space, mapping, scalar};
use crate::config::keys::{DEFAULTS, MOST_PRESETS, PRESET, ROUTE};
use crate::config::plan::{ListenPlan, RoutePlan};
use crate::config::preset::{self, Presets, merge};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::tree::{Entry, Key, Node, Scalar, Span, Value};
use crate::resilience::{BreakerSpec, Rules};

/// The most nodes of all routes together, inherited ones included: thousands of routes times large defaults would be too much.
const MAX_LAID: usize = 200_000;

/// The surroundings that routes are checked against.
pub(super) struct Around<'p> {
    /// The header of the id.
    pub(super) correlation: &'p HeaderName,
    /// Where sidefuse itself listens.
    pub(super) listen: &'p ListenPlan,
    /// The time to drain.
    pub(super) drain: Duration,
    /// Where that is written.
    pub(super) drain_at: Span,
    /// The number of workers, if it does not depend on the machine.
    pub(super) workers: Option<usize>,
}

pub(super) fn routes(
    file: &mut Fields<'_, '_>,
    around: &Around<'_>,
) -> BTreeMap<String, Arc<RoutePlan>> {
    let correlation = around.correlation;
    let defaults = file.take("defaults").map(|entry| &entry.node);
    if let Some(defaults) = defaults {
        mapping(
            &DEFAULTS,
            "defaults",
            Some(defaults),
            file.problems,
            |fields| {
                let _ = fields.text("preset");
                route(fields, Scope::Shared, preset::DEFAULT, correlation)
            },
        );
    }
    let (mut written, _) = file.named("presets");
    if let Some(entry) = written.get(MOST_PRESETS) {
        let message = format!("the file has more than {MOST_PRESETS} presets");
        file.problems
            .push(Problem::error(Code::Budget, entry.key.span, message));
        written.truncate(MOST_PRESETS);
    }
    let presets = Presets::new(&written);
    for entry in &written {
        check_preset(entry, &presets, correlation, file.problems);
    }
    let base = match defaults {
        Some(defaults) => merge(&Presets::base(), defaults, &ROUTE),
        None => Presets::base(),
    };
    let Some(place) = file.key_span("routes") else {
        let missing = Problem::error(Code::Missing, file.span, "`routes` is missing");
        file.problems
            .push(missing.hint("add `routes: {partner: {upstream: https://api.example.com}}`"));
        return BTreeMap::new();
    };
    let is_wrong = matches!(
        file.node("routes").map(|node| &node.value),
        Some(Value::Scalar(_) | Value::Sequence(_) | Value::Unusable)
    );
    let (entries, _) = file.named("routes");
    if entries.is_empty() && !is_wrong {
        let empty = Problem::error(Code::NoValue, place, "`routes` names no route");
        file.problems
            .push(empty.hint("add `partner: {upstream: https://api.example.com}` below it"));
    }
    let (mut plans, mut places) = (BTreeMap::new(), Places::default());
    let mut fallbacks = FallbackGraph::default();
    // Routes of one preset have the same rules and share them: there may be thousands.
    let mut rules: HashSet<Rules> = HashSet::new();
    // And mostly the breaker of the last one before them.
    let mut breakers: HashMap<String, BreakerSpec> = HashMap::new();
    let mut laid = 0_usize;
    for Entry { key, node } in entries {
        check_name("a route", key, file.problems);
        if let Value::Scalar(_) | Value::Sequence(_) = node.value {
            let message = format!("the route must be a mapping, not {}", node.kind());
            let problem = Problem::error(Code::WrongKind, node.span, message);
            let hint = if lacks_space(node) {
                SPACE
            } else {
                "write `{upstream: https://…}`"
            };
            file.problems.push(problem.hint(hint));
            continue;
        }
        let (preset, settings) = lay(node, &base, &presets, file.problems);
        laid = laid.saturating_add(settings.size());
        if laid > MAX_LAID {
            let message = format!(
                "the routes have more than {MAX_LAID} settings, counting what they inherit"
            );
            file.problems
                .push(Problem::error(Code::Budget, key.span, message));
            break;
        }
        fallbacks.add(&key.text, &settings, key.span);
        let scope = Scope::Route(key.span);
        let name = show(&key.text);
        let Some(mut plan) = mapping(&ROUTE, &name, Some(&settings), file.problems, |fields| {
            let _ = fields.take("preset");
            route(fields, scope, &preset, correlation)
        }) else {
            continue;
        };
        if let Some(same) = rules.get(&plan.classify) {
            plan.classify = same.clone();
        } else {
            rules.insert(plan.classify.clone());
        }
        let last = breakers
            .entry(preset)
            .or_insert_with(|| plan.breaker.clone());
        if *last == plan.breaker {
            plan.breaker = last.clone();
        } else {
            *last = plan.breaker.clone();
        }
        places.add(&key.text, &settings, key.span);
        // In an `Arc` from the start: a map of ten thousand plans by value would allocate room for up to twice as many.
        plans.insert(key.text.clone(), Arc::new(plan));
    }
    refuse_overlaps(&plans, &places, file.problems);
    check_reach(&plans, &places, file.problems);
    refuse_shared_hosts(&plans, &places, file.problems);
    refuse_own_address(&plans, (around.listen, &places), file.problems);
    check_drain(plans.iter(), (around, &places), file.problems);
    if let Some(workers) = around.workers {
        check_shares(&plans, (workers, &places), file.problems);
    }
    fallbacks.check(file.problems);
    plans
}

/// Merges the settings of a route over those of its preset over `base`; returns them with the preset's name. Without the preset
/// if it cannot be found, so that the rest of the route is still read.
pub(in crate::config) fn lay(
    route: &Node,
    base: &Node,
    presets: &Presets<'_>,
    problems: &mut Problems,
) -> (String, Node) {
    let named = [route, base]
        .into_iter()
        .find_map(|node| node.entry("preset"));
    let preset = named.and_then(|Entry { node, .. }| {
        let (name, at) = scalar("preset", node, problems)?;
        Some((name.text.clone(), presets.settings(name, at, problems)?))
    });
    let (name, mut settings) = match preset {
        Some((name, settings)) => (name, merge(&merge(base, &settings, &ROUTE), route, &ROUTE)),
        None => (preset::DEFAULT.to_owned(), merge(base, route, &ROUTE)),
    };
    drop_foreign_tls(route, &mut settings);
    (name, settings)
}

/// Removes TLS settings of `defaults` or a preset if the route's own upstream is plain: they are for other routes.
fn drop_foreign_tls(route: &Node, settings: &mut Node) {
    let own = route.entry("upstream").map(|entry| &entry.node);
    if own.is_some_and(|own| own.entry("tls").is_some()) {
        return;
    }
    let Value::Mapping(entries) = &mut settings.value else {
        return;
    };
    let upstream = entries
        .iter_mut()
        .find(|entry| entry.key.text == "upstream");
    let Some(Entry { node, .. }) = upstream else {
        return;
    };
    let is_plain = |url: &Entry| {
        let Value::Scalar(url) = &url.node.value else {
            return false;
        };
        let scheme = url.text.get(..7);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
    };
    if node.entry("url").is_some_and(is_plain)
        && let Value::Mapping(entries) = &mut node.value
    {
        entries.retain(|entry| entry.key.text != "tls");
    }
}

fn check_preset(
    entry: &Entry,
    presets: &Presets<'_>,
    correlation: &HeaderName,
    problems: &mut Problems,
) {
    let Entry { key, node } = entry;
    check_name("a preset", key, problems);
    if preset::built_in_names().any(|name| name == key.text) {
        let problem = Problem::error(
            Code::PresetTaken,
            key.span,
            format!("the preset `{}` is built in", key.text),
        );
        problems.push(problem.hint(format!(
            "choose another name and say `extends: {}`",
            key.text
        )));
        return;
    }
    mapping(&PRESET, &show(&key.text), Some(node), problems, |fields| {
        let _ = fields.text("extends");
        route(fields, Scope::Shared, preset::DEFAULT, correlation)
    });
    let _ = presets.settings(&Scalar::literal(&key.text), key.span, problems);
}

/// Checks a name, which becomes a URL segment and a label value.
pub(super) fn check_name(what: &str, key: &Key, problems: &mut Problems) {
    let name = key.text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = (1..=63).contains(&name.len())
        && name.first().is_some_and(inner)
        && name.iter().all(|byte| inner(byte) || *byte == b'-');
    if !good {
        let message = format!("`{}` cannot be the name of {what}", show(&key.text));
        let problem = Problem::error(Code::Name, key.span, message);
        problems.push(problem.hint("use 1 to 63 of a-z, 0-9 and `-`, not beginning with `-`"));
    }
}

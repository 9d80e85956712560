//! The walk over the tree that makes the plan and reports every problem.

mod breaker;
mod classify;
mod conditions;
mod correlation;
mod dns;
mod endpoints;
mod fallback;
mod fallback_graph;
mod headers;
mod host;
mod http;
mod keys;
mod limits;
mod listen;
mod logs;
mod matches;
mod overlap;
mod overrides;
mod places;
mod probe;
mod reach;
mod retry;
mod route;
mod routes;
mod scheme;
mod service;
mod shadow;
mod shares;
mod stale;
mod state;
mod statuses;
mod throttle;
mod times;
mod upstream;

use std::num::NonZeroUsize;

pub(super) use routes::lay;
pub(super) use shadow::laid;

use super::expand::Env;
use super::fields::{Fields, mapping, scalar};
use super::keys::FILE;
use super::plan::Plan;
use super::preset::spell_out;
use super::problem::{Code, Problem, Problems};
use super::tree::{Node, Span, Value};

/// Makes the plan of a file whose references are replaced. A plan made while errors were reported is not to be used.
pub(crate) fn compile(root: &mut Node, env: Env<'_>, problems: &mut Problems) -> Option<Plan> {
    if !matches!(root.value, Value::Mapping(_)) {
        let message = format!(
            "the file must be a mapping (`key: value`), not {}",
            root.kind()
        );
        problems.push(Problem::error(Code::WrongKind, root.span, message));
        return None;
    }
    spell_out_settings(root);
    let plan = mapping(&FILE, "the file", Some(root), problems, |file| {
        version(file);
        let service = file.section("service", |fields| service::service(fields, env));
        let (listen, admin) = listen::listen(file);
        let workers: Option<usize> = file.setting("workers");
        let (drain_at, drain) = file.section("shutdown", |shutdown| {
            let at = shutdown.key_span("drain");
            (at.unwrap_or(Span::BUILT_IN), shutdown.setting("drain"))
        });
        let correlation = file.section("correlation", correlation::correlation);
        let logs = file.section("logs", |fields| logs::logs(fields, env));
        let http = file.section("http", http::http);
        let dns = file.section("dns", dns::dns);
        let state = state::state(file);
        let named = overrides::names(file);
        let around = routes::Around {
            correlation: &correlation.header,
            listen: &listen,
            drain,
            drain_at,
            workers,
        };
        let mut routes = routes::routes(file, &around);
        overrides::overrides(file, &named, &mut routes);
        Plan {
            service,
            listen,
            workers: workers.and_then(NonZeroUsize::new),
            admin,
            drain,
            correlation,
            logs,
            http,
            dns,
            state,
            routes,
        }
    });
    Some(plan)
}

/// Spells out short forms, so that layers can be merged.
pub(crate) fn spell_out_settings(root: &mut Node) {
    let Value::Mapping(entries) = &mut root.value else {
        return;
    };
    for entry in entries {
        match entry.key.text.as_str() {
            "defaults" => spell_out(&mut entry.node),
            "presets" | "routes" => {
                if let Value::Mapping(named) = &mut entry.node.value {
                    named
                        .iter_mut()
                        .for_each(|named| spell_out(&mut named.node));
                }
            }
            _ => {}
        }
    }
}

fn version(file: &mut Fields<'_, '_>) {
    let Some(entry) = file.take("version") else {
        let missing = Problem::error(Code::Missing, file.span, "`version` is missing")
            .hint("begin the file with `version: 1`");
        file.problems.push(missing);
        return;
    };
    let Some((scalar, span)) = scalar("version", &entry.node, file.problems) else {
        return;
    };
    if scalar.text != "1" {
        let unknown = Problem::error(Code::Version, span, "this version of the file is not known")
            .hint("write `version: 1`");
        file.problems.push(unknown);
    }
}

/// The place of the settings that are being read.
#[derive(Clone, Copy)]
enum Scope {
    /// A whole route, whose name is written there.
    Route(Span),
    /// `defaults` or a preset: keys and values are checked, but not in combination.
    Shared,
}

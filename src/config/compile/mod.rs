//! The walk over the tree that makes the plan and reports everything that stands in its way.

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
mod overrides;
mod probe;
mod retry;
mod route;
mod routes;
mod service;
mod shadow;
mod state;
mod statuses;
mod throttle;
mod upstream;

use std::num::NonZeroUsize;
use std::time::Duration;

use super::expand::Env;
use super::fields::{Fields, mapping, scalar};
use super::plan::Plan;
use super::preset::spell_out;
use super::problem::{Code, Problem, Problems};
use super::readers::number;
use super::tree::{Node, Span, Value};
use super::units::{self, Invalid};

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
    let plan = mapping("the file", Some(root), problems, |file| {
        version(file);
        let service = file.section("service", |fields| service::service(fields, env));
        let (listen, admin) = listen::listen(file);
        let workers = file.parse("workers", workers).flatten();
        let drain = file.section("shutdown", |shutdown| {
            shutdown.parse("drain", duration(Duration::ZERO))
        });
        let correlation = file.section("correlation", correlation::correlation);
        let logs = file.section("logs", |fields| logs::logs(fields, env));
        let http = file.section("http", http::http);
        let dns = file.section("dns", dns::dns);
        let state = state::state(file);
        let named = overrides::names(file);
        let mut routes = routes::routes(file, &correlation.header);
        file.section("overrides", |fields| {
            overrides::overrides(fields, &named, &mut routes);
        });
        Plan {
            service,
            listen,
            workers,
            admin,
            drain: drain.unwrap_or(Duration::from_secs(25)),
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

fn spell_out_settings(root: &mut Node) {
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

fn workers(text: &str) -> Result<Option<NonZeroUsize>, Invalid> {
    if text == "auto" {
        return Ok(None);
    }
    number(1_usize, 1024)(text)
        .map(NonZeroUsize::new)
        .map_err(|invalid| invalid.hint("or write `auto`"))
}

/// A reader of a duration of at least `min` and at most a day.
fn duration(min: Duration) -> impl Fn(&str) -> Result<Duration, Invalid> {
    const MAX: Duration = Duration::from_secs(24 * 3600);
    move |text| {
        let duration = units::duration(text)?;
        if duration < min || duration > MAX {
            let least = if min.is_zero() { "0s" } else { "1ms" };
            return Err(Invalid::new(
                Code::OutOfRange,
                format!("must be from {least} to 24h"),
            ));
        }
        Ok(duration)
    }
}

/// A reader of a duration that must not be zero.
fn some_time() -> impl Fn(&str) -> Result<Duration, Invalid> {
    duration(Duration::from_millis(1))
}

/// What the settings that are being read are for.
#[derive(Clone, Copy)]
enum Scope {
    /// A whole route, whose name is written there.
    Route(Span),
    /// `defaults` or a preset: keys and values are checked, what they mean together is not.
    Shared,
}

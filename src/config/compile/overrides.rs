//! `overrides:`, holds that stand in the configuration, for breakers of routes that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::excerpt::show;
use crate::config::fields::{Fields, mapping};
use crate::config::keys::OVERRIDE;
use crate::config::plan::{OverridePlan, RoutePlan};
use crate::config::problem::{Code, Problem, When};
use crate::config::suggest;
use crate::config::tree::{Entry, Span, Value};
use crate::config::units::Invalid;

/// The longest reason, in characters; the same that the admin API takes.
const LONGEST_REASON: usize = 256;

/// The names of the routes as they are written, including routes with errors: an override of such a route is no error of its
/// own.
pub(super) fn names(file: &Fields<'_, '_>) -> BTreeSet<String> {
    let entries = file.entries();
    let routes = entries.iter().find(|entry| entry.key.text == "routes");
    let named = routes.map_or(&[][..], |entry| entry.node.entries());
    named.iter().map(|entry| entry.key.text.clone()).collect()
}

pub(super) fn overrides(
    fields: &mut Fields<'_, '_>,
    named: &BTreeSet<String>,
    routes: &mut BTreeMap<String, Arc<RoutePlan>>,
) {
    for Entry { key, node } in fields.named("overrides").0 {
        if !named.contains(&key.text) {
            let message = format!("no route is called `{}`", show(&key.text));
            let problem = Problem::error(Code::UnknownRoute, key.span, message);
            let names = named.iter().map(String::as_str);
            let meant = fields.problems.nearest(&key.text, names);
            fields.problems.push(match meant {
                Some(_) => problem.meant(meant),
                None => problem
                    .hint("an override is for a route of this file")
                    .help(suggest::routes(named.iter().map(String::as_str))),
            });
        }
        if let Value::Scalar(_) | Value::Sequence(_) = node.value {
            let message = format!("the override must be a mapping, not {}", node.kind());
            let problem = Problem::error(Code::WrongKind, node.span, message);
            let example = "write `{force: open, until: 2026-12-01T06:00:00Z, reason: …}`";
            fields.problems.push(problem.hint(example));
            continue;
        }
        let plan = mapping(
            &OVERRIDE,
            &show(&key.text),
            Some(node),
            fields.problems,
            |fields| one(fields, key.span),
        );
        if let Some(route) = routes.get_mut(&key.text) {
            Arc::make_mut(route).overridden = plan.map(Box::new);
        }
    }
}

fn one(fields: &mut Fields<'_, '_>, place: Span) -> Option<OverridePlan> {
    if !fields.has("force") {
        let missing = Problem::error(Code::Missing, place, "`force` is missing");
        fields
            .problems
            .push(missing.hint("write `force: open` or `force: closed`"));
    }
    let force = fields.read("force");
    let until_at = fields.key_span("until");
    let until = fields.parse("until", moment);
    let reason = fields.parse("reason", reason);
    if let (Some(until), Some(span)) = (until, until_at) {
        let message = "`until` has passed, so the override does nothing";
        let problem = Problem::warning(Code::Lapsed, span, message);
        fields
            .problems
            .push_when(When::From(until), problem.hint("remove the override"));
    }
    Some(OverridePlan {
        force: force?,
        until,
        reason,
    })
}

/// A reader of RFC 3339 with `Z` or an offset.
fn moment(text: &str) -> Result<SystemTime, Invalid> {
    let invalid = || {
        Invalid::new(Code::Malformed, "must be a moment with its time zone")
            .hint("write `2026-12-01T06:00:00Z`")
    };
    humantime::parse_rfc3339(text)
        .ok()
        .or_else(|| with_offset(text))
        .ok_or_else(invalid)
}

/// `2026-12-01T07:00:00+01:00`
fn with_offset(text: &str) -> Option<SystemTime> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let [sign, h1, h0, b':', m1, m0] = *offset.as_bytes() else {
        return None;
    };
    let number = |tens: u8, ones: u8| {
        let both = tens.is_ascii_digit() && ones.is_ascii_digit();
        both.then(|| u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h1, h0)?, number(m1, m0)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = Duration::from_secs(hours * 3600 + minutes * 60);
    match sign {
        b'+' => local.checked_sub(offset),
        b'-' => local.checked_add(offset),
        _ => None,
    }
}

fn reason(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_REASON || text.contains(char::is_control) {
        let what =
            format!("must have 1 to {LONGEST_REASON} characters, none of them a control character");
        return Err(Invalid::new(Code::Malformed, what));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_in_every_time_zone() {
        let moments = [
            "2026-12-01T06:00:00Z",
            "2026-12-01T07:00:00+01:00",
            "2026-12-01T01:30:00-04:30",
            "2026-12-01T06:00:00+00:00",
        ];
        let first = humantime::parse_rfc3339(moments[0]).unwrap();
        for text in moments {
            assert_eq!(moment(text), Ok(first), "{text}");
        }
    }

    #[test]
    fn what_names_no_moment_is_refused_and_never_a_panic() {
        for text in [
            "",
            "tomorrow",
            "2026-12-01",
            "2026-12-01T06:00:00",
            "2026-12-01T06:00:00+1:00",
            "2026-12-01T06:00:00+24:00",
            "2026-12-01T06:00:00+01:60",
            "2026-12-01T06:00:00+01-00",
            "2026-12-01T06:00:00ä01:00",
            "2026-12-01T06:00:00++1:00",
            "2026-13-01T06:00:00Z",
            "1970-01-01T00:00:00+23:59 ",
            "1764568800",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}

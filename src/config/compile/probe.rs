//! `probe:`, the active probe of a route.

use std::ops::RangeInclusive;

use ::http::uri::PathAndQuery;

use super::statuses::ends;
use crate::config::fields::{Fields, mapping};
use crate::config::plan::ProbePlan;
use crate::config::problem::{Code, Problem};
use crate::config::standard;
use crate::config::tree::{Entry, Span, Value};
use crate::config::units::Invalid;

/// Reads `probe`, whose path is appended to `base_path`; `None` when there is none, or `off`.
pub(super) fn probe(fields: &mut Fields<'_, '_>, base_path: &str) -> Option<ProbePlan> {
    let section = fields.inner("probe");
    let Entry { node, .. } = fields.take("probe")?;
    if let Value::Scalar(scalar) = &node.value
        && scalar.text == "off"
    {
        return None;
    }
    Some(mapping(
        section,
        "probe",
        Some(node),
        fields.problems,
        |fields| {
            let path = fields.parse_setting("path", |text| path(base_path, text));
            let every = fields.setting("every");
            let place = fields.key_span("timeout").unwrap_or(Span::BUILT_IN);
            let timeout = fields.read("timeout");
            let timeout = timeout.unwrap_or_else(|| standard::probe_timeout(every));
            if timeout > every {
                let message = "the probe's `timeout` is longer than its `every`";
                let problem = Problem::error(Code::Probe, place, message);
                fields
                    .problems
                    .push(problem.hint("the next one is due before this one is given up"));
            }
            let place = fields.key_span("expect").unwrap_or(Span::BUILT_IN);
            let mut has_any = false;
            let expect = fields.list("expect", |text| {
                has_any = true;
                statuses(text)
            });
            if expect.is_some() && !has_any {
                let message = "the probe expects no status, so none is good";
                let problem = Problem::error(Code::Probe, place, message);
                fields.problems.push(problem.hint("write `[2xx, 3xx]`"));
            }
            ProbePlan {
                path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
                every,
                timeout,
                expect: expect.unwrap_or_else(|| vec![standard::EXPECTED]),
            }
        },
    ))
}

fn path(base_path: &str, text: &str) -> Result<PathAndQuery, Invalid> {
    let malformed = |what: &str| Err(Invalid::new(Code::Malformed, what));
    if !text.starts_with('/') {
        return malformed("must begin with `/`; the upstream's URL goes before it");
    }
    if text.contains('#') {
        return malformed("must have no fragment");
    }
    format!("{base_path}{text}")
        .parse()
        .map_err(|_| Invalid::new(Code::Malformed, "is no path of a URL"))
}

/// `204`, `200-399` or `2xx`.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, Invalid> {
    let ends = ends(text).filter(|(first, last)| *first >= 100 && first <= last && *last < 600);
    ends.map(|(first, last)| first..=last).ok_or_else(|| {
        Invalid::new(Code::Malformed, "is no status from 100 to 599")
            .hint("statuses are written like `204`, `200-399` or `2xx`")
    })
}

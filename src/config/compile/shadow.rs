//! `shadow:` of a route: candidates, each with the settings that differ from the route's breaker.

use super::Scope;
use super::breaker::breaker;
use super::routes::check_name;
use super::times::Timeout;
use crate::config::excerpt::show;
use crate::config::fields::{Fields, mapping};
use crate::config::keys::{CANDIDATE, MOST_CANDIDATES as MOST};
use crate::config::preset::merge;
use crate::config::problem::{Code, Problem};
use crate::config::tree::{Entry, Node, Value};
use crate::resilience::{BreakerSpec, Enforcement};

/// Keys of a breaker that a candidate does not have, and why not.
const NOT_ITS_OWN: [(&str, &str); 3] = [
    ("enforcement", "is not a candidate's: it never rejects"),
    (
        "key",
        "is not a candidate's: it watches the calls of all keys",
    ),
    (
        "max_keys",
        "is not a candidate's: it watches the calls of all keys",
    ),
];

/// Reads the candidates of a route whose own breaker is written as `own`: keys that a candidate lacks are taken from there.
pub(super) fn shadows(
    fields: &mut Fields<'_, '_>,
    own: Option<&Node>,
    timeout: Timeout,
    scope: Scope,
) -> Vec<(String, BreakerSpec)> {
    if fields.is_off("shadow") {
        return Vec::new();
    }
    let (mut entries, _) = fields.named("shadow");
    if let Some(entry) = entries.get(MOST) {
        let message = format!("`shadow` has more than {MOST} candidates");
        let problem = Problem::error(Code::Shadow, entry.key.span, message);
        fields
            .problems
            .push(problem.hint("each of them sees every call: remove some"));
        entries.truncate(MOST);
    }
    let is_on =
        |entry: &&&Entry| !matches!(&entry.node.value, Value::Scalar(text) if text.text == "off");
    let mut specs = Vec::new();
    for Entry { key, node } in entries.iter().filter(is_on) {
        check_name("a candidate", key, fields.problems);
        let settings = laid(own, node);
        let spec = mapping(
            &CANDIDATE,
            &show(&key.text),
            Some(&settings),
            fields.problems,
            |fields| {
                for (key, why) in NOT_ITS_OWN {
                    fields.refuse(key, why);
                }
                breaker(fields, Enforcement::Enforce, timeout, scope)
            },
        );
        specs.extend(spec.map(|spec| (key.text.clone(), spec)));
    }
    specs.sort_by(|(a, _), (b, _)| a.cmp(b));
    specs
}

/// Merges the settings of a candidate over those of the route's breaker.
pub(in crate::config) fn laid(own: Option<&Node>, candidate: &Node) -> Node {
    let Some(own) = own else {
        return merge(&Node::built_in([]), candidate, &CANDIDATE);
    };
    let is_its_own = |entry: &&Entry| !NOT_ITS_OWN.iter().any(|(key, _)| *key == entry.key.text);
    let entries = own.entries().iter().filter(is_its_own).cloned().collect();
    let base = Node {
        span: own.span,
        value: Value::Mapping(entries),
    };
    merge(&base, candidate, &CANDIDATE)
}

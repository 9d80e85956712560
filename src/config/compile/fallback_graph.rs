//! Where the fallbacks of all routes lead: to routes that exist, and never in a circle.

use std::collections::BTreeMap;

use crate::config::excerpt::show;
use crate::config::problem::{Code, Problem, Problems};
use crate::config::suggest::routes;
use crate::config::tree::{Node, Span, Value};

/// The most routes that fall back to one another in a row: each is one call more for a caller that waits.
const MAX_CHAIN: usize = 8;

/// The routes that each route falls back to, and where that is written.
#[derive(Default)]
pub(super) struct FallbackGraph {
    targets: BTreeMap<String, Vec<(String, Span)>>,
}

impl FallbackGraph {
    /// Adds a route by its settings. `place` is the route's own, for a fallback that has none in the file.
    pub(super) fn add(&mut self, name: &str, settings: &Node, place: Span) {
        let targets = settings
            .entry("fallback")
            .map(|entry| match &entry.node.value {
                Value::Sequence(items) => items
                    .iter()
                    .filter_map(|item| target(item, place))
                    .collect(),
                Value::Null | Value::Scalar(_) | Value::Mapping(_) | Value::Unusable => {
                    target(&entry.node, place).into_iter().collect()
                }
            });
        self.targets
            .insert(name.to_owned(), targets.unwrap_or_default());
    }

    /// Reports fallbacks that lead nowhere or in a circle.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (target, span) in self.targets.values().flatten() {
            if !self.targets.contains_key(target) {
                self.refuse_unknown(target, *span, problems);
            }
        }
        // The lengths of the chains, by their first route.
        let mut lengths = BTreeMap::new();
        for name in self.targets.keys() {
            self.walk(name, &mut lengths, problems);
        }
    }

    fn refuse_unknown(&self, target: &str, span: Span, problems: &mut Problems) {
        let message = format!("no route is called `{}`", show(target));
        let problem = Problem::error(Code::FallbackRoute, span, message);
        let names = || self.targets.keys().map(String::as_str);
        let meant = problems.nearest(target, names());
        problems.push(match meant {
            Some(_) => problem.meant(meant),
            None => problem.help(routes(names())),
        });
    }

    /// Follows all fallbacks from `start`, depth first, without recursion: thousands of routes may be one chain.
    fn walk<'a>(
        &'a self,
        start: &'a str,
        lengths: &mut BTreeMap<&'a str, usize>,
        problems: &mut Problems,
    ) {
        let targets = |name: &str| self.targets.get(name).map_or(&[][..], |found| &found[..]);
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((name, next)) = path.last_mut() {
            if lengths.contains_key(name) {
                path.pop();
                continue;
            }
            let Some((target, span)) = targets(name).get(*next) else {
                let behind = targets(name)
                    .iter()
                    .filter_map(|(target, _)| lengths.get(target.as_str()));
                let length = 1 + behind.max().copied().unwrap_or(0);
                if length == MAX_CHAIN + 1 {
                    let span = targets(name)
                        .first()
                        .map_or(Span::BUILT_IN, |first| first.1);
                    let message = format!("more than {MAX_CHAIN} routes fall back to one another");
                    problems.push(Problem::error(Code::Budget, span, message));
                }
                lengths.insert(name, length);
                path.pop();
                continue;
            };
            *next += 1;
            match path.iter().position(|(name, _)| name == target) {
                Some(begin) => problems.push(self.circle(&path[begin..], *span)),
                None => path.push((target, 0)),
            }
        }
    }

    /// One report for a circle: where it is closed, with the place where it began.
    fn circle(&self, circle: &[(&str, usize)], span: Span) -> Problem {
        let names: Vec<String> = circle
            .iter()
            .chain(circle.first())
            .map(|(name, _)| format!("`{}`", show(name)))
            .collect();
        let message = format!("fallbacks lead in a circle: {}", names.join(" → "));
        let problem = Problem::error(Code::FallbackCycle, span, message);
        let first = circle.first().and_then(|(name, next)| {
            let (_, span) = self.targets.get(*name)?.get(next.checked_sub(1)?)?;
            Some(*span)
        });
        match first {
            Some(first) if first != span && first.is_in_file() => {
                problem.hint(format!("it begins in line {}", first.line))
            }
            Some(_) | None => problem.hint("end it with `fallback: off`, or with a `respond`"),
        }
    }
}

fn target(node: &Node, place: Span) -> Option<(String, Span)> {
    let entry = node.entry("route")?;
    let Value::Scalar(scalar) = &entry.node.value else {
        return None;
    };
    Some((scalar.text.clone(), entry.node.span.or(place)))
}

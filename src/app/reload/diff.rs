//! The difference between two configurations.

use std::fmt;
use std::sync::Arc;

use crate::snapshot::{Route, Snapshot};

/// The most routes that a log line names; the rest are counted.
const MOST_NAMED: usize = 8;

/// Whether nothing would change, neither in the configuration nor in the files that it names.
pub(super) fn is_same(before: &Snapshot, after: &Snapshot) -> bool {
    before.revision == after.revision && before.plan == after.plan
}

/// What a reload does to routes. As text it is `+1 ~2 -0 routes`.
pub(super) struct Changes {
    added: usize,
    /// How many keep all of their state under other settings.
    pub(super) migrated: usize,
    removed: usize,
    /// How many are unchanged.
    pub(super) kept: usize,
    /// Those of which something begins anew.
    reset: Vec<Reset>,
}

struct Reset {
    route: Arc<str>,
    what: Vec<&'static str>,
}

impl Changes {
    pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let mut changes = Self {
            added: 0,
            migrated: 0,
            removed: 0,
            kept: 0,
            reset: Vec::new(),
        };
        for route in &after.routes {
            match before.route(&route.name) {
                None => changes.added += 1,
                Some(old) if Arc::ptr_eq(old, route) => changes.kept += 1,
                Some(old) => {
                    let what = begun_anew(old, route);
                    if what.is_empty() {
                        changes.migrated += 1;
                    } else {
                        let route = Arc::clone(&route.name);
                        changes.reset.push(Reset { route, what });
                    }
                }
            }
        }
        let survivors = after.routes.len() - changes.added;
        changes.removed = before.routes.len() - survivors;
        changes
    }

    /// Which routes lost something and what, if any did: `crm (connections, breaker window)`.
    pub(super) fn reset(&self) -> Option<String> {
        let named = self.reset.iter().take(MOST_NAMED);
        let mut named: Vec<String> = named
            .map(|Reset { route, what }| format!("{route} ({})", what.join(", ")))
            .collect();
        if let Some(more @ 1..) = self.reset.len().checked_sub(MOST_NAMED) {
            named.push(format!("{more} more"));
        }
        (!named.is_empty()).then(|| named.join(", "))
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = self.migrated + self.reset.len();
        write!(f, "+{} ~{changed} -{} routes", self.added, self.removed)
    }
}

/// What of a route that is in both begins anew. Its breaker, its counters and its limits always go on.
fn begun_anew(old: &Route, new: &Route) -> Vec<&'static str> {
    let window = |route: &Route| route.plan.breaker.keys().window;
    let is_other = |what, is_other: bool| is_other.then_some(what);
    [
        is_other("breaker window", window(old) != window(new)),
        is_other("breakers of keys", replaced(&old.keyed, &new.keyed)),
        is_other("connections", !Arc::ptr_eq(&old.upstream, &new.upstream)),
        is_other("kept answers", replaced(&old.stale, &new.stale)),
        is_other("rates", {
            let rate = |route: &Route| route.limits.rate.as_ref().map(|rate| rate.limit.clone());
            replaced(&rate(old), &rate(new))
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn replaced<T>(old: &Option<Arc<T>>, new: &Option<Arc<T>>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
        (None, _) | (_, None) => false,
    }
}

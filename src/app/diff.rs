//! What one configuration has that another has not.

use std::sync::Arc;

use crate::snapshot::{Route, Snapshot};

/// Whether nothing would change: neither what was written nor what the files it names hold.
pub(super) fn is_same(before: &Snapshot, after: &Snapshot) -> bool {
    before.revision == after.revision
        && before.plan == after.plan
        && after.routes.iter().all(|route| is_kept(before, route))
}

/// Whether a route is the very one that was in force before.
fn is_kept(before: &Snapshot, route: &Arc<Route>) -> bool {
    before
        .route(&route.name)
        .is_some_and(|old| Arc::ptr_eq(old, route))
}

/// `+1 ~2 -0 routes`.
pub(super) fn changes(before: &Snapshot, after: &Snapshot) -> String {
    let is_missing = |from: &Snapshot, route: &Arc<Route>| from.route(&route.name).is_none();
    let count = |routes: &[Arc<Route>], is_counted: &dyn Fn(&Arc<Route>) -> bool| {
        routes.iter().filter(|route| is_counted(route)).count()
    };
    let added = count(&after.routes, &|route| is_missing(before, route));
    let removed = count(&before.routes, &|route| is_missing(after, route));
    let changed = count(&after.routes, &|route| !is_kept(before, route)) - added;
    format!("+{added} ~{changed} -{removed} routes")
}

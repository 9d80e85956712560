//! The plan and its live objects at one moment.
//!
//! A snapshot is published whole and last (`arc-swap`); a request that began on one finishes on it. What survives a reload is carried
//! over by name: a route keeps its breaker and counters, an upstream whose settings did not change keeps its connections.

mod build;
mod expected;
pub mod limits;
mod observer;
mod overrides;
mod owners;
mod remember;
pub mod route;
pub mod router;
mod waiters;
mod watchers;

use std::collections::HashSet;
use std::sync::Arc;

pub use build::{BuildError, Ingredients, Prepared, prepare};
pub use limits::Limits;
pub use remember::Recalled;
pub use route::{Edits, Route};
pub use router::{Call, Destination, Miss, Router, Way};

use self::overrides::{Before, Turn, overrule};
use crate::config::Source;
use crate::config::plan::Plan;
use crate::time::Moment;

/// A plan that is in force, with its live objects.
#[derive(Debug)]
pub struct Snapshot {
    /// What is in force.
    pub plan: Arc<Plan>,
    /// Identifies the configuration's content.
    pub revision: String,
    /// What the plan was made of.
    pub source: Arc<Source>,
    /// The routes in the order of their names.
    pub routes: Vec<Arc<Route>>,
    /// Those of them that have an active probe.
    pub probed: Vec<Arc<Route>>,
    /// The upstreams in force, by their ids.
    pub upstreams: HashSet<u64>,
    /// Finds the route of a request.
    pub router: Router,
}

impl Snapshot {
    /// The route of that name.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&Arc<Route>> {
        self.place(name).map(|index| &self.routes[index])
    }

    /// Measures anew how long those overrides last that end at a time of day: after a suspend less is left than their holds
    /// know.
    pub fn measure_overrides(&self, moment: Moment) {
        for route in &self.routes {
            let plan = route.plan.overridden.as_deref();
            if plan.is_some() {
                let turn = Turn {
                    before: Before::Same,
                    after: plan,
                };
                overrule(&route.breaker, &turn, moment);
            }
        }
    }

    /// The place of the route of that name.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.routes
            .binary_search_by(|route| (*route.name).cmp(name))
            .ok()
    }
}

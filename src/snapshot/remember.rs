//! What outlives the process of a snapshot's breakers, and how a new snapshot takes it up.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use super::{Prepared, Snapshot};
use crate::config::plan::{Forced, OverridePlan};
use crate::failure::Failure;
use crate::resilience::{Key, Memory, Remembered, grpc};

impl Snapshot {
    /// What is to be saved of its breakers. Breakers of single keys and candidates are not among it: they begin anew.
    #[must_use]
    pub fn remember(&self, wall: SystemTime, now: Instant) -> Memory {
        let mut routes = BTreeMap::new();
        for route in &self.routes {
            let remembered = Remembered {
                breaker: route.breaker.save(now),
                overridden: route.plan.overridden.as_ref().map(fingerprint),
            };
            if remembered != Remembered::default() {
                routes.insert((*route.name).to_owned(), remembered);
            }
        }
        Memory::new(wall, routes)
    }
}

impl Prepared {
    /// Takes up what an earlier process saved, before the first commit; says of how many routes. What was saved of routes that are no
    /// more is forgotten. An override that was obeyed already is not obeyed again, so that an operator's later word stays.
    pub fn recall(&mut self, memory: &Memory, wall: SystemTime, now: Instant) -> usize {
        let elapsed = memory.age(wall);
        let mut recalled = 0;
        for (place, route) in self.snapshot.routes.iter().enumerate() {
            let Some(remembered) = memory.routes.get(&*route.name) else {
                continue;
            };
            if let Some(saved) = &remembered.breaker {
                route.breaker.resume(saved, elapsed, &word, now);
                recalled += 1;
            }
            let Some(obeyed) = &remembered.overridden else {
                continue;
            };
            let before = match &route.plan.overridden {
                Some(plan) if fingerprint(plan) == *obeyed => plan.clone(),
                Some(plan) => other_than(plan),
                None => GONE,
            };
            self.overridden.retain(|(other, _)| *other != place);
            self.overridden.push((place, Some(before)));
        }
        recalled
    }
}

/// Stands for an override that was there when the state was saved and is no more: that there was one is all that counts.
const GONE: OverridePlan = OverridePlan {
    force: Forced::Open,
    until: None,
    reason: None,
};

/// Stands for an override that was another one when the state was saved: all that counts is that it differs.
fn other_than(plan: &OverridePlan) -> OverridePlan {
    OverridePlan {
        force: match plan.force {
            Forced::Open => Forced::Closed,
            Forced::Closed => Forced::Open,
        },
        ..GONE
    }
}

/// Tells one override from another.
fn fingerprint(plan: &OverridePlan) -> String {
    let OverridePlan {
        force,
        until,
        reason,
    } = plan;
    Key::of(format!("{force:?} {until:?} {reason:?}").as_bytes()).to_string()
}

/// The labels of failures are words of ours.
fn word(text: &str) -> Option<&'static str> {
    let labels = Failure::ALL.into_iter().map(Failure::label);
    labels
        .chain(grpc::LABELS)
        .chain(["slow"])
        .find(|label| *label == text)
}

//! The state of a snapshot's routes that outlives the process, and how a new snapshot restores it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::overrides::Before;
use super::{Prepared, Route, Snapshot};
use crate::config::plan::{Forced, KeySource, OverridePlan};
use crate::failure::Failure;
use crate::resilience::{Key, Memory, Remembered, RememberedKeys, SavedPauses, grpc};
use crate::time::Moment;

/// The most keys of one route that are saved, the worst first: as many as have a breaker by default.
const KEYS_OF_ROUTE: usize = 1_000;
/// The most keys that are saved in all: a few megabytes, written at most once a second.
const KEYS_OF_ALL: usize = 10_000;

/// How much was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Breakers of routes.
    pub breakers: usize,
    /// Breakers of single keys.
    pub keys: usize,
    /// Pauses, those of single keys included.
    pub pauses: usize,
}

impl Snapshot {
    /// The state to save: the routes' breakers, breakers of keys that have something to remember, candidates and pauses.
    #[must_use]
    pub fn remember(&self, moment: Moment) -> Memory {
        let mut routes = BTreeMap::new();
        let mut room = KEYS_OF_ALL;
        for route in &self.routes {
            let remembered = remember(route, &mut room, moment.now);
            if remembered != Remembered::default() {
                routes.insert((*route.name).to_owned(), remembered);
            }
        }
        Memory::new(moment.wall, routes)
    }
}

fn remember(route: &Route, room: &mut usize, now: Instant) -> Remembered {
    let most = KEYS_OF_ROUTE.min(*room);
    let breakers = route.keyed.as_ref().map(|keyed| keyed.save(most, now));
    let breakers = breakers.unwrap_or_default();
    *room -= breakers.len();
    let pauses = route.limits.throttle.save(KEYS_OF_ROUTE.min(*room), now);
    *room -= pauses.keys();
    let has_keys = !breakers.is_empty() || pauses.keys() > 0;
    Remembered {
        breaker: route.breaker.save(now),
        overridden: route.plan.overridden.as_deref().map(fingerprint),
        keyed: source(route)
            .filter(|_| has_keys)
            .map(|source| RememberedKeys { source, breakers }),
        shadows: route
            .shadows
            .as_ref()
            .map(|shadows| shadows.save(now))
            .unwrap_or_default(),
        pauses: (pauses.count() > 0).then_some(pauses),
    }
}

impl Prepared {
    /// Restores what an earlier process saved, before the first commit; says how much. State of routes that no longer exist is
    /// dropped, and so is that of keys if another part of the request is the key now. An override that was obeyed already is
    /// not obeyed again, so that an operator's later order stays.
    pub fn recall(&mut self, memory: &Memory, moment: Moment) -> Recalled {
        let elapsed = memory.age(moment.wall);
        let mut recalled = Recalled::default();
        for (place, route) in self.snapshot.routes.iter().enumerate() {
            let Some(remembered) = memory.routes.get(&*route.name) else {
                continue;
            };
            recalled.add(recall(route, remembered, elapsed, moment.now));
            let Some(obeyed) = &remembered.overridden else {
                continue;
            };
            let before = match route.plan.overridden.as_deref() {
                Some(plan) if fingerprint(plan) == *obeyed => Before::Same,
                Some(_) | None => Before::Another,
            };
            self.overridden.retain(|(other, _)| *other != place);
            self.overridden.push((place, before));
        }
        recalled
    }
}

fn recall(route: &Route, remembered: &Remembered, elapsed: Duration, now: Instant) -> Recalled {
    let Remembered {
        breaker,
        overridden: _,
        keyed,
        shadows,
        pauses,
    } = remembered;
    let mut recalled = Recalled::default();
    if let Some(saved) = breaker {
        route.breaker.resume(saved, elapsed, &word, now);
        recalled.breakers = 1;
    }
    let source = source(route);
    let known = keyed
        .as_ref()
        .filter(|keys| source.as_ref() == Some(&keys.source));
    if let (Some(keys), Some(keyed)) = (known, &route.keyed) {
        let resumes = |(key, saved): &&(Key, _)| keyed.resume(*key, (saved, elapsed), &word, now);
        recalled.keys = keys.breakers.iter().filter(resumes).count();
    }
    if let Some(candidates) = &route.shadows {
        candidates.resume(shadows, elapsed, &word, now);
    }
    if let Some(pauses) = pauses.clone()
        && route.plan.throttle.is_some()
    {
        let pauses = match known {
            Some(_) => pauses,
            None => SavedPauses::of_route(pauses),
        };
        route.limits.throttle.resume(&pauses, elapsed, now);
        recalled.pauses = pauses.count();
    }
    recalled
}

impl Recalled {
    fn add(&mut self, other: Self) {
        self.breakers += other.breakers;
        self.keys += other.keys;
        self.pauses += other.pauses;
    }
}

/// Names the part of a request that is the key of a route's calls.
fn source(route: &Route) -> Option<String> {
    let keyed = route.plan.keyed.as_ref()?;
    Some(key_source(&keyed.by))
}

/// The fingerprint of `header:NAME`, `path_segment:NUMBER` or `host`: part of the state file's format.
fn key_source(by: &KeySource) -> String {
    let text = match by {
        KeySource::Header(name) => format!("header:{name}"),
        KeySource::PathSegment(number) => format!("path_segment:{number}"),
        KeySource::Host => "host".to_owned(),
    };
    Key::of(text.as_bytes()).to_string()
}

/// Tells one override from another: the fingerprint of `WAY;END;REASON` with the end in milliseconds since 1970, empty where there is
/// none. Part of the state file's format.
fn fingerprint(plan: &OverridePlan) -> String {
    let OverridePlan {
        force,
        until,
        reason,
    } = plan;
    let way = match force {
        Forced::Open => "open",
        Forced::Closed => "closed",
    };
    let end = until.map_or_else(String::new, |until| {
        let since = until.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_millis().to_string()
    });
    let reason = reason.as_deref().unwrap_or_default();
    Key::of(format!("{way};{end};{reason}").as_bytes()).to_string()
}

/// The program's own string for a saved label: labels of failures are fixed words.
fn word(text: &str) -> Option<&'static str> {
    let labels = Failure::ALL.into_iter().map(Failure::label);
    labels
        .chain(grpc::LABELS)
        .chain(["slow"])
        .find(|label| *label == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_in_the_state_file_are_the_same_in_every_version() {
        for (by, digits) in [
            (
                KeySource::Header("X-Tenant".parse().unwrap()),
                "d2b8040a6e01bf21",
            ),
            (KeySource::PathSegment(2), "b12f0a9a2a6a5cab"),
            (KeySource::Host, "4740ae6347b0172c"),
        ] {
            assert_eq!(key_source(&by), digits, "{by:?}");
        }
        let until = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_398_400_000);
        let held = OverridePlan {
            force: Forced::Open,
            until: Some(until),
            reason: Some("INC-2".to_owned()),
        };
        assert_eq!(fingerprint(&held), "6a91c41a63278c9e");
        let bare = OverridePlan {
            force: Forced::Closed,
            until: None,
            reason: None,
        };
        assert_eq!(fingerprint(&bare), "32a9aa6c76e1b327");
    }
}

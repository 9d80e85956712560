//! The state of a throttle that outlives the process: the pauses that are not released yet.
//!
//! A pause whose end has passed meanwhile is resumed as well: its calls leave one by one until the first that succeeds.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::resilience::anchor::{Anchor, Millis};
use crate::resilience::key::Key;
use crate::resilience::throttle::machine::{MAX_KEYS, Machine};
use crate::resilience::throttle::pause::Pause;

/// The pauses of a route, as they are saved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPauses {
    route: Option<SavedPause>,
    /// The pauses of keys; those that end last, if there are more than may be saved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<(Key, SavedPause)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SavedPause {
    since: Millis,
    left: Millis,
    in_a_row: u32,
}

impl SavedPauses {
    /// How many pauses these are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.route.is_some()) + self.keys.len()
    }

    /// How many of them are of single keys.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Without those of keys, which mean nothing if another part of the request is the key.
    #[must_use]
    pub fn of_route(self) -> Self {
        Self {
            keys: Vec::new(),
            ..self
        }
    }
}

impl Machine {
    /// The pauses at `now`, those of keys at most so many.
    pub(super) fn save(&mut self, most_keys: usize, now: Instant) -> SavedPauses {
        self.advance(now);
        self.sweep();
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(key, pause)| (std::cmp::Reverse(pause.until), **key));
        keys.truncate(most_keys);
        let now = self.latest;
        SavedPauses {
            route: self.route.as_ref().map(|pause| SavedPause::of(pause, now)),
            keys: keys
                .into_iter()
                .map(|(key, pause)| (*key, SavedPause::of(pause, now)))
                .collect(),
        }
    }

    /// Resumes the pauses that were saved `elapsed` before `now`; only for a throttle that has obeyed no wish yet. No pause is
    /// longer than the settings allow, whatever was saved; without settings there is none.
    pub(super) fn resume(&mut self, saved: &SavedPauses, elapsed: Duration, now: Instant) {
        self.advance(now);
        let Some(spec) = self.spec else {
            return;
        };
        let anchor = Anchor {
            now: self.latest,
            elapsed,
        };
        self.epoch += 1;
        let (epoch, longest) = (self.epoch, spec.max);
        let pause = |saved: &SavedPause| Pause {
            epoch,
            since: anchor.past(saved.since),
            until: anchor.end(saved.left.time().min(longest)),
            counted_from: anchor.now,
            in_a_row: saved.in_a_row,
            is_tried: false,
        };
        self.route = saved.route.as_ref().map(pause).map(Box::new);
        let keys = saved.keys.iter().take(MAX_KEYS);
        self.keys = keys.map(|(key, saved)| (*key, pause(saved))).collect();
        self.rouse_all();
    }
}

impl SavedPause {
    fn of(pause: &Pause, now: Instant) -> Self {
        Self {
            since: Millis::of(now.saturating_duration_since(pause.since)),
            left: Millis::of(pause.until.saturating_duration_since(now)),
            in_a_row: pause.in_a_row,
        }
    }
}

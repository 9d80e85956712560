//! Which waiting calls may go, and which are woken.

use crate::resilience::key::Key;
use crate::resilience::line::Wake;
use crate::resilience::throttle::machine::{Halt, Machine};
use crate::resilience::throttle::pause::{Lane, Pause};

impl Machine {
    pub(super) fn route_lane(&self) -> Lane {
        Pause::lane(self.route.as_deref(), self.latest)
    }

    pub(super) fn key_lane(&self, key: Option<Key>) -> Lane {
        Pause::lane(key.and_then(|key| self.keys.get(&key)), self.latest)
    }

    /// The places in the line of the calls that may go, from the front.
    pub(super) fn going(&self) -> Vec<usize> {
        let mut going = Vec::new();
        let mut route = self.route_lane();
        let mut taken: Vec<Key> = Vec::new();
        for (place, waiter) in self.line.iter().enumerate() {
            if route == Lane::Shut {
                break;
            }
            let is_taken = waiter.tag.is_some_and(|key| taken.contains(&key));
            let lane = self.key_lane(waiter.tag);
            if is_taken || lane == Lane::Shut {
                continue;
            }
            going.push(place);
            if lane == Lane::One {
                taken.extend(waiter.tag);
            }
            if route == Lane::One {
                route = Lane::Shut;
            }
        }
        going
    }

    pub(super) fn rouse_going(&mut self) {
        let going = self.going();
        let wakes = going.into_iter().filter_map(|place| self.line.at(place));
        self.roused
            .extend(wakes.map(|waiter| Wake::clone(&waiter.wake)));
    }

    pub(super) fn rouse_all(&mut self) {
        self.roused
            .extend(self.line.iter().map(|waiter| Wake::clone(&waiter.wake)));
    }

    pub(super) fn halt(&self, key: Option<Key>) -> Halt {
        let pauses = [
            self.route.as_deref(),
            key.and_then(|key| self.keys.get(&key)),
        ];
        let until = pauses.into_iter().flatten().map(|pause| pause.until).max();
        match until.filter(|until| *until > self.latest) {
            Some(retry_at) => Halt {
                retry_at,
                is_releasing: false,
            },
            None => Halt {
                retry_at: self.latest + self.spec.unwrap_or_default().min,
                is_releasing: true,
            },
        }
    }
}

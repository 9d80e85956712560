//! The state of a throttle: the pauses and the line of waiting calls.
//!
//! Time passes only in calls. A pause that is over is kept: it lets out one call at a time, until one of them shows that the
//! upstream accepts calls again.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::resilience::jitter::Jitter;
use crate::resilience::key::Key;
use crate::resilience::line::{Line, Wake};
use crate::resilience::outcome::Outcome;
use crate::resilience::signal::{Scope, Signal};
use crate::resilience::throttle::pause::{Lane, Pause};
use crate::resilience::throttle::spec::ThrottleSpec;
use crate::resilience::throttle::view::Change;

/// An extension of a pause by less than this is not reported: callers are told whole seconds.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// The most keys that are paused at once. Further keys are not paused: their calls go to the upstream, which refuses them
/// itself.
pub(super) const MAX_KEYS: usize = 10_000;
/// How long after its pause a key without a call is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How often forgotten keys are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The state of a throttle.
pub(super) struct Machine {
    pub(super) spec: Option<ThrottleSpec>,
    jitter: Jitter,
    /// The latest instant seen: threads do not arrive in the order of their readings.
    pub(super) latest: Instant,
    /// Counts the pauses. What was sent before a pause began has a lower number.
    pub(super) epoch: u64,
    pub(super) route: Option<Box<Pause>>,
    pub(super) keys: HashMap<Key, Pause>,
    sweep_at: Option<Instant>,
    pub(super) line: Line<Option<Key>>,
    /// The total length of the route's finished pauses.
    pub(super) paused_before: Duration,
    changes: VecDeque<Change>,
    pub(super) roused: Vec<Wake>,
}

/// The right to make a call now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admission {
    /// How many pauses there had been.
    pub(super) epoch: u64,
    /// The number of the route's pause that this call decides.
    route: Option<u64>,
    /// The same for its key.
    key: Option<u64>,
}

/// The call may not go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    /// When to ask again: at the end of the pause, or soon while a deciding call is in flight.
    pub retry_at: Instant,
    /// The pause is over, and calls leave one by one.
    pub is_releasing: bool,
}

/// The result of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) signal: Option<Signal>,
    pub(super) key: Option<Key>,
}

impl Admission {
    pub(super) const fn free(epoch: u64) -> Self {
        Self {
            epoch,
            route: None,
            key: None,
        }
    }

    /// Whether the call's result decides a pause.
    pub(super) const fn decides(&self) -> bool {
        self.route.is_some() || self.key.is_some()
    }
}

impl Machine {
    pub(super) fn new(spec: Option<ThrottleSpec>, seed: u64, now: Instant) -> Self {
        Self {
            spec,
            jitter: Jitter::new(seed),
            latest: now,
            epoch: 0,
            route: None,
            keys: HashMap::new(),
            sweep_at: None,
            line: Line::default(),
            paused_before: Duration::ZERO,
            changes: VecDeque::new(),
            roused: Vec::new(),
        }
    }

    pub(super) fn spec(&self) -> Option<ThrottleSpec> {
        self.spec
    }

    /// The number of pauses so far, when none is in force: every call passes.
    pub(super) fn all_pass(&self) -> Option<u64> {
        (self.route.is_none() && self.keys.is_empty()).then_some(self.epoch)
    }

    /// Whether no call of the route may go.
    pub(super) fn is_shut(&mut self, now: Instant) -> bool {
        self.advance(now);
        self.route_lane() == Lane::Shut
    }

    /// Checks whether a call may go: a new one, or the one in line under that number.
    pub(super) fn look(
        &mut self,
        key: Option<Key>,
        place: Option<u64>,
        now: Instant,
    ) -> Result<(), Halt> {
        self.advance(now);
        self.sweep();
        let (mut route, mut lane) = (self.route_lane(), self.key_lane(key));
        for going in self.going() {
            let is_me = place.is_some_and(|place| self.line.position(place) == Some(going));
            if is_me {
                break;
            }
            // A call ahead in the line takes the turn.
            if route == Lane::One {
                route = Lane::Shut;
            }
            if lane == Lane::One && self.line.at(going).is_some_and(|it| it.tag == key) {
                lane = Lane::Shut;
            }
        }
        if route == Lane::Shut || lane == Lane::Shut {
            return Err(self.halt(key));
        }
        Ok(())
    }

    /// The same, and admits it: it leaves the line.
    pub(super) fn ask(
        &mut self,
        key: Option<Key>,
        place: Option<u64>,
        now: Instant,
    ) -> Result<Admission, Halt> {
        self.look(key, place, now)?;
        let try_out = |pause: Option<&mut Pause>| {
            let pause = pause?;
            pause.is_tried = true;
            Some(pause.epoch)
        };
        let admission = Admission {
            epoch: self.epoch,
            route: try_out(self.route.as_deref_mut()),
            key: try_out(key.and_then(|key| self.keys.get_mut(&key))),
        };
        if let Some(place) = place {
            self.line.leave(place);
        }
        Ok(admission)
    }

    /// Joins the line; `None` when it is full.
    pub(super) fn join(&mut self, key: Option<Key>, wake: Wake) -> Option<u64> {
        let spec = self.spec?;
        (self.line.len() < spec.max_waiting).then(|| self.line.join(key, wake))
    }

    /// Leaves the line, so that the call behind may be next.
    pub(super) fn leave(&mut self, place: u64) {
        if self.line.leave(place) {
            self.rouse_going();
        }
    }

    /// Takes back an admission with the result of its call.
    pub(super) fn settle(&mut self, admission: &Admission, finding: Finding, now: Instant) {
        self.advance(now);
        let Finding {
            outcome,
            signal,
            key,
        } = finding;
        let scope = match (outcome, signal) {
            (Outcome::Throttled, Some(signal)) => Some(signal.scope),
            _ => None,
        };
        // Any answer that does not ask for a pause ends it, as it would count for a probe of a breaker.
        let is_taken = matches!(outcome, Outcome::Success | Outcome::Alive);
        if let Some(number) = admission.route.filter(|_| scope != Some(Scope::Route)) {
            let mut pause = self.route.take_if(|pause| pause.epoch == number);
            if let Some(pause) = pause.as_mut() {
                pause.is_tried = false;
            }
            match pause {
                Some(pause) if is_taken => self.released(None, &pause),
                Some(pause) => self.route = Some(pause),
                None => {}
            }
        }
        if let (Some(number), Some(key)) =
            (admission.key.filter(|_| scope != Some(Scope::Key)), key)
            && let Some(pause) = self.keys.get_mut(&key).filter(|it| it.epoch == number)
        {
            pause.is_tried = false;
            if is_taken && let Some(pause) = self.keys.remove(&key) {
                self.released(Some(key), &pause);
            }
        }
        match (scope, signal) {
            (Some(Scope::Route), Some(signal)) => self.signalled(None, admission, signal.pause),
            // Without a key it is unknown which calls are meant, so no others are paused.
            (Some(Scope::Key), Some(signal)) if key.is_some() => {
                self.signalled(key, admission, signal.pause);
            }
            _ => {}
        }
        self.rouse_going();
    }

    /// Takes back the admission of a call that was given up.
    pub(super) fn give_up(&mut self, admission: &Admission, finding: Finding) {
        self.settle(admission, finding, self.latest);
    }

    /// Gives it new settings. A pause that runs goes on, within the new `max`; with `None` all of them end.
    pub(super) fn respec(&mut self, spec: Option<ThrottleSpec>, now: Instant) {
        self.advance(now);
        self.spec = spec;
        let Some(spec) = spec else {
            return self.release(now);
        };
        let route = self.route.as_deref_mut();
        for pause in route.into_iter().chain(self.keys.values_mut()) {
            pause.until = pause.until.min(pause.since + spec.max);
        }
        self.rouse_all();
    }

    /// Ends every pause.
    pub(super) fn release(&mut self, now: Instant) {
        self.advance(now);
        if let Some(pause) = self.route.take() {
            self.released(None, &pause);
        }
        for (key, pause) in std::mem::take(&mut self.keys) {
            self.released(Some(key), &pause);
        }
        self.rouse_all();
    }

    /// Ends the pause of that key, if it has one.
    pub(super) fn release_key(&mut self, key: Key, now: Instant) {
        self.advance(now);
        if let Some(pause) = self.keys.remove(&key) {
            self.released(Some(key), &pause);
            self.rouse_all();
        }
    }

    /// The next change to be told.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    pub(super) fn has_change(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The calls to wake.
    pub(super) fn roused(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.roused)
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
    }

    fn signalled(&mut self, key: Option<Key>, admission: &Admission, wish: Option<Duration>) {
        let Some(spec) = self.spec else {
            return;
        };
        let now = self.latest;
        let pause = match key {
            None => self.route.as_deref_mut(),
            Some(key) => self.keys.get_mut(&key),
        };
        let (in_a_row, took) = match pause {
            None => (1, Duration::ZERO),
            // Sent before this pause began: nothing new, unless it names a later end.
            Some(pause) if admission.epoch < pause.epoch => {
                let Some(wish) = wish else {
                    return;
                };
                let until = now + spec.pause(Some(wish), pause.in_a_row);
                if until <= pause.until {
                    return;
                }
                if pause.until > now {
                    if until - pause.until >= WORTH_TELLING {
                        let change = Change::Lengthened { key, until, wish };
                        self.changes.push_back(change);
                    }
                    pause.until = until;
                    return self.rouse_all();
                }
                (pause.in_a_row, pause.took(now))
            }
            Some(pause) => (pause.in_a_row.saturating_add(1), pause.took(now)),
        };
        if key.is_none() {
            self.paused_before += took;
        } else if !self.has_room() {
            return;
        }
        self.epoch += 1;
        let length = self
            .jitter
            .lengthen(spec.pause(wish, in_a_row), spec.jitter);
        let pause = Pause {
            epoch: self.epoch,
            since: now,
            until: now + length,
            counted_from: now,
            in_a_row,
            is_tried: false,
        };
        self.changes.push_back(Change::Throttled {
            key,
            until: pause.until,
            wish,
            in_a_row,
        });
        match key {
            None => self.route = Some(Box::new(pause)),
            Some(key) => {
                self.keys.insert(key, pause);
            }
        }
        // They may not be able to wait that long.
        self.rouse_all();
    }

    fn released(&mut self, key: Option<Key>, pause: &Pause) {
        let now = self.latest;
        if key.is_none() {
            self.paused_before += pause.took(now);
        }
        let after = now.saturating_duration_since(pause.since);
        self.changes.push_back(Change::Released { key, after });
    }

    fn has_room(&mut self) -> bool {
        self.keys.len() < MAX_KEYS || {
            self.sweep();
            self.keys.len() < MAX_KEYS
        }
    }

    /// Forgets keys whose pause is long over.
    pub(super) fn sweep(&mut self) {
        let now = self.latest;
        if self.keys.is_empty() || self.sweep_at.is_some_and(|at| now < at) {
            return;
        }
        self.sweep_at = Some(now + SWEEP_EVERY);
        self.keys
            .retain(|_, pause| pause.is_tried || pause.until + FORGOTTEN_AFTER > now);
        if self.keys.is_empty() {
            self.keys = HashMap::new();
        }
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("route", &self.route)
            .field("keys", &self.keys.len())
            .field("waiting", &self.line.len())
            .finish_non_exhaustive()
    }
}

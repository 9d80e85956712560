//! The throttle said again, as simply as can be.

use std::collections::BTreeMap;

use super::*;

/// Times are milliseconds since the start.
pub(super) type Millis = u64;

/// Whom a pause is for: a key by its number, or the route.
pub(super) type Whom = Option<u8>;

#[derive(Clone, Copy)]
pub(super) struct Paused {
    pub(super) number: u64,
    pub(super) since: Millis,
    pub(super) until: Millis,
    pub(super) in_a_row: u32,
    pub(super) is_tried: bool,
}

/// A call that went: after how many pauses, and which of them wait for what it finds.
#[derive(Clone, Copy)]
pub(super) struct Went {
    pub(super) after: u64,
    pub(super) key: Whom,
    pub(super) route_pause: Option<u64>,
    pub(super) key_pause: Option<u64>,
}

/// The throttle said again: a list of pauses and a line.
#[derive(Default)]
pub(super) struct Naive {
    pub(super) spec: Option<ThrottleSpec>,
    pub(super) now: Millis,
    pub(super) pauses: BTreeMap<Whom, Paused>,
    pub(super) begun: u64,
    pub(super) sweep_at: Millis,
    /// Numbers and keys, from the front.
    pub(super) line: Vec<(usize, Whom)>,
    /// From when to when the route was paused, as far as it is over.
    pub(super) over: Vec<(Millis, Millis)>,
    pub(super) counted_from: Millis,
    pub(super) told: Vec<(Whom, Option<u32>)>,
}

pub(super) fn millis(time: Duration) -> Millis {
    time.as_millis() as Millis
}

impl Naive {
    pub(super) fn is_shut(&self, whom: Whom) -> bool {
        let pause = self.pauses.get(&whom);
        pause.is_some_and(|pause| pause.is_tried || pause.until > self.now)
    }

    /// Whether a call with that key may go, these standing before it.
    fn may_go(&self, key: Whom, before: &[(usize, Whom)]) -> bool {
        if self.is_shut(None) || key.is_some() && self.is_shut(key) {
            return false;
        }
        let goes = |place: &usize| self.may_go(before[*place].1, &before[..*place]);
        let first: Vec<Whom> = (0..before.len())
            .filter(goes)
            .map(|at| before[at].1)
            .collect();
        let of_route = self.pauses.contains_key(&None) && !first.is_empty();
        let of_key = key.is_some() && self.pauses.contains_key(&key) && first.contains(&key);
        !of_route && !of_key
    }

    /// Lets a new call go, or the one in that place of the line; else says when to ask again.
    pub(super) fn ask(&mut self, key: Whom, place: Option<usize>) -> Result<Went, Millis> {
        self.sweep();
        let before = self.line[..place.unwrap_or(self.line.len())].to_vec();
        if !self.may_go(key, &before) {
            let ends = [None, key].map(|whom| self.pauses.get(&whom).map_or(0, |it| it.until));
            let min = millis(self.spec.unwrap_or_default().min);
            return Err(match ends.into_iter().max() {
                Some(end) if end > self.now => end,
                _ => self.now + min,
            });
        }
        if let Some(place) = place {
            self.line.remove(place);
        }
        let mut try_out = |whom: Whom| {
            let pause = self.pauses.get_mut(&whom)?;
            pause.is_tried = true;
            Some(pause.number)
        };
        Ok(Went {
            after: self.begun,
            key,
            route_pause: try_out(None),
            key_pause: key.and_then(|_| try_out(key)),
        })
    }

    pub(super) fn settle(
        &mut self,
        went: Went,
        outcome: Outcome,
        wish: Option<(Scope, Option<Millis>)>,
    ) {
        let wish = wish.filter(|_| outcome == Outcome::Throttled);
        let whom = wish.map(|(scope, _)| match scope {
            Scope::Route => None,
            Scope::Key => went.key,
        });
        for (number, of) in [(went.route_pause, None), (went.key_pause, went.key)] {
            let is_same = |pause: &&mut Paused| Some(pause.number) == number;
            let is_for_it = matches!(wish, Some((Scope::Route, _))) && of.is_none()
                || matches!(wish, Some((Scope::Key, _))) && of.is_some();
            let Some(pause) = self.pauses.get_mut(&of).filter(is_same) else {
                continue;
            };
            if number.is_none() || is_for_it {
                continue;
            }
            pause.is_tried = false;
            if matches!(outcome, Outcome::Success | Outcome::Alive) {
                self.end(of);
            }
        }
        match (wish, whom) {
            (Some((Scope::Key, _)), Some(None)) | (None, _) | (_, None) => {}
            (Some((_, wish)), Some(whom)) => self.pause(whom, went.after, wish),
        }
    }

    fn pause(&mut self, whom: Whom, after: u64, wish: Option<Millis>) {
        let Some(spec) = self.spec else { return };
        let length = |row| millis(spec.pause(wish.map(Duration::from_millis), row));
        let mut in_a_row = 1;
        if let Some(pause) = self.pauses.get_mut(&whom) {
            let is_late = after < pause.number;
            let until = self.now + length(pause.in_a_row);
            if is_late && (wish.is_none() || until <= pause.until) {
                return;
            }
            if is_late && pause.until > self.now {
                pause.until = until;
                return;
            }
            in_a_row = pause.in_a_row + u32::from(!is_late);
            self.forget(whom);
        }
        self.begun += 1;
        let pause = Paused {
            number: self.begun,
            since: self.now,
            until: self.now + length(in_a_row),
            in_a_row,
            is_tried: false,
        };
        self.pauses.insert(whom, pause);
        self.told.push((whom, Some(in_a_row)));
    }

    /// Takes it from the list, and counts how long it was.
    fn forget(&mut self, whom: Whom) {
        let Some(pause) = self.pauses.remove(&whom) else {
            return;
        };
        if whom.is_none() {
            self.over.push((pause.since, pause.until.min(self.now)));
        }
    }

    fn end(&mut self, whom: Whom) {
        self.forget(whom);
        self.told.push((whom, None));
    }

    pub(super) fn end_all(&mut self) {
        let all: Vec<Whom> = self.pauses.keys().copied().collect();
        all.into_iter().for_each(|whom| self.end(whom));
    }

    pub(super) fn respec(&mut self, spec: Option<ThrottleSpec>) {
        self.spec = spec;
        match spec {
            None => self.end_all(),
            Some(spec) => {
                for pause in self.pauses.values_mut() {
                    pause.until = pause.until.min(pause.since + millis(spec.max));
                }
            }
        }
    }

    /// Once a second keys whose pause has been over for a minute are forgotten.
    pub(super) fn sweep(&mut self) {
        if self.keys() == 0 || self.now < self.sweep_at {
            return;
        }
        self.sweep_at = self.now + 1_000;
        let now = self.now;
        self.pauses
            .retain(|whom, it| whom.is_none() || it.is_tried || it.until + 60_000 > now);
    }

    pub(super) fn keys(&self) -> usize {
        self.pauses.keys().filter(|whom| whom.is_some()).count()
    }

    /// The process ends and the next begins so much later: nothing that was out comes back, nobody waits, counters begin anew.
    pub(super) fn restart(&mut self, later: Millis) {
        let saved_at = self.now;
        self.sweep();
        self.now += later;
        let (spec, now) = (self.spec, self.now);
        let mut pauses = std::mem::take(&mut self.pauses);
        for pause in pauses.values_mut() {
            let left = pause.until.saturating_sub(saved_at);
            let max = millis(spec.unwrap_or_default().max);
            pause.until = saved_at + left.min(max);
            (pause.number, pause.is_tried) = (1, false);
        }
        *self = Self {
            spec,
            now,
            pauses: if spec.is_some() {
                pauses
            } else {
                BTreeMap::new()
            },
            begun: u64::from(spec.is_some()),
            counted_from: now,
            ..Self::default()
        };
    }

    pub(super) fn paused(&self) -> Millis {
        let running = self.pauses.get(&None);
        let running = running.map(|pause| (pause.since, pause.until.min(self.now)));
        let all = self.over.iter().copied().chain(running);
        all.map(|(from, to)| to.saturating_sub(from.max(self.counted_from)))
            .sum()
    }
}

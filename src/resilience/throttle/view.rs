//! The view of a throttle and its changes.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::resilience::key::Key;
use crate::resilience::span::span;
use crate::resilience::throttle::machine::Machine;

/// A pause began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pause began.
    Throttled {
        /// Of this key only.
        key: Option<Key>,
        /// Its end.
        until: Instant,
        /// The pause that the upstream asked for, if it said how long.
        wish: Option<Duration>,
        /// Wishes without a success between.
        in_a_row: u32,
    },
    /// A running pause became longer, by a second at least: each call in flight when it began may bring a wish.
    Lengthened {
        /// Of this key only.
        key: Option<Key>,
        /// Its end now.
        until: Instant,
        /// The pause that the upstream asked for.
        wish: Duration,
    },
    /// The upstream takes calls again.
    Released {
        /// Of this key only.
        key: Option<Key>,
        /// Since the latest pause began.
        after: Duration,
    },
}

/// The whole picture of a throttle at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleView {
    /// The instant.
    pub now: Instant,
    /// When the route's pause began; `None` when all calls pass (but perhaps those of some keys).
    pub since: Option<Instant>,
    /// Its end: the same instant that a refusal tells. `None` when it is over and calls leave one by one.
    pub until: Option<Instant>,
    /// Wishes for a pause without a success between.
    pub signals_in_a_row: u32,
    /// Calls that wait.
    pub waiting: usize,
    /// Keys that have a pause of their own.
    pub keys: usize,
    /// How long the route has been paused in all.
    pub paused: Duration,
}

impl ThrottleView {
    /// Whether the route or one of its keys is paused, or not yet released.
    #[must_use]
    pub const fn is_throttled(&self) -> bool {
        self.since.is_some() || self.keys > 0
    }

    /// The pause in plain words; `None` when there is none.
    #[must_use]
    pub fn explain(&self) -> Option<String> {
        let mut sentence = match (self.since, self.until) {
            (Some(_), Some(until)) => {
                let left = span(until.saturating_duration_since(self.now));
                let asked = "because the upstream asked for a pause";
                match self.signals_in_a_row {
                    0 | 1 => format!("throttled for another {left} {asked}"),
                    times => format!("throttled for another {left} {asked} {times} times in a row"),
                }
            }
            (Some(_), None) => {
                "throttled until a call succeeds: the pause that the upstream asked for is over and calls leave one by one"
                    .to_owned()
            }
            (None, _) if self.keys > 0 => format!(
                "throttled for {} because the upstream asked for it",
                counted(self.keys, "key")
            ),
            (None, _) => return None,
        };
        // Writing to a String cannot fail.
        if self.since.is_some() && self.keys > 0 {
            let _ = write!(sentence, ", and for {}", counted(self.keys, "key"));
        }
        if self.waiting > 0 {
            let _ = write!(sentence, "; {} waiting", counted(self.waiting, "call"));
        }
        Some(sentence)
    }
}

impl Machine {
    /// The pause of that key alone.
    pub(super) fn view_of(&mut self, key: Key, now: Instant) -> Option<ThrottleView> {
        self.advance(now);
        self.sweep();
        let pause = self.keys.get(&key)?;
        Some(ThrottleView {
            now: self.latest,
            since: Some(pause.since),
            until: Some(pause.until).filter(|until| *until > self.latest),
            signals_in_a_row: pause.in_a_row,
            waiting: self.line.iter().filter(|it| it.tag == Some(key)).count(),
            keys: 0,
            paused: pause.took(self.latest),
        })
    }

    pub(super) fn view(&mut self, now: Instant) -> ThrottleView {
        self.advance(now);
        self.sweep();
        let route = self.route.as_ref();
        let running = route.map_or(Duration::ZERO, |pause| pause.took(self.latest));
        ThrottleView {
            now: self.latest,
            since: route.map(|pause| pause.since),
            until: route
                .map(|pause| pause.until)
                .filter(|until| *until > self.latest),
            signals_in_a_row: route.map_or(0, |pause| pause.in_a_row),
            waiting: self.line.len(),
            keys: self.keys.len(),
            paused: self.paused_before + running,
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

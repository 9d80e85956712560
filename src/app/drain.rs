//! How the process ends: it goes on serving until its callers are done, or until its time is over.
//!
//! The application still makes calls while it shuts down, so connections are accepted until the end. Every answer closes its
//! connection. The drain is done when nothing has been in flight for a while. At the deadline new calls and those without an
//! answer are refused, and answers that have begun get one more second.

use std::time::{Duration, Instant};

use crate::net::Phase;
use crate::proxy::Shared;
use crate::time::{Deadline, now, sleep_until};

/// How often activity is checked.
const LOOK: Duration = Duration::from_millis(50);

/// Without callers' connections, this long without activity means done.
const QUIET: Duration = Duration::from_secs(1);

/// The same while callers keep connections open, over which they may still call.
const QUIET_WITH_CONNECTIONS: Duration = Duration::from_secs(3);

/// How long after the deadline answers that have begun may go on, and refusals may take to reach their callers.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Waits until the callers are done, for `drain` at the most. Says whether nothing was cut off.
pub(super) async fn drain(shared: &Shared, drain: Duration) -> bool {
    shared.phases.advance(Phase::Draining);
    let is_done = quiet(shared, Deadline::after(now(), drain)).await;
    shared.phases.advance(Phase::Closing);
    if is_done {
        return true;
    }
    let last_call = Deadline::after(now(), LAST_CALL);
    // That a call has ended does not mean that its caller has read the last byte: only the close of the connection shows that.
    let is_on_its_way = || shared.activity().0 > 0 || shared.connections() > 0;
    while is_on_its_way() && !last_call.has_passed(now()) {
        sleep_until(Deadline::after(now(), LOOK)).await;
    }
    false
}

async fn quiet(shared: &Shared, deadline: Deadline) -> bool {
    let mut stillness = Stillness::new(now(), shared.activity().1);
    loop {
        let now = now();
        let (in_flight, begun) = shared.activity();
        let life = Life {
            in_flight,
            begun,
            connections: shared.connections(),
        };
        if stillness.is_enough(&life, now) {
            return true;
        }
        if deadline.has_passed(now) {
            return in_flight == 0;
        }
        sleep_until(Deadline::after(now, LOOK).min(deadline)).await;
    }
}

/// The activity of callers at one moment.
struct Life {
    in_flight: usize,
    /// How many calls ever began: shows those that came and went between two checks.
    begun: usize,
    connections: usize,
}

/// Since when there has been no call.
struct Stillness {
    since: Instant,
    begun: usize,
}

impl Stillness {
    fn new(now: Instant, begun: usize) -> Self {
        Self { since: now, begun }
    }

    /// Whether it has lasted long enough to expect no more calls.
    fn is_enough(&mut self, life: &Life, now: Instant) -> bool {
        if life.in_flight > 0 || life.begun != self.begun {
            *self = Self::new(now, life.begun);
        }
        let enough = if life.connections == 0 {
            QUIET
        } else {
            QUIET_WITH_CONNECTIONS
        };
        now.saturating_duration_since(self.since) >= enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it is enough, in steps of half a second, for a life that is told step by step.
    fn enough_after(life: impl Fn(u32) -> Life) -> Option<u32> {
        let start = now();
        let mut stillness = Stillness::new(start, life(0).begun);
        (0..20).find(|step| stillness.is_enough(&life(*step), start + *step * QUIET / 2))
    }

    fn still(connections: usize) -> Life {
        Life {
            in_flight: 0,
            begun: 7,
            connections,
        }
    }

    #[test]
    fn without_connections_a_second_is_enough_with_some_it_takes_three() {
        assert_eq!(enough_after(|_| still(0)), Some(2));
        assert_eq!(enough_after(|_| still(3)), Some(6));
        let closing = |step| still(usize::from(step < 4));
        assert_eq!(enough_after(closing), Some(4));
    }

    #[test]
    fn a_call_in_flight_is_never_quiet() {
        let busy = |_| Life {
            in_flight: 1,
            ..still(1)
        };
        assert_eq!(enough_after(busy), None);
    }

    #[test]
    fn a_call_that_came_and_went_between_two_looks_starts_it_over() {
        let one_more = |step| Life {
            begun: if step < 2 { 7 } else { 8 },
            ..still(0)
        };
        assert_eq!(enough_after(one_more), Some(4));
    }
}

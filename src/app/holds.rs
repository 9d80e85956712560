//! Ends of holds.
//!
//! A breaker's time passes only when it is asked. A hold must end on time also while no call comes: its log line is what people
//! wait for, and the state file is written for it.
//!
//! An override ends at a time of day, its hold after a span on the monotonic clock, which stands still while the machine is
//! suspended. So after a suspend the span is measured anew. Setting the wall clock changes nothing.

use std::convert::Infallible;
use std::time::Duration;

use crate::proxy::Shared;
use crate::time::{Deadline, Moment, now, sleep_until, suspended};

/// How often holds are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Two clocks cannot be read at once; a difference below this is no suspend.
const SHORTEST: Duration = Duration::from_millis(50);

/// How long the machine had been suspended at the last look.
struct Suspends(Duration);

impl Suspends {
    /// Whether the machine was suspended since the last look; `suspended` is the total now.
    fn had_another(&mut self, suspended: Duration) -> bool {
        let is_longer = suspended >= self.0 + SHORTEST;
        if is_longer {
            self.0 = suspended;
        }
        is_longer
    }
}

/// Ends the holds whose time has come, for as long as the program lives.
pub(super) async fn end_holds(shared: &Shared) -> Infallible {
    let mut suspends = Suspends(suspended());
    loop {
        let now = now();
        let snapshot = shared.snapshot.load();
        if suspends.had_another(suspended()) {
            snapshot.measure_overrides(Moment::read());
        }
        for route in &snapshot.routes {
            route.end_holds(now);
        }
        drop(snapshot);
        sleep_until(Deadline::after(now, EVERY)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suspend_is_noticed_once_and_the_distance_of_two_readings_is_none() {
        let second = Duration::from_secs(1);
        let mut suspends = Suspends(second);
        let looks = [
            second,
            second + SHORTEST / 2,
            second * 9,
            second * 9,
            second * 10,
        ];
        let noticed = looks.map(|suspended| suspends.had_another(suspended));
        assert_eq!(noticed, [false, false, true, false, true]);
    }
}

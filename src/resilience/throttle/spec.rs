//! How a wish for a pause is obeyed.

use std::time::Duration;

use crate::resilience::ratio::Ratio;

/// The pause when the upstream did not say how long, doubled for each further wish in a row …
const UNSAID: Duration = Duration::from_secs(1);
/// … up to this.
const UNSAID_MAX: Duration = Duration::from_secs(60);

/// How a wish for a pause is obeyed.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::resilience::ThrottleSpec;
///
/// let spec = ThrottleSpec::default();
/// assert_eq!(spec.pause(Some(Duration::from_secs(30)), 1), Duration::from_secs(30));
/// assert_eq!(spec.pause(None, 3), Duration::from_secs(4));
/// assert_eq!(spec.pause(Some(Duration::from_secs(86_400)), 1), Duration::from_secs(300));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSpec {
    /// The shortest pause.
    pub min: Duration,
    /// The longest pause: a wish for more is cut. Goes before `min`.
    pub max: Duration,
    /// How long a call may wait for the pause to end; zero: it is refused at once.
    pub wait: Duration,
    /// How many calls may wait.
    pub max_waiting: usize,
    /// Lengthens each pause by up to this share, so that a fleet does not come back in step.
    pub jitter: Ratio,
}

impl Default for ThrottleSpec {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(100),
            max: Duration::from_secs(300),
            wait: Duration::ZERO,
            max_waiting: 100,
            jitter: Ratio::ZERO,
        }
    }
}

impl ThrottleSpec {
    /// The pause for a wish, the `in_a_row`th without a success between, before its jitter: within `min` and `max`, rounded up
    /// to a whole millisecond. Never down: a caller that comes back a moment too early is throttled again
    /// [dotnet/extensions#7001].
    #[must_use]
    pub fn pause(&self, wish: Option<Duration>, in_a_row: u32) -> Duration {
        let pause = wish.unwrap_or_else(|| {
            let doublings = in_a_row.saturating_sub(1).min(6);
            (UNSAID * (1 << doublings)).min(UNSAID_MAX)
        });
        let within = pause.max(self.min).min(self.max);
        let part = within.subsec_nanos() % 1_000_000;
        if part == 0 {
            within
        } else {
            within.saturating_add(Duration::from_nanos(u64::from(1_000_000 - part)))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_hint_the_pause_doubles_from_1_s_to_60_s() {
        let spec = ThrottleSpec::default();
        let told = [0, 1, 2, 3, 4, 5, 6, 7, 8, u32::MAX].map(|row| spec.pause(None, row).as_secs());
        assert_eq!(told, [1, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_hint_is_held_between_min_and_max_case_126() {
        let spec = ThrottleSpec::default();
        assert_eq!(spec.pause(Some(Duration::ZERO), 9), spec.min);
        assert_eq!(spec.pause(Some(Duration::MAX), 1), spec.max);
        let upside_down = ThrottleSpec {
            min: Duration::from_secs(9),
            max: Duration::from_secs(3),
            ..spec
        };
        assert_eq!(upside_down.pause(None, 1), Duration::from_secs(3));
    }

    proptest! {
        #[test]
        fn a_pause_is_a_whole_millisecond_and_never_shorter_than_asked(nanos in 0_u64..400_000_000_000) {
            let (spec, wish) = (ThrottleSpec::default(), Duration::from_nanos(nanos));
            let pause = spec.pause(Some(wish), 1);
            prop_assert_eq!(pause.subsec_nanos() % 1_000_000, 0);
            prop_assert!(pause >= wish.min(spec.max) && pause >= spec.min && pause <= spec.max);
        }
    }
}

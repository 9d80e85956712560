//! How long a breaker stays open.

use std::time::Duration;

use crate::resilience::breaker::spec::BreakerKeys;
use crate::resilience::jitter::Jitter;
use crate::resilience::ratio::Ratio;

impl Jitter {
    /// The time to stay open at the `reopening`th reopening in a row (0 for the first opening).
    pub(super) fn reset_timeout(&mut self, keys: &BreakerKeys, reopening: u32) -> Duration {
        let backoff = keys.reset_backoff;
        let growth = backoff
            .factor
            .powi(i32::try_from(reopening).unwrap_or(i32::MAX));
        let spread = 1.0 + backoff.jitter.as_f64() * self.draw();
        let multiple = growth * spread;
        if multiple == 1.0 {
            return keys.reset_timeout;
        }
        Duration::try_from_secs_f64(keys.reset_timeout.as_secs_f64() * multiple)
            .map_or(backoff.max, |time| time.min(backoff.max))
    }
}

impl BreakerKeys {
    /// The longest that any opening lasts.
    pub(super) fn longest_reset(&self) -> Duration {
        let backoff = self.reset_backoff;
        let is_fixed = backoff.factor == 1.0 && backoff.jitter == Ratio::ZERO;
        if is_fixed {
            self.reset_timeout
        } else {
            backoff.max
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::breaker::spec::ResetBackoff;

    const SECOND: Duration = Duration::from_secs(1);

    fn keys(factor: f64, jitter: Ratio) -> BreakerKeys {
        let reset_backoff = ResetBackoff {
            factor,
            max: SECOND * 60,
            jitter,
        };
        BreakerKeys {
            reset_timeout: SECOND * 10,
            reset_backoff,
            ..BreakerKeys::default()
        }
    }

    #[test]
    fn the_timeout_grows_by_the_factor_up_to_its_maximum() {
        let mut jitter = Jitter::new(1);
        let told: Vec<_> = [0, 1, 2, 3, 1_000, u32::MAX]
            .map(|reopening| {
                jitter
                    .reset_timeout(&keys(2.0, Ratio::ZERO), reopening)
                    .as_secs()
            })
            .into();
        assert_eq!(told, [10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn jitter_spreads_upward_only_and_not_above_the_maximum() {
        let mut jitter = Jitter::new(7);
        let half = Ratio::from_hundredths(5_000).unwrap();
        let told: Vec<_> = (0..1_000)
            .map(|_| jitter.reset_timeout(&keys(1.0, half), 0))
            .collect();
        assert!(
            told.iter()
                .all(|time| (SECOND * 10..SECOND * 15).contains(time))
        );
        assert!(
            told.iter().any(|time| *time > SECOND * 14)
                && told.iter().any(|time| *time < SECOND * 11)
        );
        let highest = jitter.reset_timeout(&keys(6.0, Ratio::ONE), 1);
        assert_eq!(highest, SECOND * 60);
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let keys = keys(1.0, Ratio::ONE);
        let (mut one, mut two) = (Jitter::new(42), Jitter::new(42));
        assert!((0..100).all(|_| one.reset_timeout(&keys, 0) == two.reset_timeout(&keys, 0)));
    }
}

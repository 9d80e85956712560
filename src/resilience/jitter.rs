//! Randomness from a seed.

use std::time::Duration;

use crate::resilience::ratio::Ratio;

/// Draws the jitter: SplitMix64 (Steele, Lea, Flood 2014), so that a seed decides everything and a machine stays pure.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of [0, 1).
    pub(super) fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 53 bits are what an f64 holds exactly.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The time, or up to `share` of it more; never less.
    pub(super) fn lengthen(&mut self, time: Duration, share: Ratio) -> Duration {
        if share == Ratio::ZERO {
            return time;
        }
        let more = share.as_f64() * self.draw();
        time.saturating_add(time.mul_f64(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_lengthened_by_up_to_the_share_and_never_shortened() {
        let (mut jitter, second) = (Jitter::new(3), Duration::from_secs(1));
        let fifth = Ratio::from_hundredths(2_000).unwrap();
        let told: Vec<_> = (0..1_000).map(|_| jitter.lengthen(second, fifth)).collect();
        assert!(
            told.iter()
                .all(|time| (second..second * 6 / 5).contains(time))
        );
        assert!(told.iter().any(|time| *time > second * 115 / 100));
        assert_eq!(jitter.lengthen(second, Ratio::ZERO), second);
    }
}

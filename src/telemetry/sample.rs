//! Which uneventful access lines are written.

use std::time::Duration;

use super::access_log::AccessRecord;
use super::correlation::CorrelationId;
use super::line::Level;

/// Keeps a share of the uneventful access lines. Errors, refusals, slow calls and broken answers are always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    hundredths_of_percent: u16,
    slow: Duration,
}

impl Sample {
    /// Keeps everything.
    pub const EVERYTHING: Self = Self::new(10_000, Duration::MAX);

    /// Keeps that share, in hundredths of a percent (10 000 and more is everything), and whatever took `slow` or longer.
    #[must_use]
    pub const fn new(hundredths_of_percent: u16, slow: Duration) -> Self {
        Self {
            hundredths_of_percent,
            slow,
        }
    }

    /// Whether the line is written.
    #[must_use]
    pub fn keeps(&self, record: &AccessRecord<'_>) -> bool {
        self.hundredths_of_percent >= 10_000
            || record.level() > Level::Info
            || record.client_gone
            || record.duration >= self.slow
            || self.keeps_id(record.correlation_id)
    }

    /// The decision for an uneventful call: FNV-1a (64 bits) of the id's bytes, modulo 10 000, is below the share. A fixed
    /// function of the id alone, so every hop of one call decides alike.
    fn keeps_id(&self, id: &CorrelationId) -> bool {
        fnv_1a(id.as_bytes()) % 10_000 < u64::from(self.hundredths_of_percent)
    }
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::resilience::Outcome;
    use crate::telemetry::access_log::tests::{id, record};

    #[test]
    fn the_hash_is_the_documented_one() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn the_share_is_kept_and_a_larger_share_keeps_all_of_a_smaller() {
        let ids: Vec<CorrelationId> = (0..20_000)
            .map(|number| id(&format!("request-{number}")))
            .collect();
        let kept = |share| {
            ids.iter()
                .filter(|id| Sample::new(share, Duration::MAX).keeps_id(id))
                .count()
        };
        assert_eq!(kept(0), 0);
        assert_eq!(kept(10_000), ids.len());
        assert!((1_800..2_200).contains(&kept(1_000)), "{}", kept(1_000));
        let (small, large) = (
            Sample::new(500, Duration::MAX),
            Sample::new(1_000, Duration::MAX),
        );
        assert!(
            ids.iter()
                .filter(|id| small.keeps_id(id))
                .all(|id| large.keeps_id(id))
        );
    }

    #[test]
    fn what_went_wrong_is_never_sampled_away() {
        let nothing = Sample::new(0, Duration::from_secs(2));
        let id = id("x");
        let calm = record(&id);
        assert!(!nothing.keeps(&calm));
        assert!(nothing.keeps(&AccessRecord {
            reason: Some(Failure::CircuitOpen),
            ..calm
        }));
        assert!(nothing.keeps(&AccessRecord {
            reason: Some(Failure::Timeout),
            ..calm
        }));
        assert!(nothing.keeps(&AccessRecord {
            status: 500,
            outcome: Outcome::Failure,
            ..calm
        }));
        assert!(nothing.keeps(&AccessRecord {
            duration: Duration::from_secs(2),
            ..calm
        }));
        assert!(nothing.keeps(&AccessRecord {
            client_gone: true,
            ..calm
        }));
    }
}

//! The ramp of a breaker that has just closed: a growing share of the calls passes, in the end all of them.
//!
//! An upstream that has just recovered is rarely ready for all its traffic at once; without a ramp the load can bring it down
//! again [Hystrix#1647]. The share is exact and not random: each call adds the present share to a credit, and one call of
//! credit lets one pass. So at 10 % exactly every tenth call passes.

use std::time::{Duration, Instant};

use crate::resilience::ratio::Ratio;

/// How the share grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RampSpec {
    /// The share that passes at once after closing.
    pub from: Ratio,
    /// How long the way from there to all calls takes.
    pub over: Duration,
}

/// A ramp in progress. A share is held in millionths, so that halving it loses next to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ramp {
    /// The share at `since`; it grows from there.
    share: u32,
    since: Instant,
    /// The credit left over by earlier calls; below one call unless a turn was given back.
    credit: u32,
}

/// One call as credit, or all calls as a share.
const WHOLE: u32 = 1_000_000;

impl RampSpec {
    fn begin(self) -> u32 {
        u32::from(self.from.hundredths()) * 100
    }

    /// How much the share gains over the whole time: never 0, or the ramp would not end.
    fn gain(self) -> u128 {
        u128::from(WHOLE.saturating_sub(self.begin()).max(1))
    }

    fn nanos(self) -> u128 {
        self.over.as_nanos().max(1)
    }
}

impl Ramp {
    /// Begins with the lowest share. The first call passes, to show whether it goes well.
    pub(super) fn new(spec: RampSpec, now: Instant) -> Self {
        let share = spec.begin();
        Self {
            share,
            since: now,
            credit: WHOLE.saturating_sub(share),
        }
    }

    /// A ramp that had come to this share at `since`.
    pub(super) fn going_on(share: Ratio, since: Instant) -> Self {
        Self {
            share: u32::from(share.hundredths()) * 100,
            since,
            credit: 0,
        }
    }

    fn millionths(&self, spec: RampSpec, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.since).as_nanos();
        let grown = u128::from(self.share) + spec.gain() * elapsed / spec.nanos();
        u32::try_from(grown).map_or(WHOLE, |grown| grown.min(WHOLE))
    }

    /// The share of calls that passes at `now`, rounded down.
    pub(super) fn share(&self, spec: RampSpec, now: Instant) -> Ratio {
        Ratio::of(self.millionths(spec, now).into(), WHOLE.into()).unwrap_or(Ratio::ONE)
    }

    /// From when on all calls pass, if no other fails.
    pub(super) fn full_at(&self, spec: RampSpec) -> Instant {
        let missing = u128::from(WHOLE.saturating_sub(self.share));
        let nanos = (missing * spec.nanos()).div_ceil(spec.gain());
        self.since + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether the next call at `now` passes.
    pub(super) fn is_next_let_pass(&self, spec: RampSpec, now: Instant) -> bool {
        self.credit + self.millionths(spec, now) >= WHOLE
    }

    /// Counts a call that asks at `now`; says whether it passes.
    pub(super) fn ask(&mut self, spec: RampSpec, now: Instant) -> bool {
        let credit = self.credit + self.millionths(spec, now);
        let passes = credit >= WHOLE;
        self.credit = if passes { credit - WHOLE } else { credit };
        passes
    }

    /// Gives back the turn of a call that did not take place.
    pub(super) fn give_back(&mut self) {
        self.credit = WHOLE;
    }

    /// Halves the share after a failed call; it grows on from there.
    pub(super) fn halve(&mut self, spec: RampSpec, now: Instant) {
        self.share = self.millionths(spec, now) / 2;
        self.since = now;
    }

    /// The same share, continued with other settings.
    pub(super) fn respec(self, old: RampSpec, now: Instant) -> Self {
        Self {
            share: self.millionths(old, now),
            since: now,
            credit: self.credit,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn spec() -> RampSpec {
        RampSpec {
            from: Ratio::from_hundredths(1_000).unwrap(),
            over: SECOND * 30,
        }
    }

    fn passed(ramp: &mut Ramp, calls: u32, now: Instant) -> usize {
        (0..calls).filter(|_| ramp.ask(spec(), now)).count()
    }

    #[test]
    fn the_share_grows_in_a_line_from_its_begin_to_all() {
        let begin = crate::time::now();
        let ramp = Ramp::new(spec(), begin);
        let shares: Vec<_> = [0, 10, 15, 20, 29, 30, 99]
            .map(|seconds| ramp.share(spec(), begin + SECOND * seconds).hundredths())
            .into();
        assert_eq!(shares, [1_000, 4_000, 5_500, 7_000, 9_700, 10_000, 10_000]);
        assert_eq!(ramp.full_at(spec()), begin + SECOND * 30);
    }

    #[test]
    fn of_the_calls_at_one_instant_exactly_the_share_passes_the_first_among_them() {
        let begin = crate::time::now();
        let mut ramp = Ramp::new(spec(), begin);
        let passes: Vec<bool> = (0..20).map(|_| ramp.ask(spec(), begin)).collect();
        assert_eq!(passes.iter().filter(|passes| **passes).count(), 2);
        assert!(passes[0] && passes[10]);
        let mut ramp = Ramp::new(spec(), begin);
        assert_eq!(passed(&mut ramp, 1_000, begin + SECOND * 10), 400);
    }

    #[test]
    fn a_failure_halves_the_present_share_which_then_grows_on_as_before() {
        let begin = crate::time::now();
        let mut ramp = Ramp::new(spec(), begin);
        ramp.halve(spec(), begin + SECOND * 10);
        let share = |at| ramp.share(spec(), begin + SECOND * at).hundredths();
        assert_eq!((share(10), share(20)), (2_000, 5_000));
        // 80 % to go at 3 % per second.
        let full = ramp.full_at(spec()) - begin;
        assert_eq!(full.as_millis(), 10_000 + 26_666);
    }

    #[test]
    fn a_turn_given_back_is_the_next_calls() {
        let begin = crate::time::now();
        let mut ramp = Ramp::new(spec(), begin);
        assert!(ramp.ask(spec(), begin));
        assert!(!ramp.is_next_let_pass(spec(), begin));
        ramp.give_back();
        assert!(ramp.ask(spec(), begin) && !ramp.ask(spec(), begin));
    }

    proptest! {
        #[test]
        fn it_is_full_at_that_instant_and_not_a_nanosecond_before(
            from in 1_u16..10_000, over in 1_u64..86_400_000_000_000, halvings in prop::collection::vec(0_u64..1_000_000_000, 0..4),
        ) {
            let spec = RampSpec { from: Ratio::from_hundredths(from).unwrap(), over: Duration::from_nanos(over) };
            let mut at = crate::time::now();
            let mut ramp = Ramp::new(spec, at);
            for wait in halvings {
                at += Duration::from_nanos(wait);
                ramp.halve(spec, at);
            }
            let full = ramp.full_at(spec);
            prop_assert_eq!(ramp.millionths(spec, full), WHOLE);
            if full > at {
                prop_assert!(ramp.millionths(spec, full - Duration::from_nanos(1)) < WHOLE);
            }
        }
    }
}

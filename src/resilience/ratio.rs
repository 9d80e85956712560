//! A share of a whole, exact to a hundredth of a percent.

use std::fmt;

/// A share between 0 % and 100 %, held in hundredths of a percent so that comparing needs no floating point: a threshold of
/// `50%` is met by 50.00 % and missed by 49.99 %.
///
/// ```
/// use sidefuse::resilience::Ratio;
///
/// let half = Ratio::from_hundredths(5_000).unwrap();
/// assert!(half.is_reached(10, 20));
/// assert!(!half.is_reached(4_999, 10_000));
/// assert_eq!(half.to_string(), "50%");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(u16);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Everything.
    pub const ONE: Self = Self(10_000);

    /// The ratio of that many hundredths of a percent; `None` above 10 000.
    #[must_use]
    pub const fn from_hundredths(hundredths: u16) -> Option<Self> {
        if hundredths <= 10_000 {
            Some(Self(hundredths))
        } else {
            None
        }
    }

    /// The ratio `part / whole`, rounded *down* so that it never shows a threshold as met that was missed; `None` of nothing.
    /// A part above the whole is the whole.
    #[must_use]
    pub const fn of(part: u64, whole: u64) -> Option<Self> {
        if whole == 0 {
            return None;
        }
        let part = if part > whole { whole } else { part };
        Some(Self((part as u128 * 10_000 / whole as u128) as u16))
    }

    /// In hundredths of a percent, 0 to 10 000.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// As a number between 0 and 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Whether `part / whole` is at least this ratio. Nothing of nothing reaches no ratio.
    #[must_use]
    pub const fn is_reached(self, part: u64, whole: u64) -> bool {
        whole > 0 && part as u128 * 10_000 >= whole as u128 * self.0 as u128
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        if rest == 0 {
            write!(f, "{whole}%")
        } else {
            write!(f, "{whole}.{rest:02}%")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(hundredths: u16) -> Ratio {
        Ratio::from_hundredths(hundredths).unwrap()
    }

    #[test]
    fn a_ratio_is_reached_at_its_exact_value_and_not_a_hundredth_below() {
        // case 134
        assert!(!ratio(5_000).is_reached(4_999, 10_000));
        assert!(ratio(5_000).is_reached(5_000, 10_000));
        assert!(ratio(1).is_reached(1, 10_000));
        assert!(!ratio(1).is_reached(0, 10_000));
        assert!(Ratio::ONE.is_reached(u64::MAX, u64::MAX));
        assert!(!Ratio::ONE.is_reached(u64::MAX - 1, u64::MAX));
    }

    #[test]
    fn nothing_of_nothing_reaches_no_ratio() {
        assert!(!Ratio::ZERO.is_reached(0, 0));
        assert_eq!(Ratio::of(0, 0), None);
    }

    #[test]
    fn a_measured_ratio_is_rounded_down() {
        assert_eq!(Ratio::of(2, 3), Some(ratio(6_666)));
        assert_eq!(Ratio::of(49_999, 100_000), Some(ratio(4_999)));
        assert_eq!(Ratio::of(7, 5), Some(Ratio::ONE));
    }

    #[test]
    fn a_ratio_above_the_whole_cannot_be_made() {
        assert_eq!(Ratio::from_hundredths(10_001), None);
    }

    #[test]
    fn a_ratio_is_shown_in_percent_without_needless_digits() {
        let shown = [
            ratio(5_000),
            ratio(1_250),
            ratio(5),
            Ratio::ZERO,
            Ratio::ONE,
        ]
        .map(|ratio| ratio.to_string());
        assert_eq!(shown, ["50%", "12.50%", "0.05%", "0%", "100%"]);
    }
}

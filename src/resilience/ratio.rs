//! A share of a whole, exact to a hundredth of a percent.

use std::fmt;

/// A share between 0 % and 100 %, held in hundredths of a percent so that comparing needs no floating point: a threshold of
/// `50%` is met by 50.00 % and missed by 49.99 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(u16);

impl Ratio {
    /// Everything.
    pub const ONE: Self = Self(10_000);

    /// The ratio of that many hundredths of a percent; `None` above 10 000.
    #[must_use]
    pub const fn from_hundredths(hundredths: u16) -> Option<Self> {
        if hundredths <= 10_000 { Some(Self(hundredths)) } else { None }
    }

    /// In hundredths of a percent, 0 to 10 000.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
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
        if rest == 0 { write!(f, "{whole}%") } else { write!(f, "{whole}.{rest:02}%") }
    }
}

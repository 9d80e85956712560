//! A set of HTTP statuses.

use std::borrow::Cow;
use std::fmt;

/// A set of statuses as ranges, both ends included, in order, none touching another: equal sets are equal values.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Statuses(Cow<'static, [(u16, u16)]>);

impl Statuses {
    /// Every status that HTTP has (RFC 9110 §15).
    pub const ANY: Self = Self(Cow::Borrowed(&[(100, 599)]));
    /// Those by which an upstream refuses a call.
    pub const REFUSING: Self = Self(Cow::Borrowed(&[(400, 599)]));

    /// The statuses of these ranges.
    pub fn of(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut ranges: Vec<_> = ranges
            .into_iter()
            .filter(|(first, last)| first <= last)
            .collect();
        ranges.sort_unstable();
        let mut apart: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match apart.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                Some(_) | None => apart.push((first, last)),
            }
        }
        Self(Cow::Owned(apart))
    }

    /// Whether that status is one of them.
    #[must_use]
    pub fn contain(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|(from, to)| {
            self.0
                .iter()
                .any(|(first, last)| first <= from && to <= last)
        })
    }
}

/// In the notation of the configuration: `404, 500-599`.
impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("any");
        }
        for (at, (first, last)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                99 if first % 100 == 0 => write!(f, "{separator}{}xx", first / 100)?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

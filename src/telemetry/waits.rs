//! How long a call has waited in sidefuse, and for what.

use std::time::{Duration, Instant};

/// What a call waits for in sidefuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The concurrency limit's queue.
    Concurrency,
    /// The wait for the end of a pause.
    Throttle,
    /// The queue for a connection.
    Pool,
    /// The back-off before another attempt.
    Backoff,
    /// The call of another caller whose answer could not be shared.
    Coalesce,
}

impl HeldBy {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 5] = [
        Self::Concurrency,
        Self::Throttle,
        Self::Pool,
        Self::Backoff,
        Self::Coalesce,
    ];

    /// The word for it in log lines: the key that configures it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Concurrency => "limits.concurrency",
            Self::Throttle => "throttle",
            Self::Pool => "upstream.pool",
            Self::Backoff => "retry",
            Self::Coalesce => "coalesce",
        }
    }
}

/// How long a call waited for each of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    each: [Duration; HeldBy::ALL.len()],
    /// The sum, since it is read several times and nearly every call has waited for nothing.
    total: Duration,
    /// The wait that is under way, and since when.
    ongoing: Option<(HeldBy, Instant)>,
}

impl Waits {
    /// Begins a wait.
    pub(super) fn begin(&mut self, by: HeldBy, since: Instant) {
        self.ongoing = Some((by, since));
    }

    /// Ends the wait that is under way, if there is one; says how long it was.
    pub(super) fn end(&mut self, now: Instant) -> Duration {
        let Some((by, since)) = self.ongoing.take() else {
            return Duration::ZERO;
        };
        let wait = now.saturating_duration_since(since);
        self.add(by, wait);
        wait
    }

    pub(super) fn add(&mut self, by: HeldBy, wait: Duration) {
        if let Some(sum) = self.each.get_mut(by as usize) {
            *sum = sum.saturating_add(wait);
        }
        self.total = self.total.saturating_add(wait);
    }

    /// The sum of all.
    pub(super) fn total(&self) -> Duration {
        self.total
    }

    /// What the call waited for longest; `None` if for nothing.
    pub(super) fn longest(&self) -> Option<HeldBy> {
        if self.total.is_zero() {
            return None;
        }
        let longest = HeldBy::ALL.into_iter().zip(self.each);
        let longest = longest.max_by_key(|(_, wait)| *wait);
        longest.map(|(by, _)| by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_named_and_all_of_them_add_up() {
        let mut waits = Waits::default();
        assert_eq!((waits.total(), waits.longest()), (Duration::ZERO, None));
        for (by, seconds) in HeldBy::ALL.into_iter().zip([1, 2, 4, 3, 0]) {
            waits.add(by, Duration::from_secs(seconds));
        }
        waits.add(HeldBy::Concurrency, Duration::from_secs(1));
        assert_eq!(waits.total(), Duration::from_secs(11));
        assert_eq!(waits.longest(), Some(HeldBy::Pool));
        let now = crate::time::now();
        waits.begin(HeldBy::Backoff, now);
        let seconds = Duration::from_secs;
        assert_eq!(waits.end(now + seconds(2)), seconds(2));
        assert_eq!(waits.end(now + seconds(9)), Duration::ZERO);
        assert_eq!(waits.longest(), Some(HeldBy::Backoff), "3 s and 2 s");
        assert_eq!(waits.total(), Duration::from_secs(13), "ended once");
    }
}

//! How many descriptors this process may have, and the last few, which are kept from callers and upstreams.
//!
//! The system gives out the lowest number that is free, so a high one says by itself how few are left; nothing needs to be counted.

use std::io;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::shortage::Shortage;

/// The most that is asked for: what Linux allows a process by default (`fs.nr_open`).
const PLENTY: u64 = 1 << 20;

/// The descriptors of the process, the last of which are kept from callers and upstreams, so that an operator, a health check
/// and a reload find some when everything else is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many there are in all.
    limit: u64,
    /// The first number that is kept back.
    ceiling: u64,
}

impl Descriptors {
    /// Raises this process's soft limit of open files to its hard one, as Go's runtime does: the low soft limit is for programs that
    /// use `select`. Where the system forbids it, the limit stays as it is.
    #[must_use]
    pub fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let current = current.unwrap_or(PLENTY);
        let wanted = maximum.unwrap_or(PLENTY).min(PLENTY).max(current);
        let raised = Rlimit {
            current: Some(wanted),
            maximum,
        };
        let is_raised = wanted > current && setrlimit(Resource::Nofile, raised).is_ok();
        Self::of_limit(if is_raised { wanted } else { current })
    }

    /// The descriptors of a process that may have `limit` of them.
    #[must_use]
    pub const fn of_limit(limit: u64) -> Self {
        let eighth = limit / 8;
        let kept = if eighth < 16 {
            16
        } else if eighth > 64 {
            64
        } else {
            eighth
        };
        Self {
            limit,
            ceiling: limit.saturating_sub(kept),
        }
    }

    /// How many there are in all.
    #[must_use]
    pub const fn limit(self) -> u64 {
        self.limit
    }

    /// The most connections of callers: half of what is not kept back, since each call needs one to its upstream, too.
    #[must_use]
    pub fn callers(self) -> usize {
        usize::try_from(self.ceiling / 2).unwrap_or(usize::MAX)
    }

    /// The most connections to one admin port, from 4 to 64: with two such ports, half of what is kept back if that is little.
    #[must_use]
    pub fn operators(self) -> usize {
        let share = usize::try_from(self.limit / 32).unwrap_or(usize::MAX);
        share.clamp(4, 64)
    }

    /// Whether a connection with this descriptor leaves those that are kept back.
    ///
    /// # Errors
    /// `EMFILE`, as the system says when none at all is left.
    pub fn spare(self, fd: &impl AsRawFd) -> io::Result<()> {
        if self.left_from(fd) > 0 {
            Ok(())
        } else {
            Err(Shortage::Descriptors.into())
        }
    }

    /// How many there are from this one on, with it, besides those that are kept back.
    #[must_use]
    pub fn left_from(self, fd: &impl AsRawFd) -> u64 {
        let number = u64::try_from(fd.as_raw_fd()).unwrap_or(u64::MAX);
        self.ceiling.saturating_sub(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_kept_back_but_at_least_16_and_at_most_64() {
        for (limit, ceiling) in [
            (10, 0),
            (64, 48),
            (256, 224),
            (1024, 960),
            (1 << 20, (1 << 20) - 64),
        ] {
            let descriptors = Descriptors::of_limit(limit);
            assert_eq!(descriptors.ceiling, ceiling, "{limit}");
            assert_eq!(descriptors.callers() as u64, ceiling / 2, "{limit}");
        }
    }

    #[test]
    fn two_ports_of_operators_take_no_more_than_half_of_what_is_kept_back_where_that_is_little() {
        for (limit, most) in [
            (64, 4),
            (128, 4),
            (256, 8),
            (1024, 32),
            (2048, 64),
            (1 << 20, 64),
        ] {
            assert_eq!(Descriptors::of_limit(limit).operators(), most, "{limit}");
        }
    }

    #[test]
    fn a_low_number_is_spared_and_a_high_one_is_as_if_there_were_none() {
        let file = tempfile::tempfile().unwrap();
        Descriptors::of_limit(1 << 20).spare(&file).unwrap();
        let error = Descriptors::of_limit(16).spare(&file).unwrap_err();
        assert_eq!(Shortage::of(&error), Some(Shortage::Descriptors));
    }

    #[test]
    fn a_raised_limit_is_no_lower_than_before_and_in_force() {
        let before = getrlimit(Resource::Nofile).current;
        let raised = Descriptors::raise();
        let after = getrlimit(Resource::Nofile).current;
        assert!(after >= before || after.is_none());
        assert_eq!(raised, Descriptors::of_limit(after.unwrap_or(PLENTY)));
    }
}

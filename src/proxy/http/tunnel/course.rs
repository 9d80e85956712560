//! What a tunnel shows of its upstream. Pure: bytes and ends come in, a verdict goes out.
//!
//! The first byte from the upstream shows that it works. One that resets the connection before that, or ends it or is silent although its
//! caller has said something, has failed. Later nobody can tell whose doing an end is: the line says how it came, and the breaker hears
//! nothing of it.

use crate::failure::Failure;

/// One of the two who speak in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    Upstream,
}

/// What has happened in a tunnel so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Course {
    /// The caller has said something.
    has_asked: bool,
    /// The upstream has.
    has_answered: bool,
    /// Who has ended what it says first.
    first_end: Option<Side>,
}

/// Why nothing moves in a tunnel any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Both have ended what they say.
    Ended,
    /// That side broke off.
    Broken(Side),
    /// Both were silent for too long.
    Silence,
    /// The exchange has lasted as long as it may.
    Over,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// As both wished.
    Whole,
    /// The upstream has failed.
    Failed(Failure),
    /// For this reason, and nobody is to blame.
    Cut(Failure),
    /// The caller left.
    Left,
}

impl Course {
    /// That side has said something, or with no bytes has ended what it says.
    ///
    /// # Errors
    /// The upstream will never answer what the caller has said.
    pub(super) fn came(&mut self, side: Side, count: usize) -> Result<(), Side> {
        match side {
            _ if count == 0 => {
                self.first_end.get_or_insert(side);
            }
            Side::Caller => self.has_asked = true,
            Side::Upstream => self.has_answered = true,
        }
        let has_refused = self.first_end == Some(Side::Upstream) && !self.has_answered;
        if self.has_asked && has_refused {
            return Err(Side::Upstream);
        }
        Ok(())
    }

    /// Whether the caller has said something that the upstream may answer.
    pub(super) fn has_asked(&self) -> bool {
        self.has_asked
    }

    /// Whether the upstream has said something.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// How the tunnel ended that stopped for this reason.
    pub(super) fn finish(&self, stop: Stop) -> Finish {
        match stop {
            Stop::Over => Finish::Cut(Failure::MaxDuration),
            Stop::Broken(Side::Caller) => Finish::Left,
            Stop::Broken(Side::Upstream) if self.has_answered => Finish::Cut(Failure::Reset),
            Stop::Broken(Side::Upstream) => Finish::Failed(Failure::Reset),
            Stop::Silence if self.has_asked && !self.has_answered => {
                Finish::Failed(Failure::Timeout)
            }
            Stop::Silence => Finish::Cut(Failure::IdleTimeout),
            Stop::Ended if self.has_answered => Finish::Whole,
            Stop::Ended if self.first_end == Some(Side::Caller) => Finish::Left,
            Stop::Ended => Finish::Cut(Failure::Reset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Side::{Caller, Upstream};
    use super::*;

    /// What became of the tunnel in which so many bytes came from these sides; 0 is the end.
    fn finish(came: &[(Side, usize)], stop: Stop) -> Finish {
        let mut course = Course::default();
        let (last, before) = came.split_last().unwrap_or((&(Caller, 1), &[]));
        for (side, count) in before {
            assert_eq!(course.came(*side, *count), Ok(()));
        }
        if !came.is_empty()
            && let Err(side) = course.came(last.0, last.1)
        {
            assert_eq!(stop, Stop::Broken(side));
        }
        course.finish(stop)
    }

    #[test]
    fn an_upstream_that_goes_or_is_silent_before_it_answers_has_failed() {
        let reset = Finish::Failed(Failure::Reset);
        for (came, stop, expected) in [
            (&[(Caller, 1)][..], Stop::Broken(Upstream), reset),
            (&[(Caller, 1), (Upstream, 0)], Stop::Broken(Upstream), reset),
            (&[(Upstream, 0), (Caller, 1)], Stop::Broken(Upstream), reset),
            (&[], Stop::Broken(Upstream), reset),
            (
                &[(Caller, 1)],
                Stop::Silence,
                Finish::Failed(Failure::Timeout),
            ),
            (
                &[(Caller, 1), (Caller, 0)],
                Stop::Silence,
                Finish::Failed(Failure::Timeout),
            ),
        ] {
            assert_eq!(finish(came, stop), expected, "{came:?} {stop:?}");
        }
    }

    #[test]
    fn nothing_that_comes_after_the_first_byte_is_a_failure() {
        let talk = [(Caller, 9), (Upstream, 1)];
        for (end, stop, expected) in [
            (None, Stop::Broken(Upstream), Finish::Cut(Failure::Reset)),
            (None, Stop::Broken(Caller), Finish::Left),
            (None, Stop::Silence, Finish::Cut(Failure::IdleTimeout)),
            (None, Stop::Over, Finish::Cut(Failure::MaxDuration)),
            (Some(Upstream), Stop::Ended, Finish::Whole),
            (Some(Caller), Stop::Ended, Finish::Whole),
        ] {
            let came: Vec<_> = talk.into_iter().chain(end.map(|side| (side, 0))).collect();
            assert_eq!(finish(&came, stop), expected, "{end:?} {stop:?}");
        }
        let greeting = [(Upstream, 1), (Upstream, 0), (Caller, 1)];
        assert_eq!(finish(&greeting, Stop::Ended), Finish::Whole);
    }

    #[test]
    fn a_caller_that_says_nothing_or_leaves_first_blames_nobody() {
        for (came, stop, expected) in [
            (&[][..], Stop::Broken(Caller), Finish::Left),
            (&[(Caller, 1)], Stop::Broken(Caller), Finish::Left),
            (&[(Caller, 0), (Upstream, 0)], Stop::Ended, Finish::Left),
            (
                &[(Caller, 1), (Caller, 0), (Upstream, 0)],
                Stop::Ended,
                Finish::Left,
            ),
            (
                &[(Upstream, 0), (Caller, 0)],
                Stop::Ended,
                Finish::Cut(Failure::Reset),
            ),
            (&[], Stop::Silence, Finish::Cut(Failure::IdleTimeout)),
            (
                &[(Caller, 1)],
                Stop::Over,
                Finish::Cut(Failure::MaxDuration),
            ),
        ] {
            assert_eq!(finish(came, stop), expected, "{came:?} {stop:?}");
        }
    }
}

//! The only clock.
//!
//! All clocks are read here, so that a test which pauses tokio's clock pauses the whole program. Pure code reads no clock at
//! all: it takes `now` as an argument. Clippy bans every other way of reading a clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// Reads the monotonic clock. Durations and deadlines are differences of this clock only, so a jump of the wall clock moves nothing.
///
/// Follows tokio's clock when that is paused.
#[must_use]
pub fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads it"
    )]
    tokio::time::Instant::now().into_std()
}

/// Reads the wall clock, for people only: log lines, JSON answers, certificate dates.
#[must_use]
pub fn wall() -> SystemTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads it"
    )]
    SystemTime::now()
}

/// How long the machine has been suspended since it was started. The monotonic clock stands still during a suspend, the wall
/// clock does not. Setting the wall clock does not count.
#[must_use]
pub fn suspended() -> Duration {
    use rustix::time::{ClockId, Timespec, clock_gettime};
    let read = |clock| {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
        Duration::new(
            u64::try_from(tv_sec).unwrap_or_default(),
            u32::try_from(tv_nsec).unwrap_or_default(),
        )
    };
    let awake = read(ClockId::Monotonic);
    read(ClockId::Boottime).saturating_sub(awake)
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The monotonic clock.
    pub now: Instant,
    /// The wall clock.
    pub wall: SystemTime,
}

impl Moment {
    /// Reads both clocks, within a tenth of a millisecond of each other unless the thread is put aside between the two whenever it tries.
    #[must_use]
    pub fn read() -> Self {
        const APART: Duration = Duration::from_micros(100);
        const TRIES: usize = 5;
        let mut tries = 0;
        loop {
            let (now, wall, after) = (now(), wall(), now());
            tries += 1;
            if after - now < APART || tries == TRIES {
                return Self { now, wall };
            }
        }
    }

    /// An instant on the wall clock, as that clock stands at this moment.
    #[must_use]
    pub fn at(&self, instant: Instant) -> SystemTime {
        moved(self.wall, instant, self.now)
    }

    /// The instant of a time of day; `None` if it has passed.
    #[must_use]
    pub fn instant(&self, time: SystemTime) -> Option<Instant> {
        let left = time.duration_since(self.wall).ok()?;
        self.now.checked_add(left).filter(|at| *at > self.now)
    }

    /// An instant as JSON shows it: RFC 3339 in UTC, to the millisecond.
    #[must_use]
    pub fn stamp(&self, instant: Instant) -> String {
        stamp(self.at(instant))
    }

    /// An instant as a sentence says it: RFC 3339 in UTC, to the second.
    #[must_use]
    pub fn phrase(&self, instant: Instant) -> String {
        humantime::format_rfc3339_seconds(self.at(instant)).to_string()
    }
}

/// A wall clock time as JSON shows it: RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn stamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// The wall clock time at `instant`, when it is `wall` at `now`, rounded to the nearest millisecond: two clocks cannot be read
/// at once, and without rounding a configured 06:00 would be shown as 05:59:59.999.
fn moved(wall: SystemTime, instant: Instant, now: Instant) -> SystemTime {
    let exact = if instant >= now {
        wall.checked_add(instant - now)
    } else {
        wall.checked_sub(now - instant)
    };
    let since = exact
        .unwrap_or(wall)
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let up = since.saturating_add(Duration::from_micros(500));
    let rest = Duration::from_nanos(u64::from(up.subsec_nanos() % 1_000_000));
    SystemTime::UNIX_EPOCH
        .checked_add(up.saturating_sub(rest))
        .unwrap_or(wall)
}

/// An absolute instant by which something must have happened: computed once, then passed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `after` from `now`. A duration too long for the clock is cut to a century, which no process outlives.
    #[must_use]
    pub fn after(now: Instant, after: Duration) -> Self {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Self(now.checked_add(after).unwrap_or_else(|| now + CENTURY))
    }

    /// The instant itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// Whether it has passed at `now`.
    #[must_use]
    pub fn has_passed(self, now: Instant) -> bool {
        now >= self.0
    }

    /// What is left at `now`; zero when it has passed.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}

/// The deadline passed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline passed")]
pub struct Elapsed;

/// Waits until `deadline`.
pub async fn sleep_until(deadline: Deadline) {
    tokio::time::sleep_until(deadline.0.into()).await;
}

/// Runs `future` until `deadline`; dropping it there.
///
/// # Errors
/// [`Elapsed`] when the deadline passed first. A future that is ready at once wins even over a deadline that has passed.
pub async fn timeout_at<F: Future>(deadline: Deadline, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout_at(deadline.0.into(), future)
        .await
        .map_err(|_| Elapsed)
}

/// A timer that costs nothing until it is first set and can be set again without a new allocation.
#[derive(Debug, Default)]
pub struct Alarm {
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    is_set: bool,
}

impl Alarm {
    /// Sets it, or sets it anew.
    pub fn set(&mut self, deadline: Deadline) {
        let instant = deadline.0.into();
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(instant),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(instant))),
        }
        self.is_set = true;
    }

    /// Takes it back: it is pending until it is set again.
    pub fn clear(&mut self) {
        self.is_set = false;
    }

    /// Whether it is waiting for its deadline.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_set
    }

    /// Ready once the deadline it was last set to has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) if self.is_set => sleep.as_mut().poll(cx),
            Some(_) | None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_too_far_for_the_clock_is_cut_and_not_a_panic() {
        let now = now();
        assert!(
            Deadline::after(now, Duration::MAX).remaining(now)
                > Duration::from_secs(3600 * 24 * 365)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_follows_a_paused_runtime() {
        let begin = now();
        let elapsed = timeout_at(
            Deadline::after(begin, Duration::from_secs(3600)),
            std::future::pending::<()>(),
        )
        .await;
        assert_eq!(elapsed, Err(Elapsed));
        let passed = now() - begin;
        assert!(passed >= Duration::from_secs(3600) && passed < Duration::from_secs(3601));
    }
}

//! After a 101: two byte streams joined, transparent both ways.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::body::Pace;
use super::carry::Switch;
use super::ending::{BodyEnd, Ending};
use crate::failure::Failure;
use crate::net::{Metered, Traffic};
use crate::time::{Deadline, now, sleep_until};

/// Joins the streams of caller and upstream once both have switched, until both have closed, nothing moves for the idle timeout, or the
/// exchange has taken as long as it may.
///
/// A half-closed direction stays open the other way. The breaker's verdict was given at the 101; this ends the exchange.
pub(super) async fn join(switch: Switch, pace: Pace, ending: Box<Ending>) {
    let (Ok(caller), Ok(upstream)) = (switch.caller.await, switch.upstream.await) else {
        return;
    };
    let mut caller = TokioIo::new(caller);
    let mut upstream = Metered::new(TokioIo::new(upstream));
    let traffic = upstream.traffic();
    let mut tunnelled = Tunnelled::new(ending, &traffic);
    let end = tokio::select! {
        _ = copy_bidirectional(&mut caller, &mut upstream) => BodyEnd::Whole,
        () = silence(&traffic, || pace.idle_timeout) => BodyEnd::Cut(Failure::IdleTimeout),
        () = over(pace.until) => BodyEnd::Cut(Failure::MaxDuration),
    };
    if let Some(ending) = tunnelled.counted() {
        ending.finish(end);
    }
}

/// A tunnel's ending. Bytes are counted also if the tunnel's task is dropped in the middle.
pub(super) struct Tunnelled {
    ending: Option<Box<Ending>>,
    traffic: Arc<Traffic>,
}

impl Tunnelled {
    /// That of an exchange whose upstream's bytes are counted in `traffic`.
    pub(super) fn new(ending: Box<Ending>, traffic: &Arc<Traffic>) -> Self {
        Self {
            ending: Some(ending),
            traffic: Arc::clone(traffic),
        }
    }

    /// The upstream has said its first byte, `wait` after it could.
    pub(super) fn answered(&mut self, wait: Duration, now: Instant) {
        if let Some(ending) = &mut self.ending {
            ending.answered(wait, now);
        }
    }

    /// The ending with all bytes counted, once.
    pub(super) fn counted(&mut self) -> Option<Box<Ending>> {
        let mut ending = self.ending.take()?;
        ending.count_out(usize::try_from(self.traffic.read()).unwrap_or(usize::MAX));
        ending.count_in(self.traffic.written());
        Some(ending)
    }
}

impl Drop for Tunnelled {
    fn drop(&mut self) {
        drop(self.counted());
    }
}

/// Waits until then; for ever if that is never.
pub(super) async fn over(until: Option<Deadline>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Waits until nothing has moved for as long as `limit` says then, or for up to a tenth longer: so often it looks.
pub(super) async fn silence(traffic: &Traffic, limit: impl Fn() -> Duration) {
    let (mut seen, mut since) = ((0, 0), now());
    loop {
        let (now, timeout) = (now(), limit());
        let moved = (traffic.read(), traffic.written());
        if moved != seen {
            (seen, since) = (moved, now);
        } else if now.saturating_duration_since(since) >= timeout {
            return;
        }
        sleep_until(Deadline::after(now, timeout / 10)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_within_a_tenth_of_its_time() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        let traffic = near.traffic();
        let timeout = Duration::from_secs(30);
        let begin = now();
        let speaking = async {
            for _ in 0..3 {
                sleep_until(Deadline::after(now(), Duration::from_secs(29))).await;
                near.write_all(b"x").await.unwrap();
                far.read_u8().await.unwrap();
            }
            now()
        };
        let ((), last) = tokio::join!(silence(&traffic, || timeout), speaking);
        assert!(last.duration_since(begin) > timeout, "it was not silent");
        let took = now().duration_since(last);
        assert!(
            took >= timeout - timeout / 10 && took <= timeout + timeout / 10,
            "{took:?}"
        );
    }
}

//! `Expect: 100-continue`: the caller holds its body back until the upstream asks for it (RFC 9110 §10.1.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, StatusCode};

use crate::time::{Alarm, Deadline, now};

/// For so long an upstream may say nothing, as one does that does not know the expectation. Then the caller is asked all the same
/// (RFC 9110 §10.1.1 has no client wait forever).
const PATIENCE: Duration = Duration::from_secs(1);

/// What a body waits for before its first byte.
#[derive(Debug, Default)]
pub(super) struct GoAhead {
    /// Told by the connection, whose task asks for the body right after what it has read.
    is_given: Arc<AtomicBool>,
    alarm: Alarm,
}

impl GoAhead {
    /// For the body of `request`: given when the upstream answers it with 100.
    pub(super) fn of<B>(request: &mut Request<B>) -> Self {
        let waiting = Self::default();
        let is_given = Arc::clone(&waiting.is_given);
        hyper::ext::on_informational(request, move |told| {
            if told.status() == StatusCode::CONTINUE {
                is_given.store(true, Ordering::Relaxed);
            }
        });
        waiting
    }

    /// Ready once the body may be sent; never, where the upstream `has_answered` without it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, has_answered: bool) -> Poll<()> {
        if self.is_given.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        if has_answered {
            return Poll::Pending;
        }
        if !self.alarm.is_set() {
            self.alarm.set(Deadline::after(now(), PATIENCE));
        }
        self.alarm.poll(cx)
    }
}

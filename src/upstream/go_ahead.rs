//! `Expect: 100-continue`: the caller holds its body back until the upstream asks for it (RFC 9110 §10.1.1).
//!
//! Over HTTP/2 the library keeps it to itself whether the upstream asks. There the caller is asked once something has come over the
//! connection since and no answer with it: what asks for a body is such, and on a connection with other calls it may be theirs. To ask too
//! early costs no more than not to have been held back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, StatusCode};

use crate::net::Traffic;
use crate::time::{Alarm, Deadline, now};

/// How long to wait for an upstream that does not answer the expectation, because it may not know it. Then the body is sent all
/// the same (RFC 9110 §10.1.1: no client waits indefinitely).
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked whether something has come. An answer that came is known by then.
const LOOK: Duration = Duration::from_millis(25);

/// What a body waits for before its first byte.
#[derive(Debug)]
pub(super) struct GoAhead {
    sign: Sign,
    /// Set with the first question: when it is given in any case.
    until: Option<Deadline>,
    alarm: Alarm,
}

/// What gives it.
#[derive(Debug)]
enum Sign {
    /// Set by the connection on a 100; its task polls the body right after.
    Told(Arc<AtomicBool>),
    /// More than so many bytes came over the connection.
    Heard { traffic: Arc<Traffic>, before: u64 },
}

impl GoAhead {
    /// For the body of `request` over HTTP/1: given when the upstream answers it with 100.
    pub(super) fn of<B>(request: &mut Request<B>) -> Self {
        let is_given = Arc::<AtomicBool>::default();
        let told = Arc::clone(&is_given);
        hyper::ext::on_informational(request, move |said| {
            if said.status() == StatusCode::CONTINUE {
                told.store(true, Ordering::Relaxed);
            }
        });
        Self::by(Sign::Told(is_given))
    }

    /// For a body over HTTP/2: given when anything comes over its connection from now on.
    pub(super) fn over(traffic: &Arc<Traffic>) -> Self {
        Self::by(Sign::Heard {
            traffic: Arc::clone(traffic),
            before: traffic.read(),
        })
    }

    fn by(sign: Sign) -> Self {
        Self {
            sign,
            until: None,
            alarm: Alarm::default(),
        }
    }

    /// Ready once the body may be sent; never, if the upstream `has_answered` without asking for it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, has_answered: bool) -> Poll<()> {
        if let Sign::Told(is_given) = &self.sign
            && is_given.load(Ordering::Relaxed)
        {
            return Poll::Ready(());
        }
        if has_answered {
            return Poll::Pending;
        }
        loop {
            let now = now();
            let until = *self
                .until
                .get_or_insert_with(|| Deadline::after(now, PATIENCE));
            if self.alarm.is_set() {
                if self.alarm.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if until.has_passed(now) || self.sign.is_heard() {
                    return Poll::Ready(());
                }
            }
            self.alarm.set(match self.sign {
                Sign::Told(_) => until,
                Sign::Heard { .. } => until.min(Deadline::after(now, LOOK)),
            });
        }
    }
}

impl Sign {
    /// Something came since.
    fn is_heard(&self) -> bool {
        match self {
            Self::Told(_) => false,
            Self::Heard { traffic, before } => traffic.read() > *before,
        }
    }
}

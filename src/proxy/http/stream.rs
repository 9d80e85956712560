//! The streams of an HTTP/2 caller, each of which may be stuck by itself.
//!
//! The library asks for more of an answer only where its caller has room for it. A caller that takes nothing is therefore noticed by none of
//! the answer's own clocks, nor by the connection's while other calls move over it: here each stream is watched by itself. To cut one is to
//! drop it, which resets it; if all of its answer was not with the library yet, its exchange ends as one whose caller left.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::body::Pace;
use crate::time::{Alarm, Deadline, now};
use crate::upstream::UploadProgress;

/// The answer's own clock knows better who it is that stalls.
const GRACE: Duration = Duration::from_millis(500);

/// An answer on its way over a stream, as far as whoever runs the stream must know.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    answering: Cell<Option<(Instant, Pace)>>,
    /// Tells when a byte last moved, either way.
    upload: RefCell<Option<Rc<UploadProgress>>>,
}

/// Runs what the library spawns for the streams of one connection, on the worker's own thread.
#[derive(Clone, Default)]
pub(super) struct Streams {
    /// That of the call that has just begun: the library spawns its stream next.
    begun: Rc<Cell<Option<Rc<Pulse>>>>,
}

pin_project! {
    /// A stream under watch.
    struct Guarded<F> {
        #[pin]
        stream: F,
        pulse: Rc<Pulse>,
        alarm: Alarm,
    }
}

impl Pulse {
    /// The answer is on its way: from now on its pauses are counted.
    pub(super) fn answering(&self, pace: Pace) {
        self.answering.set(Some((now(), pace)));
    }

    /// What moves this body, or moves beside it, moves the stream.
    pub(super) fn follow(&self, upload: &Rc<UploadProgress>) {
        self.upload.replace(Some(Rc::clone(upload)));
    }

    /// When the stream is to be cut, if nothing moves until then.
    fn due(&self) -> Option<Deadline> {
        let (since, pace) = self.answering.get()?;
        let span = pace.idle_timeout.saturating_add(GRACE);
        let upload = self.upload.borrow();
        let moved = upload.as_ref().and_then(|upload| upload.patience(span));
        let idle = moved.unwrap_or_else(|| Deadline::after(since, span));
        Some(pace.until.map_or(idle, |until| until.min(idle)))
    }
}

impl Streams {
    /// A call begins.
    pub(super) fn begin(&self) -> Rc<Pulse> {
        let pulse = Rc::<Pulse>::default();
        self.begun.set(Some(Rc::clone(&pulse)));
        pulse
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(Guarded {
            stream,
            pulse: self.begun.take().unwrap_or_default(),
            alarm: Alarm::default(),
        });
    }
}

impl<F: Future> Future for Guarded<F> {
    /// Nothing, if it was cut.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.stream.poll(cx) {
            return Poll::Ready(Some(output));
        }
        loop {
            if this.alarm.is_set() {
                ready!(this.alarm.poll(cx));
            }
            match this.pulse.due() {
                Some(due) if due.has_passed(now()) => return Poll::Ready(None),
                Some(due) => this.alarm.set(due),
                None => {
                    this.alarm.clear();
                    return Poll::Pending;
                }
            }
        }
    }
}

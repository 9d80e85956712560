//! A request body as one attempt sends it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};

use super::UploadProgress;
use crate::time::{Alarm, Deadline, now};
use crate::upstream::go_ahead::GoAhead;
use crate::upstream::replay::Replay;
use crate::upstream::upload_end::{UploadEnd, UploadError};
use crate::wire::strip_trailers;

/// A request body on its way up in one attempt.
pub struct Upload {
    source: Option<Source>,
}

struct Source {
    progress: Rc<UploadProgress>,
    /// The attempt's number. Once the progress has a later one, this upload has nothing left to send.
    turn: u32,
    /// What attempts before have sent already, and this one sends first.
    replay: Option<Box<Replay>>,
    idle_timeout: Duration,
    alarm: Alarm,
    /// The field that carries the correlation id.
    correlation: HeaderName,
}

impl Upload {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self { source: None }
    }

    /// Its progress; `None` if there is no body.
    pub(in crate::upstream) fn progress(&self) -> Option<Rc<UploadProgress>> {
        let source = self.source.as_ref()?;
        Some(Rc::clone(&source.progress))
    }

    /// The body for the next attempt; it may pause for at most `idle_timeout`. Uploads of earlier attempts end. A trailer of
    /// the caller's named `correlation`, the field that carries the correlation id, is dropped.
    #[must_use]
    pub fn of(
        progress: &Rc<UploadProgress>,
        idle_timeout: Duration,
        correlation: &HeaderName,
    ) -> Self {
        if progress.is_empty {
            return Self::empty();
        }
        let turn = progress.turn.get() + 1;
        progress.turn.set(turn);
        progress.is_held.set(true);
        progress.is_whole.set(false);
        progress.is_waiting.set(false);
        progress.go_ahead.take();
        progress.is_answered.set(false);
        // The upload of an earlier attempt must notice that it is over.
        if let Some(waker) = progress.waker.take() {
            waker.wake();
        }
        let mut record = progress.record.borrow_mut();
        let record = record.as_mut().filter(|_| progress.is_touched.get());
        let replay = record.map(|record| Box::new(record.replay()));
        Self {
            source: Some(Source {
                progress: Rc::clone(progress),
                turn,
                replay,
                idle_timeout,
                alarm: Alarm::default(),
                correlation: correlation.clone(),
            }),
        }
    }

    /// Has it, of which nothing has gone up yet, wait for that.
    pub(in crate::upstream) fn hold_back(&mut self, go_ahead: GoAhead) {
        let source = self.source.as_mut();
        if let Some(source) = source.filter(|source| !source.progress.is_touched.get()) {
            source.progress.go_ahead.replace(Some(Box::new(go_ahead)));
        }
    }
}

impl Source {
    fn is_its_turn(&self) -> bool {
        self.progress.turn.get() == self.turn
    }

    /// The next frame of what is sent again, before the caller's own; `Some(None)` at the end of the whole body.
    fn again(&mut self) -> Option<Option<Frame<Bytes>>> {
        let replay = self.replay.as_mut()?;
        if let Some((frame, is_last)) = replay.next() {
            self.progress.touch();
            if is_last {
                self.progress.is_whole.set(true);
            }
            return Some(Some(frame));
        }
        if replay.is_complete() {
            self.progress.is_whole.set(true);
            return Some(None);
        }
        self.replay = None;
        None
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if self.is_its_turn() {
            self.progress.is_held.set(false);
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        if !source.is_its_turn() {
            return Poll::Ready(Some(Err(UploadError)));
        }
        if let Some(frame) = source.again() {
            return Poll::Ready(frame.map(Ok));
        }
        let mut body = source.progress.body.borrow_mut();
        let Some(body) = body.as_mut() else {
            return Poll::Ready(Some(Err(UploadError)));
        };
        let mut go_ahead = source.progress.go_ahead.borrow_mut();
        if let Some(waiting) = &mut *go_ahead {
            if waiting
                .poll(cx, source.progress.is_answered.get())
                .is_pending()
            {
                source.progress.waker.replace(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            *go_ahead = None;
        }
        let polled = Pin::new(&mut *body).poll_frame(cx);
        source.progress.is_waiting.set(polled.is_pending());
        match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
                source.alarm.clear();
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers, &source.correlation);
                }
                // The connection does not poll again after trailers, nor behind the length that it has announced.
                let is_last = body.is_end_stream()
                    || frame.is_trailers()
                    || body.size_hint().exact() == Some(0);
                source.progress.came(&frame, is_last);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                source.progress.end.set(Some(UploadEnd::of(&error)));
                Poll::Ready(Some(Err(UploadError)))
            }
            // A reset without an error, which the library takes for the end.
            Poll::Ready(None) if source.progress.is_stream && !body.is_end_stream() => {
                source.progress.end.set(Some(UploadEnd::Gone));
                Poll::Ready(Some(Err(UploadError)))
            }
            Poll::Ready(None) => {
                source.progress.ended();
                Poll::Ready(None)
            }
            Poll::Pending => {
                source.progress.waker.replace(Some(cx.waker().clone()));
                if !source.alarm.is_set() {
                    source
                        .alarm
                        .set(Deadline::after(now(), source.idle_timeout));
                }
                while source.alarm.poll(cx).is_ready() {
                    let Some(until) = source.progress.patience(source.idle_timeout) else {
                        source.progress.end.set(Some(UploadEnd::Stalled));
                        return Poll::Ready(Some(Err(UploadError)));
                    };
                    source.alarm.set(until);
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let Some(source) = &self.source else {
            return true;
        };
        let body = source.progress.body.borrow();
        source.replay.is_none() && body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(source) = &self.source else {
            return SizeHint::with_exact(0);
        };
        let body = source.progress.body.borrow();
        let rest = || body.as_ref().and_then(|body| body.size_hint().exact());
        let left = match (source.progress.length, &source.replay) {
            (None, _) => None,
            (Some(_), None) => rest(),
            (Some(_), Some(replay)) if replay.is_complete() => Some(replay.len()),
            (Some(_), Some(replay)) => rest().map(|rest| replay.len() + rest),
        };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

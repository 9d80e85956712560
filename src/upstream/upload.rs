//! The request body on its way up: counted, watched for a caller that stalls, and held back for `Expect: 100-continue`.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::go_ahead::GoAhead;
use super::replay::{MOST, Record, Replay};
use super::upload_end::{UploadEnd, UploadError};
use crate::telemetry::ByteCount;
use crate::time::{Alarm, Deadline, now};
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

/// A caller's request body, and what is known of it while a connection reads it.
#[derive(Debug, Default)]
pub struct UploadProgress {
    /// The caller's body; not in [`Upload`], which the connection may hold for as long as the upstream does not read.
    body: RefCell<Option<Incoming>>,
    /// The body is none.
    is_empty: bool,
    /// Its length, if the head says so: every attempt must frame it the same way.
    length: Option<u64>,
    /// What was sent, if another attempt may need it.
    record: RefCell<Option<Box<Record>>>,
    /// Some of it was sent.
    is_touched: Cell<bool>,
    /// The number of the attempt that sends it.
    turn: Cell<u32>,
    /// A connection still holds that attempt's upload.
    is_held: Cell<bool>,
    /// Wakes the connection while it waits for the caller.
    waker: RefCell<Option<Waker>>,
    /// The exchange's own counter, so that every ending of the exchange finds all bytes counted.
    bytes: ByteCount,
    is_whole: Cell<bool>,
    /// When a byte last moved, in either direction.
    moved: Cell<Option<Instant>>,
    is_waiting: Cell<bool>,
    /// The body is not polled before this is given.
    go_ahead: RefCell<Option<Box<GoAhead>>>,
    /// The upstream's response headers have come.
    is_answered: Cell<bool>,
    end: Cell<Option<UploadEnd>>,
}

impl UploadProgress {
    /// The progress of `body`. Its bytes are added to `bytes` as they are handed to a connection.
    #[must_use]
    pub fn new(body: Incoming, bytes: ByteCount) -> Self {
        let (is_empty, length) = (body.is_end_stream(), body.size_hint().exact());
        Self {
            body: RefCell::new((!is_empty).then_some(body)),
            is_empty,
            length,
            is_whole: Cell::new(is_empty),
            bytes,
            ..Self::default()
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Whether there is something to send whose length the head does not say.
    #[must_use]
    pub fn is_open_ended(&self) -> bool {
        !self.is_empty && self.length.is_none()
    }

    /// From now on keeps what is sent, for another attempt; once it is too long, nothing. Says whether another attempt could
    /// send it, as far as is known now.
    pub fn keep(&self) -> bool {
        let is_short = self.length.is_none_or(|length| length <= MOST);
        if is_short && !self.is_empty && !self.is_touched.get() {
            self.record.borrow_mut().get_or_insert_default();
        }
        is_short && self.is_intact()
    }

    /// Drops what was kept and keeps nothing from now on.
    pub fn forget(&self) {
        *self.record.borrow_mut() = None;
    }

    /// Whether an attempt could send it from its first byte on.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let is_there = !self.is_touched.get() || self.record.borrow().is_some();
        self.is_empty || is_there && self.end.get().is_none()
    }

    /// Records a frame from the caller.
    fn came(&self, frame: &Frame<Bytes>, is_last: bool) {
        self.is_touched.set(true);
        self.touch();
        if let Some(data) = frame.data_ref() {
            self.bytes.add(data.len() as u64);
        }
        let mut record = self.record.borrow_mut();
        if record.as_mut().is_some_and(|record| !record.add(frame)) {
            *record = None;
        }
        drop(record);
        if is_last {
            self.ended();
        }
    }

    /// Records the end of the caller's body.
    fn ended(&self) {
        self.is_whole.set(true);
        if let Some(record) = self.record.borrow_mut().as_mut() {
            record.complete();
        }
    }

    /// Says that a byte has moved in either direction: the idle time of both begins anew.
    pub fn touch(&self) {
        self.moved.set(Some(now()));
    }

    /// When a byte last moved, in either direction.
    pub fn moved(&self) -> Option<Instant> {
        self.moved.get()
    }

    /// When `idle_timeout` without a byte in either direction ends; `None` if it has ended.
    #[must_use]
    pub fn patience(&self, idle_timeout: Duration) -> Option<Deadline> {
        let until = Deadline::after(self.moved.get()?, idle_timeout);
        (!until.has_passed(now())).then_some(until)
    }

    /// Says that the upstream's response headers have come: a body held back for its go-ahead is not sent any more.
    pub fn answered(&self) {
        self.is_answered.set(true);
    }

    /// Whether all of it was handed to the connection; only then can the connection carry another call.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole.get()
    }

    /// Whether the connection waits for the caller to send more.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting.get()
    }

    /// Gives up what is left of it because its exchange is over: the caller's stream is released, and a connection that waits
    /// for it is woken.
    pub fn abandon(&self) {
        drop(self.body.take());
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the connection still holds it and would go on sending it.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.is_held.get() && !self.is_whole.get() && self.end.get().is_none()
    }

    /// Whether the connection still holds it and waits for the upstream to read.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.is_under_way() && !self.is_waiting() && self.go_ahead.borrow().is_none()
    }

    /// How it ended, if the caller broke it.
    #[must_use]
    pub fn end(&self) -> Option<UploadEnd> {
        self.end.get()
    }
}

impl Upload {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self { source: None }
    }

    /// Its progress; `None` if there is no body.
    pub(super) fn progress(&self) -> Option<Rc<UploadProgress>> {
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
    pub(super) fn hold_back(&mut self, go_ahead: GoAhead) {
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
                // The connection does not poll again after trailers.
                let is_last = body.is_end_stream() || frame.is_trailers();
                source.progress.came(&frame, is_last);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                source.progress.end.set(Some(UploadEnd::of(&error)));
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

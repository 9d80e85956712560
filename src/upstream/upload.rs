//! The request body on its way up: counted, and watched for a caller that stalls.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::telemetry::ByteCount;
use crate::time::{Alarm, Deadline, now};

/// A request body.
pub struct Upload {
    source: Option<Source>,
}

struct Source {
    progress: Rc<UploadProgress>,
    idle_timeout: Duration,
    alarm: Alarm,
}

/// What is known of an upload while the connection owns it.
#[derive(Debug, Default)]
pub struct UploadProgress {
    /// What the caller sends; here and not with the connection, which may hold its half for as long as its upstream does not read.
    body: RefCell<Option<Incoming>>,
    /// Of the connection, while it waits for the caller.
    waker: RefCell<Option<Waker>>,
    /// The exchange's own counter, so that whatever ends the exchange finds all bytes counted.
    bytes: ByteCount,
    is_whole: Cell<bool>,
    /// When a byte last moved, in either direction.
    moved: Cell<Option<Instant>>,
    is_waiting: Cell<bool>,
    end: Cell<Option<UploadEnd>>,
}

/// How an upload ended before its end, and neither by us nor by the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadEnd {
    /// The caller broke off.
    Gone,
    /// The caller's framing is none.
    Malformed,
    /// The caller sent nothing for the idle timeout.
    Stalled,
}

/// The caller's body did not end well; which is all the connection has to know.
#[derive(Debug, thiserror::Error)]
#[error("the caller's request body broke off")]
pub struct UploadError;

impl UploadProgress {
    /// That of an upload whose bytes, as they are handed to the connection, go into `bytes`.
    #[must_use]
    pub fn counting(bytes: ByteCount) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    /// A byte has moved, this way or the other: neither way's idle time has begun before now.
    pub fn touch(&self) {
        self.moved.set(Some(now()));
    }

    /// When a silence of `idle_timeout` in both directions is over; `None` when it is over already.
    #[must_use]
    pub fn patience(&self, idle_timeout: Duration) -> Option<Deadline> {
        let until = Deadline::after(self.moved.get()?, idle_timeout);
        (!until.has_passed(now())).then_some(until)
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

    /// Gives up what is left of it, since its exchange is over: the caller is free, and a connection that waits for him is told.
    pub fn abandon(&self) {
        drop(self.body.take());
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How it ended, if the caller broke it.
    #[must_use]
    pub fn end(&self) -> Option<UploadEnd> {
        self.end.get()
    }
}

impl Upload {
    /// No body at all.
    #[must_use]
    pub fn empty() -> Self {
        Self { source: None }
    }

    /// Streams `body`; it may pause for `idle_timeout` at the most.
    #[must_use]
    pub fn streaming(body: Incoming, progress: Rc<UploadProgress>, idle_timeout: Duration) -> Self {
        if body.is_end_stream() {
            progress.is_whole.set(true);
            return Self::empty();
        }
        progress.body.replace(Some(body));
        Self {
            source: Some(Source {
                progress,
                idle_timeout,
                alarm: Alarm::default(),
            }),
        }
    }

    /// Whether there is nothing to send, so that the same call can be made twice.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.source.is_none()
    }
}

/// Whether a body broke off because its framing is none, which the HTTP library reports as `InvalidInput` or `InvalidData`.
#[must_use]
pub fn is_misframed(error: &hyper::Error) -> bool {
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| {
        [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData].contains(&source.kind())
    })
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
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
        let mut body = source.progress.body.borrow_mut();
        let Some(body) = body.as_mut() else {
            return Poll::Ready(Some(Err(UploadError)));
        };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        source.progress.is_waiting.set(polled.is_pending());
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                source.alarm.clear();
                source.progress.touch();
                if let Some(data) = frame.data_ref() {
                    source.progress.bytes.add(data.len() as u64);
                }
                if body.is_end_stream() {
                    source.progress.is_whole.set(true);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let end = if is_misframed(&error) {
                    UploadEnd::Malformed
                } else {
                    UploadEnd::Gone
                };
                source.progress.end.set(Some(end));
                Poll::Ready(Some(Err(UploadError)))
            }
            Poll::Ready(None) => {
                source.progress.is_whole.set(true);
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
        body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(source) = &self.source else {
            return SizeHint::with_exact(0);
        };
        let body = source.progress.body.borrow();
        body.as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

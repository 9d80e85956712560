//! The body of an answer to the caller, which carries the exchange to its end.
//!
//! A relayed body ends in one of six ways and each ends the exchange exactly once: empty from the start, end, trailers, end flagged with
//! the last data (the HTTP library does not poll again), error, and drop, which means that the caller is gone. (After linkerd's
//! `body-eos`.)

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::ending::{BodyEnd, Ending};
use super::grpc::tell;
use super::peek::Source;
use crate::failure::Failure;
use crate::stale::Collector;
use crate::time::{Alarm, Deadline, now};

/// The body of an answer.
pub(super) enum Body {
    /// Our own answer; empty once it is sent.
    Own(Own),
    /// The upstream's, as it comes.
    Relayed(Relayed),
}

/// Our own answer and the exchange that it ends.
pub(super) struct Own {
    text: Bytes,
    ending: Option<Box<Ending>>,
}

/// The upstream's answer and the exchange that it ends.
pub(super) struct Relayed {
    source: Source,
    ending: Option<Box<Ending>>,
    idle_timeout: Duration,
    alarm: Alarm,
    /// Keeps a copy, as long as all goes well.
    collector: Option<Box<Collector>>,
    /// Fires when the exchange has lasted for `max_duration`.
    most: Option<Box<Alarm>>,
    /// The last byte, where that is handed over by itself.
    last: Option<Box<Bytes>>,
    /// The failure with which the upstream broke it off; the caller gets it next.
    broken: Option<Failure>,
    is_grpc: bool,
}

/// The body of an upstream's answer, and how it ends for the caller.
pub(super) struct Theirs {
    pub(super) source: Source,
    /// There is none, by the answer's status or the call's method.
    pub(super) is_absent: bool,
    /// The caller learns in gRPC's trailers that it broke off: of a stream that is reset it could not tell why.
    pub(super) is_grpc: bool,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The longest pause.
    pub(super) idle_timeout: Duration,
    /// The end of the whole answer.
    pub(super) until: Option<Deadline>,
}

/// The answer broke off: the caller must not take it for complete.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's response body broke off ({})", .0.label())]
pub(super) struct BodyError(Failure);

impl Body {
    /// Our own answer.
    pub(super) fn own(text: Bytes, ending: Box<Ending>) -> Self {
        let mut own = Own {
            text,
            ending: Some(ending),
        };
        if own.text.is_empty() {
            own.end();
        }
        Self::Own(own)
    }

    /// An empty body, for an answer whose exchange goes on elsewhere.
    pub(super) fn nothing() -> Self {
        Self::Own(Own {
            text: Bytes::new(),
            ending: None,
        })
    }

    /// The upstream's answer; `collector` keeps a copy. The exchange of an answer without a body, by its status, the call's method or
    /// over HTTP/1.1 its length of 0, ends with the head: the HTTP library does not poll such a body, and from an HTTP/2 upstream its end
    /// may come late, in a frame of its own.
    pub(super) fn relayed(
        theirs: Theirs,
        ending: Box<Ending>,
        pace: Pace,
        collector: Option<Box<Collector>>,
    ) -> Self {
        let Theirs {
            source,
            is_absent,
            is_grpc,
        } = theirs;
        let is_empty = source.is_end_stream()
            || is_absent
            || source.size_hint().exact() == Some(0) && !ending.is_http2();
        let mut relayed = Relayed {
            source,
            ending: Some(ending),
            idle_timeout: pace.idle_timeout,
            alarm: Alarm::default(),
            collector,
            most: pace.until.map(|until| {
                let mut alarm = Box::<Alarm>::default();
                alarm.set(until);
                alarm
            }),
            last: None,
            broken: None,
            is_grpc,
        };
        if is_empty {
            relayed.end(BodyEnd::Whole);
            return Self::nothing();
        }
        Self::Relayed(relayed)
    }
}

impl Own {
    fn end(&mut self) {
        if let Some(ending) = self.ending.take() {
            ending.finish(BodyEnd::Whole);
        }
    }
}

impl Relayed {
    fn end(&mut self, end: BodyEnd) {
        if let (Some(collector), BodyEnd::Whole) = (self.collector.take(), end) {
            collector.finish(now());
        }
        if let Some(ending) = self.ending.take() {
            ending.finish(end);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Checked before the upstream's body, or one that always has a little more would never be cut.
        let most = self.most.as_mut().filter(|_| self.ending.is_some());
        if most.is_some_and(|most| most.poll(cx).is_ready()) {
            return Poll::Ready(Some(self.fail(Failure::MaxDuration)));
        }
        if let Some(failure) = self.broken.take() {
            return Poll::Ready(Some(self.fail(failure)));
        }
        if let Some(last) = self.last.take() {
            if let Some(ending) = &mut self.ending {
                ending.relayed_bytes(last.len());
            }
            self.end(BodyEnd::Whole);
            return Poll::Ready(Some(Ok(Frame::data(*last))));
        }
        match Pin::new(&mut self.source).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.alarm.clear();
                self.collect(&frame);
                let is_last =
                    self.source.is_end_stream() || frame.is_trailers() || self.is_all_there();
                if let (Some(ending), Some(data)) = (&mut self.ending, frame.data_mut()) {
                    if is_last {
                        self.last = ending.take_last_byte(data);
                    }
                    if self.source.quiet_since().is_none() {
                        ending.relayed_bytes(data.len());
                    } else {
                        ending.count_out(data.len());
                    }
                }
                if let (Some(ending), Some(trailers)) = (&mut self.ending, frame.trailers_mut()) {
                    ending.heard(trailers);
                }
                if is_last && self.last.is_none() {
                    self.end(BodyEnd::Whole);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let failure = if error.is_misframed() {
                    Failure::Protocol
                } else {
                    Failure::Truncated
                };
                self.breaks_off(failure, cx);
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.end(BodyEnd::Whole);
                Poll::Ready(None)
            }
            Poll::Pending => {
                if !self.alarm.is_set() {
                    let since = self.source.quiet_since().unwrap_or_else(now);
                    self.alarm.set(Deadline::after(since, self.idle_timeout));
                }
                while self.alarm.poll(cx).is_ready() {
                    let patience = self
                        .ending
                        .as_ref()
                        .and_then(|ending| ending.patience(self.idle_timeout));
                    let Some(until) = patience else {
                        self.breaks_off(Failure::IdleTimeout, cx);
                        break;
                    };
                    self.alarm.set(until);
                }
                Poll::Pending
            }
        }
    }

    /// Whether the caller has all that the answer's length announces: over HTTP/1.1 the library polls no further, and the end from an
    /// HTTP/2 upstream may come in a frame of its own.
    fn is_all_there(&self) -> bool {
        let is_http2 = self.ending.as_ref().is_some_and(|ending| ending.is_http2());
        !is_http2 && self.source.size_hint().exact() == Some(0)
    }

    /// Copies what passes. An answer with trailers is not kept: its head alone does not tell whether it is good.
    fn collect(&mut self, frame: &Frame<Bytes>) {
        if let Some(collector) = &mut self.collector
            && !frame.data_ref().is_some_and(|data| collector.push(data))
        {
            self.collector = None;
        }
    }

    /// Reports the failure to the caller with the next poll. At an error the library drops what it has not written yet, so what
    /// came before gets a moment to go out.
    fn breaks_off(&mut self, failure: Failure, cx: &Context<'_>) {
        self.broken = Some(failure);
        cx.waker().wake_by_ref();
    }

    fn fail(&mut self, failure: Failure) -> Result<Frame<Bytes>, BodyError> {
        if let Some(ending) = self.ending.as_mut().filter(|_| self.is_grpc) {
            let status = failure.grpc_status();
            ending.exchange.grpc_status(Some(status.into()));
        }
        self.end(BodyEnd::Broken(failure));
        let error = BodyError(failure);
        if !self.is_grpc {
            return Err(error);
        }
        let mut trailers = HeaderMap::with_capacity(2);
        tell(&mut trailers, failure, &error.to_string());
        Ok(Frame::trailers(trailers))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(own) if own.text.is_empty() => Poll::Ready(None),
            Self::Own(own) => {
                let mut text = std::mem::take(&mut own.text);
                if let Some(ending) = &mut own.ending {
                    if let Some(last) = ending.take_last_byte(&mut text) {
                        own.text = *last;
                    }
                    ending.count_out(text.len());
                }
                if own.text.is_empty() {
                    own.end();
                }
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
            Self::Relayed(relayed) => relayed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(own) => own.text.is_empty(),
            // The library does not poll what says that it is over, and an end that came meanwhile has to be heard.
            Self::Relayed(relayed) => relayed.ending.is_none() && relayed.source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(own) => SizeHint::with_exact(own.text.len() as u64),
            Self::Relayed(relayed) => relayed.source.size_hint(),
        }
    }
}

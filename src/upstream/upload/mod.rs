//! The request body on its way up: counted, watched for a caller that stalls, and held back for `Expect: 100-continue`.
//!
//! What is known of it outlives each attempt that sends it (`body`).

mod body;

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame};
use hyper::body::Incoming;

pub use body::Upload;

use super::go_ahead::GoAhead;
use super::replay::{MOST, Record};
use super::upload_end::UploadEnd;
use crate::telemetry::ByteCount;
use crate::time::{Deadline, now};

/// A caller's request body, and what is known of it while a connection reads it.
#[derive(Debug)]
pub struct UploadProgress {
    /// The caller's body; not in [`Upload`], which the connection may hold for as long as the upstream does not read.
    body: RefCell<Option<Incoming>>,
    /// The body is none.
    is_empty: bool,
    /// It comes over HTTP/2, so that its stream tells whether it has ended.
    is_stream: bool,
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
    /// The progress of `body`, which comes over that version. Its bytes are added to `bytes` as they are handed to a connection.
    #[must_use]
    pub fn new(body: Incoming, version: Version, bytes: ByteCount) -> Self {
        let (is_empty, length) = (body.is_end_stream(), body.size_hint().exact());
        Self {
            body: RefCell::new((!is_empty).then_some(body)),
            is_empty,
            is_stream: version == Version::HTTP_2,
            length,
            record: RefCell::default(),
            is_touched: Cell::default(),
            turn: Cell::default(),
            is_held: Cell::default(),
            waker: RefCell::default(),
            bytes,
            is_whole: Cell::new(is_empty),
            moved: Cell::default(),
            is_waiting: Cell::default(),
            go_ahead: RefCell::default(),
            is_answered: Cell::default(),
            end: Cell::default(),
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

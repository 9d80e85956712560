//! Whether an exchange is open on a caller's connection, shared by the stream ([`Front`](super::front::Front)) and the task
//! that serves it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::failure::Failure;
use crate::telemetry::CorrelationId;
use crate::wire::Flaw;

/// Whether an exchange is open on the connection. Atomic only because the HTTP library may send an upgraded stream to another thread.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// One of [`SHUT`], [`OPEN`], [`UNFLUSHED`] and [`FOR_GOOD`].
    phase: AtomicU8,
    /// How many exchanges have ended.
    over: AtomicU64,
    /// One of [`UNKNOWN`], [`NOT_BEGUN`] and [`BEGUN`].
    head: AtomicU8,
    /// What is wrong with the request that was read last.
    flaw: OnceLock<Flaw>,
    refused: Mutex<Option<Refused>>,
    stir: Notify,
}

/// No exchange is open.
const SHUT: u8 = 0;
/// One is.
const OPEN: u8 = 1;
/// It has ended, and its answer is not fully written.
const UNFLUSHED: u8 = 2;
/// The bytes are no longer HTTP/1, or nothing is served any more.
const FOR_GOOD: u8 = 3;

/// Not known, since this caller is not read strictly.
const UNKNOWN: u8 = 0;
/// No head is under way.
const NOT_BEGUN: u8 = 1;
/// One has.
const BEGUN: u8 = 2;

/// A request that the HTTP library refused by itself.
#[derive(Debug)]
pub(super) struct Refused {
    /// The reason.
    pub(super) failure: Failure,
    /// The rule that it breaks, if that is known.
    pub(super) flaw: Option<Flaw>,
    /// The id that our answer gave it.
    pub(super) correlation: CorrelationId,
    /// The length of our answer.
    pub(super) bytes: u64,
}

impl Gate {
    /// Says that an exchange begins.
    pub(super) fn begin(&self) {
        let _ = self
            .phase
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |phase| {
                (phase != FOR_GOOD).then_some(OPEN)
            });
    }

    /// Says that it ends; its answer may still be on its way out.
    pub(super) fn end(&self) {
        self.turn(OPEN, UNFLUSHED);
        self.over.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that all that was written is flushed.
    pub(super) fn flushed(&self) {
        self.turn(UNFLUSHED, SHUT);
    }

    fn turn(&self, from: u8, to: u8) {
        let _ = self
            .phase
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How many exchanges have ended.
    pub(super) fn over(&self) -> u64 {
        self.over.load(Ordering::Relaxed)
    }

    /// Says that from now on the bytes are no longer HTTP/1, or nothing is served any more.
    pub(super) fn open_for_good(&self) {
        self.phase.store(FOR_GOOD, Ordering::Relaxed);
    }

    /// Notes whether a head is under way.
    pub(super) fn note_head(&self, has_begun: bool) {
        let head = if has_begun { BEGUN } else { NOT_BEGUN };
        self.head.store(head, Ordering::Relaxed);
    }

    /// Whether a head is under way, if that is known.
    pub(super) fn has_begun_head(&self) -> Option<bool> {
        match self.head.load(Ordering::Relaxed) {
            UNKNOWN => None,
            head => Some(head == BEGUN),
        }
    }

    /// Notes what is wrong with a request; nothing behind it is read.
    pub(super) fn note_flaw(&self, flaw: Flaw) {
        let _ = self.flaw.set(flaw);
    }

    /// What is wrong with the request that was read last.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.flaw.get().copied()
    }

    /// Wakes the task that serves the connection.
    pub(super) fn stir(&self) {
        self.stir.notify_one();
    }

    /// Waits until there may be news: a request that the HTTP library refused, or a notice for the connection.
    pub(super) async fn stirred(&self) {
        self.stir.notified().await;
    }

    /// The request that was refused, once.
    pub(super) fn take_refused(&self) -> Option<Refused> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Says that a request was refused, the last one of its connection.
    pub(super) fn refuse(&self, refused: Refused) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
        self.stir();
        self.open_for_good();
    }

    /// Whether no exchange is open: the last one's answer is flushed.
    pub(super) fn is_shut(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == SHUT
    }

    /// Whether an exchange has ended whose answer is not all written.
    pub(super) fn is_unflushed(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == UNFLUSHED
    }

    /// Whether bytes are no longer HTTP/1, or nothing is served any more.
    pub(super) fn is_open_for_good(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == FOR_GOOD
    }
}

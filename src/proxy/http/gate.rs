//! Whether an exchange is open on a caller's connection, as the stream and whoever serves it tell each other.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::failure::Failure;
use crate::telemetry::CorrelationId;
use crate::wire::Flaw;

/// Whether an exchange is open on the connection. Atomic only because the HTTP library may send an upgraded stream to another thread.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// 0: none is open. 1: one is. 2: it has ended but is not yet flushed. 3: bytes are no longer HTTP/1.
    phase: AtomicU8,
    /// How many exchanges have ended.
    over: AtomicU64,
    /// Of a caller that is read strictly. 0: nobody knows. 1: no head has begun that is not over. 2: one has.
    head: AtomicU8,
    /// What is wrong with the request that was read last.
    flaw: OnceLock<Flaw>,
    refused: Mutex<Option<Refused>>,
    stir: Notify,
}

/// A request that the HTTP library refused by itself.
#[derive(Debug)]
pub(super) struct Refused {
    /// As what.
    pub(super) failure: Failure,
    /// The id that our answer gave it.
    pub(super) correlation: CorrelationId,
    /// The length of our answer.
    pub(super) bytes: u64,
}

impl Gate {
    pub(super) fn begin(&self) {
        let _ = self
            .phase
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |phase| {
                (phase != 3).then_some(1)
            });
    }

    pub(super) fn end(&self) {
        let _ = self
            .phase
            .compare_exchange(1, 2, Ordering::Relaxed, Ordering::Relaxed);
        self.over.fetch_add(1, Ordering::Relaxed);
    }

    /// How many exchanges have ended.
    pub(super) fn over(&self) -> u64 {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn open_for_good(&self) {
        self.phase.store(3, Ordering::Relaxed);
    }

    /// So far a head has begun that is not over, or none has.
    pub(super) fn reads(&self, has_begun: bool) {
        self.head.store(1 + u8::from(has_begun), Ordering::Relaxed);
    }

    /// Whether a head has begun and is not over, if that is known.
    pub(super) fn has_begun_head(&self) -> Option<bool> {
        match self.head.load(Ordering::Relaxed) {
            0 => None,
            head => Some(head == 2),
        }
    }

    /// Something is wrong with a request; nothing is read behind it.
    pub(super) fn found(&self, flaw: Flaw) {
        let _ = self.flaw.set(flaw);
    }

    /// What is wrong with the request that was read last.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.flaw.get().copied()
    }

    /// Has whoever serves the connection look what is new.
    pub(super) fn stir(&self) {
        self.stir.notify_one();
    }

    /// Waits until there may be something new: a request that the HTTP library refused, or what the connection is told.
    pub(super) async fn stirred(&self) {
        self.stir.notified().await;
    }

    pub(super) fn take_refused(&self) -> Option<Refused> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// A request was refused, which is the last of its connection.
    pub(super) fn refuse(&self, refused: Refused) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
        self.stir();
        self.open_for_good();
    }

    /// All that was written has gone.
    pub(super) fn flushed(&self) {
        let _ = self
            .phase
            .compare_exchange(2, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether no exchange is open: the last one's answer is flushed.
    pub(super) fn is_shut(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == 0
    }

    /// Whether an exchange has ended whose answer is not all written.
    pub(super) fn is_unflushed(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == 2
    }

    /// Whether bytes are no longer HTTP/1, or nothing is served any more.
    pub(super) fn is_open_for_good(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == 3
    }
}

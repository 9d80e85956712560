//! What is known of a caller's connection from outside, and what it is told.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::{Gate, Refused};
use super::relay::record_refused;
use crate::config::plan::HttpPlan;
use crate::failure::Failure;
use crate::net::Traffic;
use crate::proxy::worker::Worker;
use crate::telemetry::CorrelationId;
use crate::time::now;
use crate::wire::Flaw;

/// A connection that is idle for so long gives back what the HTTP library keeps for it, two buffers of 8 KiB above all. A second costs a
/// busy caller nothing; pools keep connections idle for minutes.
const REST: Duration = Duration::from_secs(1);

/// What is known of a connection from outside: whether it is idle, since when, and how to close it.
pub(crate) struct ConnectionState {
    traffic: Arc<Traffic>,
    gate: Arc<Gate>,
    busy: Cell<usize>,
    has_served: Cell<bool>,
    changed: Cell<Instant>,
    /// Bytes that had come when the last exchange ended: more of them are a request whose head is not whole yet, where nobody knows better.
    heard: Cell<u64>,
    /// Answers that are on their way may pause for so long.
    stall_after: Cell<Option<Duration>>,
    moved: Cell<u64>,
    /// Bytes that had gone when this was last looked at.
    sent: Cell<u64>,
    /// The last exchange ended with nothing left over, neither of its request nor of its answer.
    is_between: Cell<bool>,
    /// What comes next is the head of another request.
    awaits_head: Cell<bool>,
    /// The request whose head has begun is recorded.
    is_begun_recorded: Cell<bool>,
    is_resting: Cell<bool>,
    has_been_told: Cell<bool>,
    /// It is to end; stays so.
    must_close: Cell<bool>,
    /// Told and not heard yet.
    must_rest: Cell<bool>,
    must_wind_down: Cell<bool>,
}

/// What a connection is told while the HTTP library serves it.
pub(super) enum Notice {
    /// The library has refused a request.
    Refused(Refused),
    /// It is to end. Told again to whoever asks again.
    Close,
    /// It is to take no further calls.
    WindDown,
    /// It is to give back what the library keeps for it.
    Rest,
}

impl ConnectionState {
    pub(super) fn new(traffic: Arc<Traffic>, gate: Arc<Gate>) -> Self {
        Self {
            traffic,
            gate,
            busy: Cell::new(0),
            has_served: Cell::new(false),
            changed: Cell::new(now()),
            heard: Cell::new(0),
            stall_after: Cell::new(None),
            moved: Cell::new(0),
            sent: Cell::new(0),
            is_between: Cell::new(false),
            awaits_head: Cell::new(true),
            is_begun_recorded: Cell::new(false),
            is_resting: Cell::new(false),
            has_been_told: Cell::new(false),
            must_close: Cell::new(false),
            must_rest: Cell::new(false),
            must_wind_down: Cell::new(false),
        }
    }

    /// Has an HTTP/2 connection say that it takes no more calls. Over HTTP/1 the next answer says so: an idle connection that just
    /// closed could meet a call halfway.
    pub(crate) fn wind_down(&self) {
        if !self.has_been_told.replace(true) {
            self.tell(&self.must_wind_down);
        }
    }

    /// Records the request whose head has begun and never ended, if there is one: its caller was meant to be served. It gets no answer,
    /// for this reason.
    pub(crate) fn record_begun(&self, worker: &Worker, failure: Failure) {
        if self.busy.get() > 0 || self.gate.is_open_for_good() {
            return;
        }
        let has_begun = self
            .gate
            .has_begun_head()
            .unwrap_or_else(|| self.awaits_head.get() && self.traffic.read() != self.heard.get());
        if has_begun && !self.is_begun_recorded.replace(true) {
            let refused = Refused {
                failure,
                flaw: None,
                correlation: CorrelationId::random(),
                bytes: 0,
            };
            record_refused(worker, refused);
        }
    }

    /// An exchange begins.
    pub(super) fn begin(&self) {
        self.busy.set(self.busy.get() + 1);
        self.has_served.set(true);
        self.is_between.set(false);
        self.awaits_head.set(false);
        self.is_begun_recorded.set(false);
        self.gate.begin();
    }

    /// The exchange is ending with all of its request read.
    pub(super) fn leaves_nothing(&self) {
        self.is_between.set(true);
    }

    /// Answers that are on their way may pause for so long.
    pub(super) fn answering(&self, idle_timeout: Duration) {
        let longest = self.stall_after.get();
        let longest = longest.map_or(idle_timeout, |other| other.max(idle_timeout));
        self.stall_after.set(Some(longest));
    }

    /// The connection is a tunnel from now on.
    pub(super) fn tunnelling(&self) {
        self.stall_after.set(None);
        self.gate.open_for_good();
    }

    /// An exchange has ended.
    pub(super) fn end(&self) {
        let busy = self.busy.get() - 1;
        self.busy.set(busy);
        if busy == 0 {
            self.changed.set(now());
            self.heard.set(self.traffic.read());
            self.stall_after.set(None);
            self.awaits_head.set(self.is_between.get());
            self.gate.end();
        }
    }

    /// The HTTP library has given back what it kept for the connection, or has it again.
    pub(super) fn rests(&self, is_resting: bool) {
        self.is_resting.set(is_resting);
        if !is_resting {
            // What has come now belongs to an exchange that has not begun.
            self.is_between.set(false);
        }
    }

    /// A request that the HTTP library refused and nobody has heard of yet.
    pub(super) fn take_refused(&self) -> Option<Refused> {
        self.gate.take_refused()
    }

    /// What is wrong with the request that was read last, where requests are read strictly.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.gate.flaw()
    }

    fn tell(&self, what: &Cell<bool>) {
        what.set(true);
        self.gate.stir();
    }

    /// Waits for what the connection is told next, the most urgent first.
    pub(super) async fn notice(&self) -> Notice {
        loop {
            if let Some(refused) = self.gate.take_refused() {
                return Notice::Refused(refused);
            }
            if self.must_close.get() {
                return Notice::Close;
            }
            if self.must_wind_down.take() {
                return Notice::WindDown;
            }
            if self.must_rest.take() {
                return Notice::Rest;
            }
            self.gate.stirred().await;
        }
    }

    /// Waits until the connection is told to end.
    pub(super) async fn closing(&self) {
        while !self.must_close.get() {
            self.gate.stirred().await;
        }
    }

    /// Whether an answer is still on its way to the caller although its exchange has ended: the HTTP library holds a part of it, or bytes
    /// have moved since this was asked last.
    pub(crate) fn is_sending(&self) -> bool {
        let written = self.traffic.written();
        written != self.sent.replace(written) || self.gate.is_unflushed()
    }

    /// Whether the HTTP library holds nothing of the connection that matters: no request in part, no answer that is not sent.
    pub(super) fn may_rest(&self) -> bool {
        self.is_between.get() && self.busy.get() == 0 && self.gate.is_shut()
    }

    /// Closes the connection if it has been idle, or its caller deaf, for too long; has it rest before that.
    pub(crate) fn look(&self, now: Instant, plan: &HttpPlan) {
        let idle = now.saturating_duration_since(self.changed.get());
        if self.may_rest() && !self.is_resting.get() && idle >= REST {
            self.tell(&self.must_rest);
        }
        let limit = if self.busy.get() > 0 {
            let moved = self.traffic.read().wrapping_add(self.traffic.written());
            if moved != self.moved.replace(moved) {
                self.changed.set(now);
            }
            // A second more than the body's own clock, which knows better who it is that stalls.
            self.stall_after
                .get()
                .map(|limit| limit + Duration::from_secs(1))
        } else if self.has_served.get() {
            Some(plan.keep_alive)
        } else {
            Some(plan.first_request_timeout)
        };
        if limit.is_some_and(|limit| now.saturating_duration_since(self.changed.get()) >= limit) {
            self.tell(&self.must_close);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::net::Metered;
    use crate::proxy::http::front::Front;

    #[tokio::test]
    async fn an_answer_is_on_its_way_until_all_of_it_is_written() {
        let (near, _far) = tokio::io::duplex(64);
        let near = Metered::new(near);
        let gate = Arc::new(Gate::default());
        let state = ConnectionState::new(near.traffic(), Arc::clone(&gate));
        let mut front = Front::new(near, gate);
        state.begin();
        front.write_all(b"an answer").await.unwrap();
        state.end();
        assert!(state.is_sending(), "bytes have moved");
        assert!(state.is_sending(), "the library may hold more of them");
        front.flush().await.unwrap();
        assert!(!state.is_sending());
    }
}

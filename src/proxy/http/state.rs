//! The state of a caller's connection as seen from outside, and the notices that it gets.

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

/// After this idle time a connection frees what the HTTP library keeps for it, above all two buffers of 8 KiB. Busy callers
/// never wait a second; pools keep connections idle for minutes.
const REST: Duration = Duration::from_secs(1);

/// The state of a connection: whether it is idle, since when, and how to close it.
pub(crate) struct ConnectionState {
    traffic: Arc<Traffic>,
    gate: Arc<Gate>,
    busy: Cell<usize>,
    has_served: Cell<bool>,
    changed: Cell<Instant>,
    /// Bytes that had come when the last exchange ended: if the caller is not read strictly, more of them mean a request whose
    /// head is incomplete.
    heard: Cell<u64>,
    /// How long the caller may stop reading an answer that is on its way.
    stall_after: Cell<Option<Duration>>,
    moved: Cell<u64>,
    /// Bytes that had been sent when that was last looked at, and since when they are no more.
    written: Cell<(u64, Instant)>,
    /// Bytes that had been sent at the last look.
    sent: Cell<u64>,
    /// The last exchange ended with nothing left over, neither of its request nor of its answer.
    is_between: Cell<bool>,
    /// What comes next is the head of another request.
    awaits_head: Cell<bool>,
    /// The request whose head is under way is recorded.
    is_begun_recorded: Cell<bool>,
    is_resting: Cell<bool>,
    has_been_told: Cell<bool>,
    /// It is to end; never reset.
    must_close: Cell<bool>,
    /// It is to rest; reset once it has noticed.
    must_rest: Cell<bool>,
    must_wind_down: Cell<bool>,
}

/// A notice to a connection while the HTTP library serves it.
pub(super) enum Notice {
    /// The library has refused a request.
    Refused(Refused),
    /// It is to end. Given again each time.
    Close,
    /// It is to take no further calls.
    WindDown,
    /// It is to free what the library keeps for it.
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
            written: Cell::new((0, now())),
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

    /// Makes an HTTP/2 connection announce that it takes no more calls. Over HTTP/1 the next answer says so: if an idle
    /// connection just closed, a call could already be on its way.
    pub(crate) fn wind_down(&self) {
        if !self.has_been_told.replace(true) {
            self.tell(&self.must_wind_down);
        }
    }

    /// Records a request whose head has begun and never ended, if there is one, as failed for this reason. It gets no answer.
    pub(crate) fn record_begun(&self, worker: &Worker, failure: Failure) {
        if self.busy.get() == 0 && self.has_begun() && !self.is_begun_recorded.replace(true) {
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

    /// Says that an answer is on its way: the caller may stop reading it for that long.
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

    /// Says whether the connection rests: whether the HTTP library has freed what it kept for it.
    pub(super) fn rests(&self, is_resting: bool) {
        self.is_resting.set(is_resting);
        if !is_resting {
            // Bytes that have come by now belong to an exchange that has not begun.
            self.is_between.set(false);
        }
    }

    /// A request that the HTTP library refused and that is not recorded yet.
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

    /// Waits for the next notice, the most urgent first.
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

    /// Whether no exchange is open: what comes next begins one.
    pub(super) fn is_shut(&self) -> bool {
        self.gate.is_shut()
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

    /// How long the caller has been waited for, if that is at least [`REST`], and whether it has begun a request meanwhile. `None` while a
    /// call is on the connection or an answer on its way, and once it is to end.
    pub(crate) fn waited_for(&self, now: Instant) -> Option<(bool, Duration)> {
        let is_idle = self.busy.get() == 0 && !self.must_close.get() && !self.gate.is_unflushed();
        let waited = now.saturating_duration_since(self.changed.get());
        // Over HTTP/2 a part of an answer may still be with the library.
        let quiet = now.saturating_duration_since(self.written.get().1);
        (is_idle && waited.min(quiet) >= REST).then(|| (self.has_begun(), waited))
    }

    /// Closes the connection.
    pub(crate) fn close(&self) {
        self.tell(&self.must_close);
    }

    /// Whether the head of a request has begun and has not ended.
    fn has_begun(&self) -> bool {
        !self.gate.is_open_for_good()
            && self.gate.has_begun_head().unwrap_or_else(|| {
                self.awaits_head.get() && self.traffic.read() != self.heard.get()
            })
    }

    /// Whether the HTTP library holds nothing of the connection that matters: no request in part, no answer that is not sent.
    pub(super) fn may_rest(&self) -> bool {
        self.is_between.get() && self.busy.get() == 0 && self.gate.is_shut()
    }

    /// Closes the connection if it has been idle, or its caller has not read, for too long; before that, lets an idle one rest.
    pub(crate) fn look(&self, now: Instant, plan: &HttpPlan) {
        let written = self.traffic.written();
        if written != self.written.get().0 {
            self.written.set((written, now));
        }
        let idle = now.saturating_duration_since(self.changed.get());
        if self.may_rest() && !self.is_resting.get() && idle >= REST {
            self.tell(&self.must_rest);
        }
        let limit = if self.busy.get() > 0 {
            let moved = self.traffic.read().wrapping_add(self.traffic.written());
            if moved != self.moved.replace(moved) {
                self.changed.set(now);
            }
            // A second more than the body's own limit, which knows better which side stalls.
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
    use crate::config;
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

    #[tokio::test(start_paused = true)]
    async fn who_still_takes_of_an_answer_is_not_waited_for() {
        let text = "version: 1\nroutes: {r: {upstream: \"http://a\"}}\n";
        let plan = config::load(text, "config.yaml", &|_| None)
            .unwrap()
            .plan
            .http;
        let (near, _far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        let gate = Arc::new(Gate::default());
        gate.open_for_good();
        let state = ConnectionState::new(near.traffic(), gate);
        state.begin();
        assert_eq!(state.waited_for(now() + REST), None, "a call is under way");
        state.end();
        let later = now() + REST;
        assert_eq!(state.waited_for(later), Some((false, REST)));
        near.write_all(b"the rest").await.unwrap();
        state.look(later, &plan);
        assert_eq!(state.waited_for(later), None);
        assert_eq!(state.waited_for(later + REST), Some((false, 2 * REST)));
        state.close();
        assert_eq!(state.waited_for(later + REST), None, "it makes way already");
    }
}

//! One connection of a caller: its version, its time limits, its end.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::front::{Front, Gate, Refused};
use super::relay::{record_refused, relay};
use super::reply;
use crate::config::plan::HttpPlan;
use crate::failure::Failure;
use crate::net::{Io, Metered, Traffic};
use crate::proxy::worker::Worker;
use crate::telemetry::CorrelationId;
use crate::time::{Deadline, now, timeout_at};
use crate::upstream::LocalExecutor;

/// A connection that is idle for so long gives back what the HTTP library keeps for it, two buffers of 8 KiB above all. A second costs a
/// busy caller nothing; pools keep connections idle for minutes.
const REST: Duration = Duration::from_secs(1);

/// A connection that is to close gets so long to say goodbye, and its caller to stop sending.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// One connection of a caller, as its exchanges see it.
pub(super) struct Connection {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: HeaderValue,
    pub(super) state: Rc<ConnectionState>,
    place: Rc<Place>,
}

/// What is known of a connection from outside: whether it is idle, since when, and how to close it.
pub(crate) struct ConnectionState {
    traffic: Arc<Traffic>,
    gate: Arc<Gate>,
    busy: Cell<usize>,
    has_served: Cell<bool>,
    changed: Cell<Instant>,
    /// Bytes that had come when the last exchange ended: more of them are a request whose head is not whole yet.
    heard: Cell<u64>,
    /// Answers that are on their way may pause for so long.
    stall_after: Cell<Option<Duration>>,
    moved: Cell<u64>,
    close: Notify,
    /// The last exchange ended with nothing left over, neither of its request nor of its answer.
    is_between: Cell<bool>,
    is_resting: Cell<bool>,
    rest: Notify,
    has_been_told: Cell<bool>,
    wind_down: Notify,
}

/// An exchange on a connection; its end is the connection's leisure.
pub(super) struct Busy {
    worker: Rc<Worker>,
    state: Rc<ConnectionState>,
    _place: Rc<Place>,
}

/// A caller's place among `max_connections`: held by the connection and, once it is a tunnel, by its exchange.
struct Place {
    worker: Rc<Worker>,
}

/// Serves a caller's connection until it ends.
pub async fn serve<I: Io>(worker: Rc<Worker>, io: I, peer: IpAddr) {
    let place = Rc::new(Place {
        worker: Rc::clone(&worker),
    });
    let io = Metered::new(io);
    let gate = Arc::new(Gate::default());
    let state = Rc::new(ConnectionState::new(io.traffic(), Arc::clone(&gate)));
    let watched = Watched {
        id: worker.watch(Rc::clone(&state)),
        worker: &worker,
    };
    let mut front = Front::new(io, gate);
    let is_http2 = tokio::select! {
        preface = front.read_preface() => preface,
        () = state.close.notified() => {
            state.record_begun(&worker);
            return;
        }
    };
    let Ok(is_http2) = is_http2 else { return };
    let Ok(peer) = HeaderValue::try_from(peer.to_canonical().to_string()) else {
        return;
    };
    let connection = Rc::new(Connection {
        worker: Rc::clone(&worker),
        peer,
        state,
        place,
    });
    if is_http2 {
        // Boxed, or each HTTP/1 connection would carry the room for it.
        Box::pin(serve_http2(&connection, front)).await
    } else {
        serve_http1(&connection, front).await
    }
    drop(watched);
}

/// Tells a caller's connection that it is not served, and closes it. It is recorded as an exchange, for a call was surely meant.
pub async fn refuse<I: Io>(worker: Rc<Worker>, mut io: I, failure: Failure) {
    let correlation = CorrelationId::random();
    let answer = reply::bare_refusal(failure, &correlation);
    let bytes = answer.len() as u64;
    record_refused(
        &worker,
        Refused {
            failure,
            correlation,
            bytes,
        },
    );
    // Closing with unread bytes would reset the connection under the answer: read what comes, for a moment.
    let farewell = Deadline::after(now(), FAREWELL);
    let _ = timeout_at(farewell, async {
        io.write_all(&answer).await?;
        io.shutdown().await?;
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    })
    .await;
    worker.forget_connection();
}

async fn serve_http1<I: Io>(connection: &Rc<Connection>, front: Front<I>) {
    let plan = connection.worker.current().snapshot.plan.http.clone();
    let state = &connection.state;
    let record = || {
        if let Some(refused) = state.gate.take_refused() {
            record_refused(&connection.worker, refused);
        }
    };
    let mut front = front;
    loop {
        // In a block of its own, at whose end all that the library had is gone, before the wait.
        front = {
            let service = service_fn(|request| relay(Rc::clone(connection), request));
            let served = http1::Builder::new()
                .max_headers(plan.max_headers)
                .max_header_size(plan.max_header_bytes)
                .serve_connection(TokioIo::new(front), service)
                .with_upgrades();
            let mut served = Box::new(served);
            loop {
                tokio::select! {
                    // Whatever ended it, there is nobody left to tell but those below.
                    _ = &mut served => return record(),
                    () = state.gate.refused() => record(),
                    () = state.rest.notified() => {
                        if state.may_rest() {
                            break;
                        }
                    }
                    () = state.close.notified() => {
                        state.record_begun(&connection.worker);
                        Pin::new(&mut *served).graceful_shutdown();
                        let farewell = Deadline::after(now(), FAREWELL);
                        let _ = timeout_at(farewell, served).await;
                        return record();
                    }
                }
            }
            let Some(parts) = served.into_parts() else {
                return record();
            };
            let mut front = parts.io.into_inner();
            front.unread(&parts.read_buf);
            front
        };
        state.is_resting.set(true);
        tokio::select! {
            () = front.wake() => {}
            // Seen again below, where a connection is closed in the right way.
            () = state.close.notified() => state.close.notify_one(),
        }
        state.is_resting.set(false);
        // What has come now belongs to an exchange that has not begun.
        state.is_between.set(false);
    }
}

async fn serve_http2<I: Io>(connection: &Rc<Connection>, front: Front<I>) {
    let plan = connection.worker.current().snapshot.plan.http.clone();
    let service = service_fn(|request| relay(Rc::clone(connection), request));
    let served = http2::Builder::new(LocalExecutor)
        .max_header_list_size(u32::try_from(plan.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(100)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .serve_connection(TokioIo::new(front), service);
    let mut served = std::pin::pin!(served);
    let state = &connection.state;
    loop {
        tokio::select! {
            _ = served.as_mut() => return,
            // GOAWAY in two steps: streams that are on their way to us are served yet, then the connection ends.
            () = state.wind_down.notified() => served.as_mut().graceful_shutdown(),
            () = state.close.notified() => {
                served.as_mut().graceful_shutdown();
                let farewell = Deadline::after(now(), FAREWELL);
                let _ = timeout_at(farewell, served).await;
                return;
            }
        }
    }
}

impl Connection {
    /// An exchange begins.
    pub(super) fn begin(&self) -> Busy {
        let state = &self.state;
        state.busy.set(state.busy.get() + 1);
        state.has_served.set(true);
        state.is_between.set(false);
        state.gate.begin();
        let load = self.worker.load();
        load.in_flight.fetch_add(1, Ordering::Relaxed);
        load.begun.fetch_add(1, Ordering::Relaxed);
        Busy {
            worker: Rc::clone(&self.worker),
            state: Rc::clone(state),
            _place: Rc::clone(&self.place),
        }
    }
}

impl Busy {
    /// The answer's body is on its way: from now on the caller may not stop reading for longer than this.
    pub(super) fn answering(&self, idle_timeout: Duration) {
        let longest = self
            .state
            .stall_after
            .get()
            .map_or(idle_timeout, |other| other.max(idle_timeout));
        self.state.stall_after.set(Some(longest));
    }

    /// The exchange is ending with all of its request read, so what comes next on an HTTP/1 connection is another request.
    pub(super) fn leaves_nothing(&self) {
        self.state.is_between.set(true);
    }

    /// The connection is a tunnel from now on.
    pub(super) fn tunnelling(&self) {
        self.state.stall_after.set(None);
        self.state.gate.open_for_good();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let busy = self.state.busy.get() - 1;
        self.state.busy.set(busy);
        self.worker.load().in_flight.fetch_sub(1, Ordering::Relaxed);
        if busy == 0 {
            self.state.changed.set(now());
            self.state.heard.set(self.state.traffic.read());
            self.state.stall_after.set(None);
            self.state.gate.end();
        }
    }
}

impl ConnectionState {
    fn new(traffic: Arc<Traffic>, gate: Arc<Gate>) -> Self {
        Self {
            traffic,
            gate,
            busy: Cell::new(0),
            has_served: Cell::new(false),
            changed: Cell::new(now()),
            heard: Cell::new(0),
            stall_after: Cell::new(None),
            moved: Cell::new(0),
            close: Notify::new(),
            is_between: Cell::new(false),
            is_resting: Cell::new(false),
            rest: Notify::new(),
            has_been_told: Cell::new(false),
            wind_down: Notify::new(),
        }
    }

    /// Has an HTTP/2 connection say that it takes no more calls. Over HTTP/1 the next answer says so: an idle connection that just
    /// closed could meet a call halfway.
    pub(crate) fn wind_down(&self) {
        if !self.has_been_told.replace(true) {
            self.wind_down.notify_one();
        }
    }

    /// Records the request whose head has begun and never ended, if there is one: its caller was meant to be served. It gets no answer.
    fn record_begun(&self, worker: &Worker) {
        if self.busy.get() == 0 && self.traffic.read() != self.heard.get() {
            let refused = Refused {
                failure: Failure::RequestTimeout,
                correlation: CorrelationId::random(),
                bytes: 0,
            };
            record_refused(worker, refused);
        }
    }

    /// Whether the HTTP library holds nothing of the connection that matters: no request in part, no answer that is not sent.
    fn may_rest(&self) -> bool {
        self.is_between.get() && self.busy.get() == 0 && self.gate.is_shut()
    }

    /// Closes the connection if it has been idle, or its caller deaf, for too long; has it rest before that.
    pub(crate) fn look(&self, now: Instant, plan: &HttpPlan) {
        let idle = now.saturating_duration_since(self.changed.get());
        if self.may_rest() && !self.is_resting.get() && idle >= REST {
            self.rest.notify_one();
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
            self.close.notify_one();
        }
    }
}

/// A connection under watch, until it ends in whatever way.
struct Watched<'a> {
    worker: &'a Worker,
    id: u64,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.worker.unwatch(self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.forget_connection();
    }
}

//! One connection of a caller: its version, its time limits, its end.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use super::body::Pace;
use super::front::{Front, PREFACE};
use super::gate::{Gate, Refused};
use super::relay::{record_refused, relay};
use super::reply;
use super::state::{ConnectionState, Notice};
use super::stream::{Pulse, Streams};
use crate::failure::Failure;
use crate::net::{Io, Metered, Weighed};
use crate::proxy::worker::Worker;
use crate::telemetry::CorrelationId;
use crate::time::{Deadline, now, timeout_at};
use crate::wire::Flaw;

/// The most calls at once on a connection of HTTP/2.
const STREAMS: u32 = 100;

/// How much of a call's body is taken that nobody asks for yet. A connection has room for as many as it may have calls, so that one whose
/// upstream takes nothing holds up no other.
const STREAM_WINDOW: u32 = 64 * 1024;

/// How long a connection that is to close has to flush, and its caller to stop sending.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// One connection of a caller, as its exchanges see it.
pub(super) struct Connection {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: HeaderValue,
    pub(super) state: Rc<ConnectionState>,
    /// Of one over HTTP/2.
    streams: Option<Streams>,
    place: Rc<Place>,
}

/// Marks a connection as having an exchange open; dropping it ends the exchange.
pub(super) struct Busy {
    worker: Rc<Worker>,
    state: Rc<ConnectionState>,
    /// Of a call over HTTP/2, whose stream may be stuck by itself.
    pulse: Option<Rc<Pulse>>,
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
        () = state.closing() => {
            state.record_begun(&worker, Failure::RequestTimeout);
            return;
        }
    };
    let Ok(is_http2) = is_http2 else { return };
    let Ok(peer) = HeaderValue::try_from(peer.to_canonical().to_string()) else {
        return;
    };
    let streams = is_http2.then(Streams::default);
    let connection = Rc::new(Connection {
        worker: Rc::clone(&worker),
        peer,
        state,
        streams: streams.clone(),
        place,
    });
    match streams {
        // Boxed, or each HTTP/1 connection would carry the room for it.
        Some(streams) => Box::pin(serve_http2(&connection, front, streams)).await,
        None => serve_http1(&connection, front).await,
    }
    drop(watched);
}

/// Answers a caller's connection with a refusal and closes it. It is recorded as an exchange, since the caller was about to
/// call.
pub async fn refuse<I: Io>(worker: Rc<Worker>, mut io: I, failure: Failure) {
    let correlation = CorrelationId::random();
    let answer = reply::bare_refusal(failure, None, &correlation);
    let bytes = answer.len() as u64;
    record_refused(
        &worker,
        Refused {
            failure,
            flaw: None,
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
    let record = |refused| record_refused(&connection.worker, refused);
    // What the library refused last.
    let end = || {
        if let Some(refused) = state.take_refused() {
            record(refused);
        }
    };
    let turnstile = connection.worker.turnstile();
    let mut front = front;
    if plan.strict {
        front.be_strict();
    }
    loop {
        // A block of its own, so that the library's state and any place in the queue are dropped before the wait.
        front = {
            let entrant = Rc::default();
            let service = service_fn(|request| relay(Rc::clone(connection), request));
            let served = http1::Builder::new()
                .max_headers(plan.max_headers)
                .max_header_size(plan.max_header_bytes)
                .serve_connection(TokioIo::new(front), service)
                .with_upgrades();
            let mut served = Box::new(served);
            loop {
                let in_turn = poll_fn(|cx| {
                    if state.is_shut() {
                        ready!(turnstile.poll_pass(&entrant, cx));
                    }
                    Pin::new(&mut served).poll(cx)
                });
                let notice = tokio::select! {
                    // Polled in this order at each of a call's few wake-ups.
                    biased;
                    // However it ended, only a refusal is left to record.
                    _ = in_turn => return end(),
                    notice = state.notice() => notice,
                };
                match notice {
                    Notice::Refused(refused) => record(refused),
                    Notice::Rest if state.may_rest() => break,
                    // Over HTTP/1 the next answer says `Connection: close`.
                    Notice::Rest | Notice::WindDown => {}
                    Notice::Close => {
                        // Whoever waits for his turn may have called already.
                        let is_over =
                            poll_fn(|cx| Poll::Ready(Pin::new(&mut served).poll(cx).is_ready()));
                        if is_over.await {
                            return end();
                        }
                        state.record_begun(&connection.worker, Failure::RequestTimeout);
                        Pin::new(&mut *served).graceful_shutdown();
                        let farewell = Deadline::after(now(), FAREWELL);
                        let _ = timeout_at(farewell, served).await;
                        return end();
                    }
                }
            }
            let Some(parts) = served.into_parts() else {
                return end();
            };
            let mut front = parts.io.into_inner();
            front.unread(&parts.read_buf);
            front
        };
        state.rests(true);
        tokio::select! {
            () = front.wake() => {}
            // The notice comes again above, where the connection is closed properly.
            () = state.closing() => {}
        }
        state.rests(false);
    }
}

async fn serve_http2<I: Io>(connection: &Rc<Connection>, front: Front<I>, streams: Streams) {
    let plan = connection.worker.current().snapshot.plan.http.clone();
    let service = service_fn(|request| relay(Rc::clone(connection), request));
    let front = Weighed::new(front, PREFACE.len());
    let conduct = front.conduct();
    // To a head that is too large the library answers by itself, and that leaves no line. So it takes twice as much, and the call is
    // refused as any other (`bounds`).
    let served = http2::Builder::new(streams)
        .max_header_list_size(u32::try_from(2 * plan.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAMS * STREAM_WINDOW)
        .serve_connection(TokioIo::new(front), service);
    let mut served = std::pin::pin!(served);
    let end = || {
        if conduct.is_excessive() {
            let refused = Refused {
                failure: Failure::BadRequest,
                flaw: Some(Flaw::Frames),
                correlation: CorrelationId::random(),
                bytes: 0,
            };
            record_refused(&connection.worker, refused);
        }
    };
    let state = &connection.state;
    loop {
        let notice = tokio::select! {
            biased;
            _ = served.as_mut() => return end(),
            notice = state.notice() => notice,
        };
        match notice {
            // GOAWAY in two steps: streams that are already on their way to us are served, then the connection ends.
            Notice::WindDown => served.as_mut().graceful_shutdown(),
            // Neither happens over HTTP/2.
            Notice::Refused(_) | Notice::Rest => {}
            Notice::Close => {
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
        state.begin();
        let load = self.worker.load();
        load.in_flight.fetch_add(1, Ordering::Relaxed);
        load.begun.fetch_add(1, Ordering::Relaxed);
        Busy {
            worker: Rc::clone(&self.worker),
            state: Rc::clone(state),
            pulse: self.streams.as_ref().map(Streams::begin),
            _place: Rc::clone(&self.place),
        }
    }
}

impl Busy {
    /// The field that carries the correlation id, as the configuration in force says.
    pub(super) fn correlation_header(&self) -> HeaderName {
        let current = self.worker.current();
        current.snapshot.plan.correlation.header.clone()
    }

    /// The answer's body is on its way: from now on the caller may not stop reading for longer than its pauses may be.
    pub(super) fn answering(&self, pace: Pace) {
        self.state.answering(pace.idle_timeout);
        if let Some(pulse) = &self.pulse {
            pulse.answering(pace);
        }
    }

    /// What is known of the call's stream, where it is one of several on its connection.
    pub(super) fn pulse(&self) -> Option<&Pulse> {
        self.pulse.as_deref()
    }

    /// The exchange is ending with all of its request read, so what comes next on an HTTP/1 connection is another request.
    pub(super) fn leaves_nothing(&self) {
        self.state.leaves_nothing();
    }

    /// The connection is a tunnel from now on.
    pub(super) fn tunnelling(&self) {
        self.state.tunnelling();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.worker.load().in_flight.fetch_sub(1, Ordering::Relaxed);
        self.state.end();
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

//! One connection to an upstream, and one call over it.

use std::error::Error as _;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;

use super::pool::Pool;
use super::slots::Slot;
use super::upload::Upload;
use crate::failure::Failure;
use crate::net::{BoxIo, Metered, Traffic};
use crate::time::{Deadline, timeout_at};

/// A connection whose last answer is complete needs a turn of the event loop to be done with it. One that needs so long is stuck.
const SETTLING: Duration = Duration::from_millis(100);

/// What is certain about a call that failed before its response headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The upstream cannot have seen any of it.
    NeverSent,
    /// It was sent over a connection that had served before, and nothing came back: a keep-alive connection that closed as we sent.
    Unanswered,
    /// It may have been carried out.
    Unknown,
}

/// A call that failed before its response headers.
#[derive(Debug)]
pub struct SendError {
    /// Why.
    pub failure: Failure,
    /// What is certain about it.
    pub fate: Fate,
    /// The call, where the connection gave it back.
    pub request: Option<Box<Request<Upload>>>,
}

/// A connection that carries one call at a time.
pub(super) struct Http1 {
    sender: http1::SendRequest<Upload>,
    traffic: Arc<Traffic>,
    pub(super) expires: Instant,
    pub(super) idle_since: Instant,
    pub(super) is_reused: bool,
    slot: Slot,
    _living: Rc<()>,
}

/// What an HTTP/1.1 connection is born with.
pub(super) struct Birth {
    pub(super) slot: Slot,
    pub(super) now: Instant,
    pub(super) expires: Instant,
    /// Counts its pool's connections, in use or not.
    pub(super) living: Rc<()>,
}

/// A connection that carries many calls at once; all of a worker share it.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    pub(super) expires: Instant,
    _slot: Rc<Slot>,
}

/// A connection for one call. Dropping it closes an HTTP/1.1 connection; [`Lease::keep`] brings it back.
pub enum Lease {
    #[expect(missing_docs, reason = "the fields are private by their types")]
    Http1(Option<Box<Http1Lease>>),
    #[expect(missing_docs, reason = "the fields are private by their types")]
    Http2(Box<Http2Lease>),
}

/// An HTTP/1.1 connection and the pool it belongs to.
pub struct Http1Lease {
    connection: Http1,
    pool: Rc<Pool>,
}

/// A share in an HTTP/2 connection.
pub struct Http2Lease {
    connection: Http2,
}

pub(super) async fn handshake_http1(io: BoxIo, birth: Birth) -> hyper::Result<Http1> {
    let io = Metered::new(io);
    let traffic = io.traffic();
    let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(io)).await?;
    // The call that is under way hears of an error; without one there is nobody to tell.
    tokio::task::spawn_local(async move {
        let _ = connection.with_upgrades().await;
    });
    Ok(Http1 {
        sender,
        traffic,
        expires: birth.expires,
        idle_since: birth.now,
        is_reused: false,
        slot: birth.slot,
        _living: birth.living,
    })
}

pub(super) async fn handshake_http2(
    io: BoxIo,
    slot: Slot,
    expires: Instant,
) -> hyper::Result<Http2> {
    let (sender, connection) = http2::Builder::new(LocalExecutor)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .handshake(TokioIo::new(io))
        .await?;
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    Ok(Http2 {
        sender,
        expires,
        _slot: Rc::new(slot),
    })
}

/// Runs what the HTTP library spawns on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl Http1 {
    /// Whether it can still carry a call, as far as is known without asking the system.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Waits until its last call is wholly done; false when it closed instead, or still holds an upload that its upstream does not read.
    pub(super) async fn settle(&mut self, now: Instant) -> bool {
        self.sender.is_ready()
            || timeout_at(Deadline::after(now, SETTLING), self.sender.ready())
                .await
                .is_ok_and(|ready| ready.is_ok())
    }

    /// Closes it; the right to a connection stays.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }
}

impl Http2 {
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Lease {
    pub(super) fn http1(connection: Http1, pool: Rc<Pool>) -> Self {
        Self::Http1(Some(Box::new(Http1Lease { connection, pool })))
    }

    pub(super) fn http2(connection: Http2) -> Self {
        Self::Http2(Box::new(Http2Lease { connection }))
    }

    /// Whether it had served other calls before, so that it may have been closed in the meantime.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        match self {
            Self::Http1(lease) => lease
                .as_ref()
                .is_some_and(|lease| lease.connection.is_reused),
            Self::Http2(_) => true,
        }
    }

    /// Whether it speaks HTTP/2: the request then needs its scheme and authority.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Makes the call; done at the response headers.
    ///
    /// # Errors
    /// [`SendError`] when there are none.
    pub async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, SendError> {
        match self {
            Self::Http1(Some(lease)) => lease.send(request).await,
            Self::Http1(None) => Err(SendError::never_sent(Failure::Internal, Some(request))),
            Self::Http2(lease) => lease.send(request).await,
        }
    }

    /// Brings the connection back: its call ended well and whole.
    pub fn keep(self, now: Instant) {
        if let Self::Http1(Some(lease)) = self {
            let Http1Lease {
                mut connection,
                pool,
            } = *lease;
            connection.is_reused = true;
            connection.idle_since = now;
            Pool::put(&pool, connection);
        }
    }
}

impl Http1Lease {
    async fn send(&mut self, request: Request<Upload>) -> Result<Response<Incoming>, SendError> {
        let connection = &mut self.connection;
        let (read, written) = (connection.traffic.read(), connection.traffic.written());
        let mut error = match connection.sender.try_send_request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let request = error.take_message();
        let is_untouched = connection.traffic.written() == written;
        let fate = if request.is_some() || is_untouched {
            Fate::NeverSent
        } else if connection.is_reused && connection.traffic.read() == read {
            Fate::Unanswered
        } else {
            Fate::Unknown
        };
        Err(SendError {
            failure: reason(error.error()),
            fate,
            request: request.map(Box::new),
        })
    }
}

impl Http2Lease {
    async fn send(&mut self, request: Request<Upload>) -> Result<Response<Incoming>, SendError> {
        let sender = &mut self.connection.sender;
        if sender.ready().await.is_err() {
            return Err(SendError::never_sent(Failure::Reset, Some(request)));
        }
        let mut error = match sender.try_send_request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let request = error.take_message();
        let is_refused = h2_error(error.error()).is_some_and(was_not_processed);
        let fate = if request.is_some() || is_refused {
            Fate::NeverSent
        } else {
            Fate::Unknown
        };
        Err(SendError {
            failure: reason(error.error()),
            fate,
            request: request.map(Box::new),
        })
    }
}

impl SendError {
    /// A call that the upstream cannot have seen.
    pub(super) fn never_sent(failure: Failure, request: Option<Request<Upload>>) -> Self {
        Self {
            failure,
            fate: Fate::NeverSent,
            request: request.map(Box::new),
        }
    }
}

/// REFUSED_STREAM, or a GOAWAY without error that names an earlier stream as the last: "not processed" (RFC 9113 §6.8, §8.7).
fn was_not_processed(error: &h2::Error) -> bool {
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let is_above_last =
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    is_refused || is_above_last
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// Names an error of the HTTP library by whose doing it was on the wire.
pub(super) fn reason(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        return Failure::Protocol;
    }
    if let Some(h2) = h2_error(error) {
        let is_reset = h2.is_io() || h2.is_reset() || h2.reason() == Some(h2::Reason::NO_ERROR);
        return if is_reset {
            Failure::Reset
        } else {
            Failure::Protocol
        };
    }
    let is_foreign = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.kind() == io::ErrorKind::InvalidData);
    if is_foreign {
        Failure::Protocol
    } else {
        Failure::Reset
    }
}

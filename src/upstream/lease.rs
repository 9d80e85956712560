//! A connection for one call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};

use super::download::Download;
use super::endpoint::Endpoint;
use super::go_ahead::GoAhead;
use super::http1::Http1;
use super::http2::Http2;
use super::pool::Stay;
use super::raw::Raw;
use super::send_error::{Fate, SendError};
use super::upload::Upload;
use crate::failure::Failure;
use crate::net::BoxIo;
use crate::resilience::Sample;

/// A connection for one call, or the stream of a tunnel. Dropping it closes an HTTP/1.1 connection; [`Lease::keep`] brings it back.
pub struct Lease {
    lent: Lent,
    stay: Stay,
}

enum Lent {
    Http1(Box<Http1>),
    /// A share in it.
    Http2(Box<Http2>),
    /// For a tunnel, of which only the stream is used.
    Raw(Box<Raw>),
}

/// A call on its way.
enum Sent<One, Two> {
    Http1(One),
    Http2(Two),
    /// There is no protocol to send it by.
    Never(Box<Request<Upload>>),
}

impl Lease {
    pub(super) fn http1(connection: Box<Http1>, stay: Stay) -> Self {
        Self {
            lent: Lent::Http1(connection),
            stay,
        }
    }

    pub(super) fn http2(connection: Http2, stay: Stay) -> Self {
        Self {
            lent: Lent::Http2(Box::new(connection)),
            stay,
        }
    }

    pub(super) fn raw(raw: Raw, stay: Stay) -> Self {
        Self {
            lent: Lent::Raw(Box::new(raw)),
            stay,
        }
    }

    /// The stream of one that is for a tunnel, once.
    pub fn take_stream(&mut self) -> Option<BoxIo> {
        match &mut self.lent {
            Lent::Raw(raw) => raw.stream.take(),
            Lent::Http1(_) | Lent::Http2(_) => None,
        }
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        self.stay.endpoint()
    }

    /// Records what the call proved about the endpoint, the same sample that the breaker gets. At most once; without it the
    /// call counts for nothing.
    pub fn record(&mut self, sample: Sample, now: Instant) {
        self.stay.record(sample, now);
    }

    /// Records how long the call took to its response headers or its failure: the endpoint's latency follows from it.
    pub fn took(&mut self, took: Duration) {
        self.stay.took(took);
    }

    /// Whether it has served other calls before, so that its peer may have closed it in the meantime.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        match &self.lent {
            Lent::Http1(connection) => connection.is_reused(),
            Lent::Http2(_) => true,
            Lent::Raw(_) => false,
        }
    }

    /// Whether it speaks HTTP/2: the request then needs its scheme and authority.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self.lent, Lent::Http2(_))
    }

    /// Has the body of `request`, of which nothing has gone up yet, wait until the upstream asks for it, or for a second.
    pub fn hold_back(&self, request: &mut Request<Upload>) {
        let go_ahead = match &self.lent {
            Lent::Http1(_) => GoAhead::of(request),
            Lent::Http2(connection) => GoAhead::over(connection.traffic()),
            Lent::Raw(_) => return,
        };
        request.body_mut().hold_back(go_ahead);
    }

    /// Sends the call; ready at the response headers.
    ///
    /// # Errors
    /// [`SendError`] when there are none.
    pub fn send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Download>, SendError>> + use<'_> {
        let sent = match &mut self.lent {
            Lent::Http1(connection) => Sent::Http1(connection.send(request)),
            // Boxed: it is several times as large as the other.
            Lent::Http2(connection) => Sent::Http2(Box::pin(connection.send(request))),
            Lent::Raw(_) => Sent::Never(Box::new(request)),
        };
        async move {
            match sent {
                Sent::Http1(sent) => sent.await,
                Sent::Http2(sent) => sent.await.map(|response| response.map(Download::of_stream)),
                Sent::Never(request) => Err(SendError {
                    failure: Failure::Internal,
                    fate: Fate::NeverSent,
                    request: Some(request),
                }),
            }
        }
    }

    /// Keeps other calls off the connection.
    pub fn retire(self) {
        match self.lent {
            Lent::Http1(_) | Lent::Raw(_) => {}
            Lent::Http2(connection) => connection.retire(),
        }
    }

    /// Says that the call got no answer in time. A connection that received nothing at all meanwhile may be dead unnoticed (a
    /// path that drops packets, a peer that vanished): it is retired, else every later call would time out on it.
    pub fn timed_out(&self) {
        match &self.lent {
            Lent::Http2(connection) if !connection.has_heard() => connection.retire(),
            Lent::Http1(_) | Lent::Http2(_) | Lent::Raw(_) => {}
        }
    }

    /// What it counts as that the call's answer broke off: where several calls were lost with their connection, only one may count.
    #[must_use]
    pub fn charge(&self, failure: Failure) -> Failure {
        match &self.lent {
            Lent::Http2(connection) => connection.charge(failure),
            Lent::Http1(_) | Lent::Raw(_) => failure,
        }
    }

    /// Gives the connection back to its pool: its call ended well and whole.
    pub fn keep(self, now: Instant) {
        match self.lent {
            Lent::Http1(mut connection) => {
                connection.has_served(now);
                self.stay.put(connection);
            }
            Lent::Http2(_) | Lent::Raw(_) => {}
        }
    }
}

//! A connection for one call.

use std::rc::Rc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;

use super::http1::Http1;
use super::http2::Http2;
use super::pool::Pool;
use super::send_error::SendError;
use super::upload::Upload;

/// A connection for one call. Dropping it closes an HTTP/1.1 connection; [`Lease::keep`] brings it back.
pub struct Lease(Lent);

enum Lent {
    /// With the pool it belongs to.
    Http1(Box<Http1>, Rc<Pool>),
    /// A share in it.
    Http2(Box<Http2>),
}

impl Lease {
    pub(super) fn http1(connection: Http1, pool: Rc<Pool>) -> Self {
        Self(Lent::Http1(Box::new(connection), pool))
    }

    pub(super) fn http2(connection: Http2) -> Self {
        Self(Lent::Http2(Box::new(connection)))
    }

    /// Whether it had served other calls before, so that it may have been closed in the meantime.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        match &self.0 {
            Lent::Http1(connection, _) => connection.is_reused(),
            Lent::Http2(_) => true,
        }
    }

    /// Whether it speaks HTTP/2: the request then needs its scheme and authority.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self.0, Lent::Http2(_))
    }

    /// Makes the call; done at the response headers.
    ///
    /// # Errors
    /// [`SendError`] when there are none.
    pub async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, SendError> {
        match &mut self.0 {
            Lent::Http1(connection, _) => connection.send(request).await,
            Lent::Http2(connection) => connection.send(request).await,
        }
    }

    /// Has nobody else call over the connection.
    pub fn retire(self) {
        match self.0 {
            Lent::Http1(..) => {}
            Lent::Http2(connection) => connection.retire(),
        }
    }

    /// The call got no answer in time. A connection over which nothing at all came meanwhile may be dead without our having been told
    /// (a path that drops packets, a peer that vanished): it is retired, or every later call would die with it.
    pub fn timed_out(self) {
        match self.0 {
            Lent::Http2(connection) if !connection.has_heard() => connection.retire(),
            Lent::Http1(..) | Lent::Http2(_) => {}
        }
    }

    /// Brings the connection back: its call ended well and whole.
    pub fn keep(self, now: Instant) {
        match self.0 {
            Lent::Http1(mut connection, pool) => {
                connection.has_served(now);
                pool.put(*connection);
            }
            Lent::Http2(_) => {}
        }
    }
}

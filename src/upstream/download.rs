//! The body of an upstream's answer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::driven::Driven;

/// The body of an upstream's answer. Polling it drives the connection that it comes over, if the call has that to itself.
pub struct Download {
    body: Incoming,
    driven: Option<Rc<Driven>>,
}

impl Download {
    /// The body of a call that has its connection to itself, unless that is driven by its own task.
    pub(super) fn driving(body: Incoming, driven: Option<Rc<Driven>>) -> Self {
        let driven = driven.filter(|_| !body.is_end_stream());
        Self { body, driven }
    }

    /// The body of a call that shares its connection with others.
    pub(super) fn of_stream(body: Incoming) -> Self {
        Self { body, driven: None }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { body, driven } = self.get_mut();
        match driven {
            Some(driven) => driven.poll_for(cx, |cx| Pin::new(&mut *body).poll_frame(cx)),
            None => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

//! The body of an upstream's answer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::driven::Driven;
use super::upload_end::is_misframed;

/// The body of an upstream's answer. Polling it drives the connection that it comes over, if the call has that to itself.
pub struct Download {
    body: Incoming,
    way: Way,
}

/// How it comes.
enum Way {
    /// Over a connection of the call's own, which is driven by polling this unless it has a task for that.
    Alone(Option<Rc<Driven>>),
    /// In a stream of a connection that others share.
    Stream,
}

/// An upstream's answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// As the HTTP library tells.
    #[error(transparent)]
    Broken(hyper::Error),
    /// Its stream was reset before its end, without an error.
    #[error("the stream was reset before its end")]
    Reset,
}

impl DownloadError {
    /// Whether the body is not framed as HTTP has it.
    #[must_use]
    pub fn is_misframed(&self) -> bool {
        match self {
            Self::Broken(error) => is_misframed(error),
            Self::Reset => false,
        }
    }
}

impl Download {
    /// The body of a call that has its connection to itself, unless that is driven by its own task.
    pub(super) fn driving(body: Incoming, driven: Option<Rc<Driven>>) -> Self {
        let driven = driven.filter(|_| !body.is_end_stream());
        let way = Way::Alone(driven);
        Self { body, way }
    }

    /// The body of a call that shares its connection with others.
    pub(super) fn of_stream(body: Incoming) -> Self {
        let way = Way::Stream;
        Self { body, way }
    }
}

/// Whether the body of a stream that the library says is over has been cut.
///
/// It takes a reset with NO_ERROR, or a GOAWAY that leaves the stream out, for the end wherever that comes. It is one only behind a whole
/// answer, with which an upstream tells us to send no more of the call's body (RFC 9113 §8.1): then the stream has ended before, or all of
/// the length has come.
fn is_cut(body: &Incoming) -> bool {
    !body.is_end_stream() && body.size_hint().exact() != Some(0)
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let Self { body, way } = self.get_mut();
        let polled = match way {
            Way::Alone(Some(driven)) => {
                driven.poll_for(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
            }
            Way::Alone(None) => Pin::new(body).poll_frame(cx),
            Way::Stream => {
                let polled = Pin::new(&mut *body).poll_frame(cx);
                if matches!(polled, Poll::Ready(None)) && is_cut(body) {
                    return Poll::Ready(Some(Err(DownloadError::Reset)));
                }
                polled
            }
        };
        polled.map_err(DownloadError::Broken)
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

//! A connection that carries many calls at once.

use std::rc::Rc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;

use super::send_error::{Fate, SendError, h2_error};
use super::slots::Slot;
use super::upload::Upload;
use crate::failure::Failure;
use crate::net::BoxIo;

/// A connection that carries many calls at once; all of a worker share it.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    expires: Instant,
    _slot: Rc<Slot>,
}

impl Http2 {
    /// Begins to speak over a fresh stream.
    pub(super) async fn handshake(io: BoxIo, slot: Slot, expires: Instant) -> hyper::Result<Self> {
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .handshake(TokioIo::new(io))
            .await?;
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            expires,
            _slot: Rc::new(slot),
        })
    }

    /// Whether it can still carry a call, as far as is known without asking the system.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        !self.sender.is_closed() && self.expires > now
    }

    /// Makes a call; done at the response headers.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, SendError> {
        if self.sender.ready().await.is_err() {
            return Err(SendError {
                failure: Failure::Reset,
                fate: Fate::NeverSent,
                request: Some(Box::new(request)),
            });
        }
        self.sender
            .try_send_request(request)
            .await
            .map_err(|error| {
                let fate = if h2_error(error.error()).is_some_and(was_not_processed) {
                    Fate::NeverSent
                } else {
                    Fate::Unknown
                };
                SendError::new(error, fate)
            })
    }
}

/// REFUSED_STREAM, or a GOAWAY without error that names an earlier stream as the last: "not processed" (RFC 9113 §6.8, §8.7).
fn was_not_processed(error: &h2::Error) -> bool {
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let is_above_last =
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    is_refused || is_above_last
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

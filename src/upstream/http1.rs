//! A connection that carries one call at a time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::download::Download;
use super::driven::Driven;
use super::endpoint::Connected;
use super::send_error::{Fate, SendError};
use super::slots::Slot;
use super::upload::Upload;
use crate::net::{BoxIo, Metered, Traffic};
use crate::time::{Deadline, now, timeout_at};

/// After a complete answer a connection needs one turn of the event loop until it can be used again. One that takes longer than
/// this is stuck.
pub(super) const SETTLING: Duration = Duration::from_millis(100);

/// The most that is read for the head of an answer, with all informational ones before it: of small ones the library takes so many at once
/// that nothing else of the worker moves. Its buffer grows to 408 KiB or twice that, and much of a body may be in it before the head is
/// handed out.
const ANSWER: u64 = 2 * 1024 * 1024;

/// A connection that carries one call at a time.
pub(super) struct Http1 {
    sender: http1::SendRequest<Upload>,
    driven: Loan,
    traffic: Arc<Traffic>,
    expires: Instant,
    idle_since: Instant,
    is_reused: bool,
    slot: Slot,
    _connected: Connected,
    _living: Rc<()>,
    _wanted: Wanted,
}

/// A connection that a call drives; dropping this gives it back to its own task, however the call ends.
struct Loan(Rc<Driven>);

/// Dropping it tells a connection's task that the connection is no longer used.
pub(super) type Wanted = oneshot::Sender<Infallible>;

/// What an HTTP/1.1 connection is made from.
pub(super) struct Birth {
    pub(super) slot: Slot,
    pub(super) connected: Connected,
    pub(super) now: Instant,
    pub(super) expires: Instant,
    /// Counts its pool's connections, in use or not.
    pub(super) living: Rc<()>,
}

impl Http1 {
    /// Performs the handshake over a fresh stream.
    pub(super) async fn handshake(io: BoxIo, birth: Birth) -> hyper::Result<Box<Self>> {
        let io = Metered::new(io);
        let traffic = io.traffic();
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(io)).await?;
        let (wanted, unwanted) = oneshot::channel();
        let driven = Driven::new(connection.with_upgrades());
        tokio::task::spawn_local(run(Rc::clone(&driven), unwanted));
        Ok(Box::new(Self {
            sender,
            driven: Loan(driven),
            traffic,
            expires: birth.expires,
            idle_since: birth.now,
            is_reused: false,
            slot: birth.slot,
            _connected: birth.connected,
            _living: birth.living,
            _wanted: wanted,
        }))
    }

    /// Whether it can still carry a call, as far as is known without asking the system.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        !self.sender.is_closed() && self.expires > now
    }

    /// Polls the connection once, so that it notices what has arrived at its socket already, such as its end. Only for one
    /// without a call.
    pub(super) fn look(&self) {
        self.driven.0.look();
    }

    /// Since when it has carried no call. Only for one without a call.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Whether it has served other calls before, so that its peer may have closed it in the meantime.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Notes that its call ended well and whole.
    pub(super) fn has_served(&mut self, now: Instant) {
        self.driven.0.give_back_at_rest();
        self.is_reused = true;
        self.idle_since = now;
    }

    /// Waits until its last call is wholly done; false if it closed instead, or still holds an upload that the upstream does
    /// not read.
    pub(super) async fn settle(&mut self, now: Instant) -> bool {
        self.sender.is_ready()
            || timeout_at(Deadline::after(now, SETTLING), self.sender.ready())
                .await
                .is_ok_and(|ready| ready.is_ok())
    }

    /// Sends a call at once; ready at the response headers.
    pub(super) fn send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Download>, SendError>> + use<'_> {
        let (read, written) = (self.traffic.read(), self.traffic.written());
        let progress = request.body().progress();
        self.driven.0.lend();
        self.traffic.bound(ANSWER);
        // Outside the future, which then need not hold the request.
        let sender = &mut self.sender;
        let sent = self.driven.0.quietly(|_| sender.try_send_request(request));
        let (traffic, is_reused, driven) = (&self.traffic, self.is_reused, &self.driven.0);
        async move {
            let mut sent = pin!(sent);
            let sent = poll_fn(|cx| driven.poll_for(cx, |cx| sent.as_mut().poll(cx))).await;
            traffic.unbound();
            // Bytes that were handed over may not be written yet.
            let is_sent = progress.is_none_or(|progress| progress.is_whole());
            let driver = if is_sent && !traffic.is_pent_up() {
                Some(Rc::clone(driven))
            } else {
                driven.give_back();
                None
            };
            sent.map_err(|error| {
                let fate = if traffic.written() == written {
                    Fate::NeverSent
                } else if is_reused && traffic.read() == read {
                    Fate::Unanswered
                } else {
                    Fate::Unknown
                };
                SendError::new(error, fate)
            })
            .map(|response| response.map(|body| Download::driving(body, driver)))
        }
    }

    /// Closes it; the right to a connection stays.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }
}

/// Runs a connection until it ends or is no longer used. Then it has [`SETTLING`] to shut down, and no longer: an upload that
/// the upstream does not read would hold a socket for as long as the upstream likes.
async fn run(driven: Rc<Driven>, unwanted: oneshot::Receiver<Infallible>) {
    let mut connection = pin!(driven.at_home());
    tokio::select! {
        biased;
        () = connection.as_mut() => {}
        _ = unwanted => {
            let _ = timeout_at(Deadline::after(now(), SETTLING), connection).await;
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

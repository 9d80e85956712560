//! A connection that carries many calls at once.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, oneshot};

use super::Upstream;
use super::blame::{Blame, HeadSize, Loss};
use super::endpoint::Connected;
use super::holding::{By, Holders, Holding};
use super::http1::{SETTLING, Wanted};
use super::send_error::{Fate, SendError, h2_error};
use super::slots::Slot;
use super::upload::Upload;
use crate::failure::Failure;
use crate::net::{BoxIo, Conduct, Held, Hold, Metered, Traffic, Weighed};
use crate::time::{Deadline, now, sleep_until};

/// The most that is taken of the head of an answer, and of its trailers: as much as over HTTP/1 in any case. The library's own limit is
/// 16 KiB, and of trailers beyond it the library hands on those that fit, and says nothing of the others.
const ANSWER: u32 = 408 * 1024;

/// A share in a connection that carries many calls at once: the pool's, or that of a call.
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    expires: Instant,
    shared: Rc<Shared>,
    stint: Rc<Stint>,
    /// Bytes that had been read over the connection when the call was made.
    read_before: u64,
    _holding: Holding,
}

/// A period in which a connection takes calls; every call that it takes holds a reference.
#[derive(Default)]
struct Stint {
    /// The period before, at whose end the connection was to leave and could not.
    before: Weak<Self>,
}

/// What all shares in a connection have in common.
struct Shared {
    library: Rc<Library>,
    traffic: Arc<Traffic>,
    blame: Blame,
    /// It gets no more calls; those that it has go on.
    is_retired: Cell<bool>,
    holders: Rc<Holders>,
    _slot: Slot,
    _connected: Connected,
    _wanted: Wanted,
}

/// A connection that gets no more calls, held weakly: it lives as long as one of its calls.
pub(super) struct Rest {
    sender: http2::SendRequest<Upload>,
    expires: Instant,
    shared: Weak<Shared>,
    stint: Weak<Stint>,
}

type Connection = http2::Connection<TokioIo<Held<Weighed<Metered<BoxIo>>>>, Upload, Watching>;

/// The HTTP library's connection, which its task drives and which knows the peer's limit of streams; empty when it has ended.
#[derive(Default)]
struct Library(RefCell<Option<Connection>>);

/// What an HTTP/2 connection is made from.
pub(super) struct Birth {
    pub(super) slot: Slot,
    pub(super) connected: Connected,
    pub(super) expires: Instant,
    pub(super) room: Rc<Room>,
    pub(super) upstream: Arc<Upstream>,
    /// Its endpoint, for the log.
    pub(super) endpoint: Arc<str>,
}

/// The calls that wait for room on the connections to an endpoint.
#[derive(Default)]
pub(super) struct Room {
    /// How many.
    pub(super) waiting: Cell<usize>,
    /// Wakes waiting calls: one when a call has ended or the limit was raised, all when the opening of a connection has moved
    /// on or ended.
    pub(super) changed: Notify,
}

impl Room {
    /// Wakes the call that has waited longest. If it finds room, it wakes the next.
    pub(super) fn wake_one(&self) {
        if self.waiting.get() > 0 {
            self.changed.notify_one();
        }
    }
}

impl Http2 {
    /// Performs the handshake over a fresh stream; gives the pool's share.
    pub(super) async fn handshake(io: BoxIo, birth: Birth) -> hyper::Result<Self> {
        let io = Metered::new(io);
        let traffic = io.traffic();
        let io = Weighed::new(io, 0);
        let conduct = io.conduct();
        let (io, hold) = Held::new(io);
        let library = Rc::<Library>::default();
        let watching = Watching {
            library: Rc::downgrade(&library),
            room: birth.room,
            most: Rc::default(),
        };
        let (sender, connection) = http2::Builder::new(watching)
            .initial_stream_window_size(256 * 1024)
            // Each answer has its own room alone: callers who take nothing of theirs shall not hold up those of others.
            .initial_connection_window_size((1 << 31) - 1)
            .max_header_list_size(ANSWER)
            .handshake(TokioIo::new(io))
            .await?;
        let (wanted, unwanted) = oneshot::channel();
        library.0.replace(Some(connection));
        let running = run(Rc::clone(&library), unwanted, hold);
        tokio::task::spawn_local(tell_of_excess(
            running,
            Arc::clone(&conduct),
            birth.endpoint,
        ));
        let holders = Holders::new(birth.upstream);
        Ok(Self {
            _holding: holders.hold(By::Pool),
            sender,
            expires: birth.expires,
            shared: Rc::new(Shared {
                library,
                traffic,
                blame: Blame::new(conduct),
                is_retired: Cell::new(false),
                holders,
                _slot: birth.slot,
                _connected: birth.connected,
                _wanted: wanted,
            }),
            stint: Rc::default(),
            read_before: 0,
        })
    }

    /// A share for a call.
    pub(super) fn share(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            expires: self.expires,
            shared: Rc::clone(&self.shared),
            stint: Rc::clone(&self.stint),
            read_before: self.read_before,
            _holding: self.shared.holders.hold(By::Call),
        }
    }

    /// Whether it can still carry a call, as far as is known without asking the system.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        !self.sender.is_closed() && !self.shared.is_retired.get() && self.expires > now
    }

    /// Whether the peer allows one more concurrent call. Only for the share that the pool holds. Until the peer's SETTINGS
    /// arrive, the limit of its other connections counts, `known`, and at most 100 (RFC 9113 §6.5.2 recommends no fewer).
    pub(super) fn has_room(&self, known: &Cell<usize>) -> bool {
        let mut most = self.shared.library.most_calls();
        if self.shared.traffic.read() == 0 {
            most = most.min(known.get());
        } else if most > 0 {
            known.set(most);
        }
        Rc::strong_count(&self.shared) - 1 < most
    }

    /// Whether the peer allows no call at all: it may say so at any time, and mean it (RFC 9113 §6.5.2).
    pub(super) fn is_barred(&self) -> bool {
        self.shared.traffic.read() > 0 && self.shared.library.most_calls() == 0
    }

    /// Takes no more calls; the connection closes with the last of those that it has.
    pub(super) fn leave(self) -> Rest {
        Rest {
            shared: Rc::downgrade(&self.shared),
            stint: Rc::downgrade(&self.stint),
            sender: self.sender,
            expires: self.expires,
        }
    }

    /// Whether it may be asked to leave: not while a call is still running that kept it from leaving before.
    pub(super) fn may_leave(&self) -> bool {
        self.stint.before.strong_count() == 0
    }

    /// Whether no call holds a share in it. Only for the share that the pool holds.
    pub(super) fn is_unused(&self) -> bool {
        Rc::strong_count(&self.shared) == 1
    }

    /// Takes no more calls.
    pub(super) fn retire(&self) {
        self.shared.is_retired.set(true);
    }

    /// What moves over it.
    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.shared.traffic
    }

    /// Whether anything at all came since the call was made.
    pub(super) fn has_heard(&self) -> bool {
        self.shared.traffic.read() > self.read_before
    }

    /// What it counts as that the call's answer broke off.
    pub(super) fn charge(&self, failure: Failure) -> Failure {
        self.shared.blame.charge(failure)
    }

    /// Makes a call; done at the response headers.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, SendError> {
        self.read_before = self.shared.traffic.read();
        if self.sender.ready().await.is_err() {
            return Err(SendError {
                failure: Failure::Reset,
                fate: Fate::NeverSent,
                request: Some(Box::new(request)),
            });
        }
        let size = HeadSize::of(&request);
        self.shared.blame.sends(size);
        let sent = self.sender.try_send_request(request).await;
        sent.map_err(|error| {
            let loss = Loss::of(h2_error(error.error()));
            let (failure, fate) = self.shared.blame.judge(loss, size);
            SendError::new(error, fate).named(failure)
        })
    }
}

impl Rest {
    /// Whether its last call has ended.
    pub(super) fn is_over(&self) -> bool {
        self.shared.strong_count() == 0
    }

    /// The connection, to take calls again; `None` if its last call has ended.
    pub(super) fn back(self) -> Option<Http2> {
        let shared = self.shared.upgrade()?;
        Some(Http2 {
            _holding: shared.holders.hold(By::Pool),
            shared,
            sender: self.sender,
            expires: self.expires,
            stint: Rc::new(Stint { before: self.stint }),
            read_before: 0,
        })
    }
}

impl Library {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.0.borrow_mut() {
            Some(connection) => Pin::new(connection).poll(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Drops the connection: calls that it has taken and not sent are given back, and it takes no more.
    fn end(&self) {
        drop(self.0.take());
    }

    /// How many calls the peer allows at once.
    fn most_calls(&self) -> usize {
        let connection = self.0.try_borrow();
        let connection = connection.as_ref().ok().and_then(|it| it.as_ref());
        connection.map_or(0, Connection::current_max_send_streams)
    }
}

/// Runs a connection until it ends or is no longer used. Then it has [`SETTLING`] to say goodbye, and is cut: its streams are
/// tasks of the HTTP library's, and only the end of the connection ends an upload that the upstream does not read.
async fn run(library: Rc<Library>, mut unwanted: oneshot::Receiver<Infallible>, hold: Hold) {
    tokio::select! {
        () = poll_fn(|cx| library.poll(cx)) => {
            library.end();
            let _ = unwanted.await;
        }
        _ = &mut unwanted => library.end(),
    }
    sleep_until(Deadline::after(now(), SETTLING)).await;
    drop(hold);
}

/// Drives a connection and says in the log if the peer's frames were out of proportion.
async fn tell_of_excess(
    running: impl Future<Output = ()>,
    conduct: Arc<Conduct>,
    endpoint: Arc<str>,
) {
    running.await;
    if conduct.is_excessive() {
        tracing::warn!(
            endpoint = &*endpoint,
            remedy = "look there for what sends PING, SETTINGS or WINDOW_UPDATE by the thousand",
            "A connection was closed: the upstream sent HTTP/2 frames without use, out of proportion"
        );
    }
}

/// Runs what the HTTP library spawns on the worker's own thread, and checks after each poll whether the peer has raised its
/// limit of streams (it may at any time, RFC 9113 §6.5): else waiting calls would notice only when a call ends.
#[derive(Clone)]
struct Watching {
    library: Weak<Library>,
    room: Rc<Room>,
    /// The limit at the last check; 0 if no call waited then. A call woken in vain waits again, but a missed rise could cost a
    /// call.
    most: Rc<Cell<usize>>,
}

impl Watching {
    fn look(&self) {
        if self.room.waiting.get() == 0 {
            self.most.set(0);
            return;
        }
        let most = self.library.upgrade().map_or(0, |it| it.most_calls());
        if most > self.most.replace(most) {
            self.room.wake_one();
        }
    }
}

impl<F> hyper::rt::Executor<F> for Watching
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        let watching = self.clone();
        let mut future = Box::pin(future);
        tokio::task::spawn_local(poll_fn(move |cx| {
            let polled = future.as_mut().poll(cx);
            watching.look();
            polled
        }));
    }
}

//! Accepts and serves connections, bounded so that no client can starve the others or the traffic.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, Id, JoinSet};

use super::access::{Caller, Reach};
use super::api::Desk;
use super::context::Context;
use super::endpoint::Port;
use super::reply::Problem;
use crate::net::BoxIo;
use crate::time::{Deadline, now, sleep_until, timeout_at};

/// The time for each step of a connection: a request's head (with the idle time before it), its body, and writing the answer.
const STEP: Duration = Duration::from_secs(10);
/// The time for the work on a request; only a reload takes that long, and it has a limit of its own.
const WORK: Duration = Duration::from_secs(40);
/// The longest body that is taken.
const MAX_BODY: usize = 64 * 1024;
/// How much of a longer body is read and thrown away, so that its sender can read the answer.
const MAX_DISCARDED: usize = 4 * 1024 * 1024;
/// The longest head of a request.
const MAX_HEAD: usize = 32 * 1024;
/// The time for the connections of a listener that the configuration no longer has.
const LEAVE: Duration = WORK;
/// The pause after a failure to accept, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound listener of the operators' port.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket; its file mode decides who may connect.
    Unix(UnixListener),
}

/// Serves the operators' port until the future is dropped; its connections end with it. Once `retired` it accepts no more and
/// ends after the open ones: one of them may have ordered the reload.
pub async fn serve(context: Arc<Context>, listener: Listener, retired: oneshot::Receiver<()>) {
    run(Desk::new(context, Port::Admin), listener, retired).await;
}

/// The same for the health listener: probes and metrics.
pub async fn serve_health(
    context: Arc<Context>,
    listener: TcpListener,
    retired: oneshot::Receiver<()>,
) {
    let listener = Listener::Tcp(listener);
    run(Desk::new(context, Port::Health), listener, retired).await;
}

/// Serves one connection to the operators' port that came over loopback, whatever stream it is, until it ends.
pub async fn serve_one(context: Arc<Context>, io: BoxIo, peer: SocketAddr) {
    let desk = Arc::new(Desk::new(context, Port::Admin));
    let caller = Caller::Tcp {
        peer,
        reach: Reach::Loopback,
    };
    connection(desk, io, caller, Arc::new(Patience::new())).await;
}

async fn run(desk: Desk, listener: Listener, mut retired: oneshot::Receiver<()>) {
    let desk = Arc::new(desk);
    let reach = listener.reach();
    let mut connections = Connections {
        tasks: JoinSet::new(),
        places: HashMap::new(),
        most: desk.most_connections(),
    };
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(reach) => accepted,
            () = connections.ended(), if !connections.are_none() => continue,
            _ = &mut retired => break,
        };
        match accepted {
            Ok((io, caller)) => {
                is_failing = false;
                connections.take(&desk, io, caller);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !is_failing {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "Cannot accept a connection, trying again");
                }
                is_failing = true;
                sleep_until(Deadline::after(now(), PAUSE)).await;
            }
        }
    }
    drop(listener);
    let late = Deadline::after(now(), LEAVE);
    // Connections that have not ended by then are cut.
    let _ = timeout_at(late, async {
        while !connections.are_none() {
            connections.ended().await;
        }
    })
    .await;
}

/// The connections of one listener. Beyond `most`, a new one replaces the one whose client has been waited for longest, or is
/// closed at once if there is none. So an operator gets in, however many clients connect and send nothing.
struct Connections {
    tasks: JoinSet<()>,
    places: HashMap<Id, Place>,
    most: usize,
}

/// One of them.
struct Place {
    task: AbortHandle,
    patience: Arc<Patience>,
}

impl Connections {
    /// Serves one more connection, if there is room for it.
    fn take(&mut self, desk: &Arc<Desk>, io: BoxIo, caller: Caller) {
        if self.places.len() >= self.most && !self.make_room() {
            return;
        }
        let patience = Arc::new(Patience::new());
        let served = connection(Arc::clone(desk), io, caller, Arc::clone(&patience));
        let task = self.tasks.spawn(served);
        self.places.insert(task.id(), Place { task, patience });
    }

    /// Ends the connection whose client has been waited for longest; false when all have work under way.
    fn make_room(&mut self) -> bool {
        let waiting = self.places.iter().filter_map(|(id, place)| {
            let since = place.patience.waits_since()?;
            Some((since, *id))
        });
        let Some((_, id)) = waiting.min_by_key(|(since, _)| *since) else {
            return false;
        };
        if let Some(place) = self.places.remove(&id) {
            place.task.abort();
        }
        true
    }

    fn are_none(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits for the end of a connection.
    async fn ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return,
        };
        self.places.remove(&id);
    }
}

impl Listener {
    async fn accept(&self, reach: Reach) -> io::Result<(BoxIo, Caller)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Caller::Tcp { peer, reach }))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                Ok((Box::new(stream), Caller::Unix { uid }))
            }
        }
    }

    /// Where it can be reached from, by the address that it is bound to: a wildcard address is reached from the network.
    fn reach(&self) -> Reach {
        match self {
            Self::Tcp(listener)
                if listener
                    .local_addr()
                    .is_ok_and(|address| address.ip().to_canonical().is_loopback()) =>
            {
                Reach::Loopback
            }
            Self::Tcp(_) | Self::Unix(_) => Reach::Network,
        }
    }
}

/// Whether the error concerns one connection only, so that the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
    )
}

/// Serves one connection until it ends or a step takes too long.
pub(super) async fn connection(
    desk: Arc<Desk>,
    io: BoxIo,
    caller: Caller,
    patience: Arc<Patience>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (desk, patience) = (&desk, &patience);
        async move {
            // The body's time is part of the work's time, so that its sender gets an answer when it is over.
            patience.grant(WORK, Whose::Client);
            let (parts, body) = request.into_parts();
            let body = read(body).await;
            patience.grant(WORK, Whose::Ours);
            let answer = desk.answer(&parts, body, &caller).await;
            patience.grant(STEP, Whose::Client);
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .max_header_size(MAX_HEAD)
        .serve_connection(TokioIo::new(io), service);
    tokio::select! {
        // However it ended, there is nothing left to do.
        _ = served => {}
        () = patience.lost() => {}
    }
}

/// Reads a body within limits of time and size.
async fn read(mut body: Incoming) -> Result<Bytes, Problem> {
    let deadline = Deadline::after(now(), STEP);
    let reading = async {
        let (mut content, mut length) = (BytesMut::new(), 0);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(Problem::bad_request("the body breaks off"));
            };
            let Some(data) = frame.data_ref() else {
                continue;
            };
            length += data.len();
            if length > MAX_DISCARDED {
                break;
            }
            if length <= MAX_BODY {
                content.extend_from_slice(data);
            }
        }
        if length <= MAX_BODY {
            Ok(content.freeze())
        } else {
            Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is longer than 64 KiB",
            ))
        }
    };
    timeout_at(deadline, reading)
        .await
        .unwrap_or_else(|_| Err(too_slow()))
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "the body was not complete within 10 s",
    )
}

/// The deadline of a connection's current step.
pub(super) struct Patience(watch::Sender<Step>);

#[derive(Clone, Copy)]
struct Step {
    since: Instant,
    until: Deadline,
    turn: Whose,
}

/// The side that the step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The client's: to send, or to read the answer.
    Client,
    /// Ours: the work on its request.
    Ours,
}

impl Step {
    /// A step that begins now and may take `time`.
    fn of(time: Duration, turn: Whose) -> Self {
        let since = now();
        Self {
            since,
            until: Deadline::after(since, time),
            turn,
        }
    }
}

impl Patience {
    /// The first step of a new connection.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Step::of(STEP, Whose::Client)))
    }

    /// Begins a step that may take `time`.
    fn grant(&self, time: Duration, turn: Whose) {
        self.0.send_replace(Step::of(time, turn));
    }

    /// Since when the client is waited for, if it is.
    fn waits_since(&self) -> Option<Instant> {
        let step = *self.0.borrow();
        (step.turn == Whose::Client).then_some(step.since)
    }

    /// Ready once a step took too long.
    async fn lost(&self) {
        let mut step = self.0.subscribe();
        loop {
            let until = step.borrow_and_update().until;
            if timeout_at(until, step.changed()).await.is_err() {
                return;
            }
        }
    }
}

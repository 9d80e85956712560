//! Takes callers' connections in.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use metrics::{Counter, Gauge};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::workers::{Dispatch, Full, Welcome};
use crate::net::{Shortage, Warned};
use crate::time::{Deadline, now, sleep_until};

/// After an accept that failed for want of descriptors or memory: long enough not to spin, short enough to recover at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts callers' connections until the listener is retired, then those in the system's backlog: closing the listener would
/// reset them.
pub(super) async fn accept(
    listener: TcpListener,
    dispatch: Dispatch,
    mut retired: oneshot::Receiver<()>,
) {
    let door = Door::new(dispatch);
    let (shortage, crowd) = (Warned::default(), Warned::default());
    loop {
        let arrival = tokio::select! {
            arrival = listener.accept() => arrival,
            _ = &mut retired => break,
        };
        let error = match arrival {
            Ok((stream, peer)) => {
                let Ok(stream) = stream.into_std() else {
                    continue;
                };
                match door.let_in(stream, peer) {
                    Entry::Free => continue,
                    Entry::Full => {
                        if crowd.is_due(now()) {
                            tracing::warn!(
                                remedy = Shortage::Descriptors.remedy(),
                                "Callers have all the connections that the limit of open files leaves them; one that is not in use makes way for a new one, else that is refused"
                            );
                        }
                        continue;
                    }
                    Entry::Last(error) => error,
                }
            }
            Err(error) if is_callers(&error) => continue,
            Err(error) => error,
        };
        let now = now();
        if shortage.is_due(now) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                remedy = Shortage::of(&error).map(Shortage::remedy),
                "Cannot accept connections; trying on"
            );
        }
        sleep_until(Deadline::after(now, PAUSE)).await;
    }
    if let Ok(listener) = listener.into_std() {
        for (stream, peer) in waiting(&listener) {
            if stream.set_nonblocking(true).is_ok() {
                let _ = door.let_in(stream, peer);
            }
        }
    }
}

/// The connections in the backlog now.
fn waiting(listener: &std::net::TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    std::iter::from_fn(|| {
        loop {
            match listener.accept() {
                Ok(arrival) => return Some(arrival),
                Err(error) if is_callers(&error) => {}
                // There is none, or it cannot be accepted.
                Err(_) => return None,
            }
        }
    })
}

/// Counts new connections and hands them on.
struct Door {
    dispatch: Dispatch,
    accepted: Counter,
    open: Gauge,
}

impl Door {
    fn new(dispatch: Dispatch) -> Self {
        let meters = &dispatch.shared().meters;
        Self {
            accepted: meters.connections_accepted(),
            open: meters.connections(),
            dispatch,
        }
    }

    /// Hands a connection on, to be served or refused for want of room.
    fn let_in(&self, stream: TcpStream, peer: SocketAddr) -> Entry {
        let Self {
            dispatch,
            accepted,
            open,
        } = self;
        accepted.increment(1);
        let max = dispatch.shared().snapshot.load().plan.http.max_connections;
        let there_are = dispatch.shared().connections();
        let descriptors = dispatch.descriptors();
        let (welcome, entry) = match descriptors.spare(&stream) {
            Err(error) => match dispatch.may_refuse() {
                Some(refusing) => (Welcome::Refuse(refusing), Entry::Last(error)),
                None => return Entry::Last(error),
            },
            Ok(()) if there_are >= descriptors.callers() => {
                let refusing = dispatch.may_refuse();
                let full = refusing.map_or(Full::Crowded, Full::Exhausted);
                (Welcome::InPlace(full), Entry::Full)
            }
            Ok(()) if there_are >= max => (Welcome::InPlace(Full::Overloaded), Entry::Free),
            Ok(()) => (Welcome::Serve, Entry::Free),
        };
        open.increment(1.0);
        let handed = stream
            .set_nodelay(true)
            .and_then(|()| dispatch.hand(stream, peer.ip(), welcome));
        if handed.is_err() {
            open.decrement(1.0);
        }
        entry
    }
}

/// What the next accept has to heed.
enum Entry {
    /// Nothing.
    Free,
    /// Callers have all connections that the descriptors allow.
    Full,
    /// This one had one of the last descriptors: it should wait.
    Last(io::Error),
}

/// Whether it is an error of the one connection that was just being accepted, not of the listener.
fn is_callers(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
    ]
    .contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_at_a_listener_that_goes_are_all_let_in() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let callers: Vec<TcpStream> = (0..3)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let known: Vec<SocketAddr> = callers
            .iter()
            .map(|caller| caller.local_addr().unwrap())
            .collect();
        let let_in: Vec<SocketAddr> = waiting(&listener).map(|(_, peer)| peer).collect();
        assert_eq!(let_in, known);
    }
}

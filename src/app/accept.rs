//! Takes callers' connections in.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;

use super::workers::{Dispatch, Welcome};
use crate::time::{Deadline, now, sleep_until};

/// After an accept that failed for want of descriptors or memory: long enough not to spin, short enough to recover at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts callers' connections for as long as the listener is wanted.
pub(super) async fn accept(listener: TcpListener, dispatch: Dispatch) {
    let meters = dispatch.shared().meters.clone();
    let (accepted, open) = (meters.connections_accepted(), meters.connections());
    let mut is_failing = false;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(arrival) => arrival,
            Err(error) if is_callers(&error) => continue,
            Err(error) => {
                if !is_failing {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "Cannot accept connections; trying on"
                    );
                }
                is_failing = true;
                sleep_until(Deadline::after(now(), PAUSE)).await;
                continue;
            }
        };
        is_failing = false;
        accepted.increment(1);
        open.increment(1.0);
        let max = dispatch.shared().snapshot.load().plan.http.max_connections;
        let welcome = if dispatch.shared().connections() < max {
            Welcome::Serve
        } else {
            Welcome::Refuse
        };
        let handed = stream
            .set_nodelay(true)
            .and_then(|()| dispatch.hand(stream, peer.ip(), welcome));
        if handed.is_err() {
            open.decrement(1.0);
        }
    }
}

/// An error of the one connection that was just being accepted, not of the listener.
fn is_callers(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
    ]
    .contains(&error.kind())
}

//! TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;

use super::connect::{Connect, ConnectError, Connecting};
use super::dns::{NameError, Names};
use super::happy;
use super::io::BoxIo;
use crate::failure::Failure;
use crate::time::{Deadline, timeout_at};

/// Connects over TCP, to whichever address of a name answers first.
#[derive(Debug)]
pub struct Tcp {
    names: Names,
    /// Which address of each name comes first this time.
    turn: AtomicUsize,
}

impl Tcp {
    /// Connects to what `names` says.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self {
            names,
            turn: AtomicUsize::new(0),
        }
    }

    async fn open(&self, host: &str, port: u16, deadline: Deadline) -> Result<BoxIo, ConnectError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return dial(SocketAddr::new(ip, port)).await.map_err(unreachable);
        }
        let addresses = timeout_at(deadline, self.names.addresses(host))
            .await
            .unwrap_or(Err(NameError::Timeout))
            .map_err(nameless)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let addresses = happy::order(&addresses, turn);
        happy::race(addresses, |ip| dial(SocketAddr::new(ip, port)))
            .await
            .map_err(unreachable)
    }
}

impl Connect for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16, deadline: Deadline) -> Connecting<'a> {
        Box::pin(self.open(host, port, deadline))
    }
}

async fn dial(address: SocketAddr) -> io::Result<BoxIo> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

fn unreachable(source: io::Error) -> ConnectError {
    ConnectError {
        failure: Failure::Connect,
        source,
    }
}

fn nameless(error: NameError) -> ConnectError {
    let kind = match error {
        NameError::NotFound => io::ErrorKind::NotFound,
        NameError::ServerFailure => io::ErrorKind::Other,
        NameError::Timeout => io::ErrorKind::TimedOut,
    };
    ConnectError {
        failure: Failure::Dns,
        source: io::Error::new(kind, error),
    }
}

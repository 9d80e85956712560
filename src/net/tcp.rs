//! TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpSocket;

use super::connect::{Connect, ConnectError, Connecting};
use super::descriptors::Descriptors;
use super::dns::{NameError, Names};
use super::happy;
use super::io::BoxIo;
use super::shortage::{Shortage, Warned};
use crate::failure::Failure;
use crate::time::{Deadline, now, timeout_at};

/// Connects over TCP, to whichever address of a name answers first.
#[derive(Debug)]
pub struct Tcp {
    names: Names,
    descriptors: Descriptors,
    /// Rotates which address of a name is tried first.
    turn: AtomicUsize,
    warned: Warned,
}

impl Tcp {
    /// Connects to the addresses that `names` gives, unless only the descriptors that are kept back are left.
    #[must_use]
    pub fn new(names: Names, descriptors: Descriptors) -> Self {
        Self {
            names,
            descriptors,
            turn: AtomicUsize::new(0),
            warned: Warned::default(),
        }
    }

    async fn open(&self, host: &str, port: u16, deadline: Deadline) -> Result<BoxIo, ConnectError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            let dialled = self.dial(SocketAddr::new(ip, port)).await;
            return dialled.map_err(|error| self.unreachable(error));
        }
        let addresses = timeout_at(deadline, self.names.addresses(host))
            .await
            .unwrap_or(Err(NameError::Timeout))
            .map_err(|error| self.nameless(error))?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let addresses = happy::order(&addresses, turn);
        happy::race(addresses, |ip| self.dial(SocketAddr::new(ip, port)))
            .await
            .map_err(|error| self.unreachable(error))
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<BoxIo> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        self.descriptors.spare(&socket)?;
        socket.set_nodelay(true)?;
        Ok(Box::new(socket.connect(address).await?))
    }

    fn unreachable(&self, source: io::Error) -> ConnectError {
        match Shortage::of(&source) {
            Some(shortage) => self.short_of(shortage, source),
            None => ConnectError {
                failure: Failure::Connect,
                source,
            },
        }
    }

    fn nameless(&self, error: NameError) -> ConnectError {
        let kind = match error {
            NameError::NotFound => io::ErrorKind::NotFound,
            NameError::ServerFailure => io::ErrorKind::Other,
            NameError::Timeout => io::ErrorKind::TimedOut,
            NameError::Shortage(shortage) => {
                return self.short_of(shortage, io::Error::other(error));
            }
        };
        ConnectError {
            failure: Failure::Dns,
            source: io::Error::new(kind, error),
        }
    }

    fn short_of(&self, shortage: Shortage, source: io::Error) -> ConnectError {
        self.warned.warn(shortage, &source, now());
        ConnectError {
            failure: Failure::Exhausted,
            source,
        }
    }
}

impl Connect for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16, deadline: Deadline) -> Connecting<'a> {
        Box::pin(self.open(host, port, deadline))
    }
}

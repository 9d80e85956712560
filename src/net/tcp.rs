//! TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;

use super::connect::{Connect, ConnectError, Connecting};
use super::io::BoxIo;
use crate::failure::Failure;

/// Connects over TCP; names by the system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        Box::pin(open(host, port))
    }
}

async fn open(host: &str, port: u16) -> Result<BoxIo, ConnectError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return dial(SocketAddr::new(ip, port)).await.map_err(unreachable);
    }
    let dns = |source| ConnectError {
        failure: Failure::Dns,
        source,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut found = false;
    for address in tokio::net::lookup_host((host, port)).await.map_err(dns)? {
        found = true;
        match dial(address).await {
            Ok(io) => return Ok(io),
            Err(error) => last = error,
        }
    }
    Err(if found { unreachable(last) } else { dns(last) })
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

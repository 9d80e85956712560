//! How a stream to an upstream is opened.

use std::future::Future;
use std::io;
use std::pin::Pin;

use super::io::BoxIo;
use crate::failure::Failure;
use crate::time::Deadline;

/// Opens byte streams: over TCP in the program, to memory pipes in tests.
pub trait Connect: Send + Sync + 'static {
    /// Opens a stream to a host (a name or an IP address without brackets) and port. The caller bounds the time; `deadline`
    /// only serves to tell which step took too long.
    fn connect<'a>(&'a self, host: &'a str, port: u16, deadline: Deadline) -> Connecting<'a>;
}

/// A stream being opened, on the worker that needs it.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<BoxIo, ConnectError>> + 'a>>;

/// Why no stream could be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect ({})", failure.label())]
pub struct ConnectError {
    /// The reason by its class.
    pub failure: Failure,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

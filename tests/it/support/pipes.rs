//! The way to the origins of a stage: memory pipes instead of a network.

use std::collections::BTreeMap;
use std::sync::Arc;

use sidefuse::failure::Failure;
use sidefuse::net::{Connect, ConnectError, Connecting};
use sidefuse::time::Deadline;

use super::memory::MemoryOrigin;

/// What comes of connecting to an origin.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    Open,
    Refused,
    BlackHole,
}

/// Connects to the [`MemoryOrigin`] of an address; to the first, whatever its address, where none has it.
pub(super) struct Pipes {
    pub(super) first: Arc<MemoryOrigin>,
    pub(super) others: BTreeMap<String, Arc<MemoryOrigin>>,
}

impl Connect for Pipes {
    fn connect<'a>(&'a self, host: &'a str, port: u16, _: Deadline) -> Connecting<'a> {
        let address = format!("{host}:{port}");
        let origin = self.others.get(&address).unwrap_or(&self.first);
        Box::pin(async {
            match *origin.reach.lock().unwrap() {
                Reach::Open => return Ok(origin.accept()),
                Reach::Refused => return Err(refused()),
                Reach::BlackHole => {}
            }
            std::future::pending().await
        })
    }
}

fn refused() -> ConnectError {
    ConnectError {
        failure: Failure::Connect,
        source: std::io::ErrorKind::ConnectionRefused.into(),
    }
}

//! The plan of `dns:`.

use std::net::SocketAddr;
use std::time::Duration;

/// How names of upstreams are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPlan {
    /// The name servers; empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one query waits for one server's answer.
    pub timeout: Duration,
}

impl Default for DnsPlan {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            // Less than a `connect_timeout` of 3s, so that the call gets the real reason. Lost packets are sent again within
            // it.
            timeout: Duration::from_secs(2),
        }
    }
}

//! What `dns:` means.

use std::net::SocketAddr;
use std::time::Duration;

/// How names of upstreams are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPlan {
    /// The name servers; empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one question waits for one server's answer.
    pub timeout: Duration,
}

impl Default for DnsPlan {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            // Less than a `connect_timeout` of 3s: then the call is told what was wrong. Lost packets are repeated within it.
            timeout: Duration::from_secs(2),
        }
    }
}

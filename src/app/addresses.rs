//! The addresses that the program listens on, with the ports that the system chose.

use std::net::SocketAddr;

use crate::config::plan::AdminAddress;

/// The addresses that the program listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// For the application's calls.
    pub proxy: Vec<SocketAddr>,
    /// For operators.
    pub admin: Vec<AdminAddress>,
    /// For probes and metrics.
    pub health: Option<SocketAddr>,
}

impl Addresses {
    /// The proxy's addresses, with commas.
    #[must_use]
    pub fn proxy_text(&self) -> String {
        join(self.proxy.iter().map(ToString::to_string))
    }

    /// The operators' addresses, with commas.
    #[must_use]
    pub fn admin_text(&self) -> String {
        join(self.admin.iter().map(admin_text))
    }
}

/// An operators' address as the configuration writes it.
pub(super) fn admin_text(address: &AdminAddress) -> String {
    match address {
        AdminAddress::Tcp(address) => address.to_string(),
        AdminAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn join(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

//! Why a name has no address.

use crate::net::Shortage;

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NameError {
    /// The name servers say that it does not exist, or has no address (NXDOMAIN, an empty answer).
    #[error("the name does not exist or has no address")]
    NotFound,
    /// They failed, refused or made no sense (SERVFAIL, REFUSED), or there is none.
    #[error("the name servers failed")]
    ServerFailure,
    /// None answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// They could not be asked because we lack a resource.
    #[error("there was nothing left to ask the name servers with ({})", .0.label())]
    Shortage(Shortage),
}

//! One socket on its way from an address to a listener.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use crate::config::plan::AdminAddress;

/// The most connections in a listener's backlog.
const BACKLOG: u32 = 1024;

/// Bound.
pub(super) enum Socket {
    Tcp(TcpSocket),
    Unix(UnixListener, SocketFile),
}

/// Listening.
pub(super) enum Listener {
    Tcp(TcpListener, OwnedFd),
    Unix(UnixListener, SocketFile),
}

/// Whether a new socket may share its port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    /// With sockets that yield it.
    Beside,
}

/// Lets another of our sockets bind the same port while this lives. Usually none may: two processes on one port would each get
/// half of the callers.
pub(super) struct Yielding(OwnedFd);

impl Yielding {
    pub(super) fn new(socket: &OwnedFd) -> io::Result<Self> {
        SockRef::from(socket).set_reuse_port(true)?;
        Ok(Self(socket.try_clone()?))
    }
}

impl Drop for Yielding {
    fn drop(&mut self) {
        // Unsetting an option that was set does not fail.
        let _ = SockRef::from(&self.0).set_reuse_port(false);
    }
}

/// The file of a unix socket; removed with it, so that no dead socket looks alive.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    pub(super) fn address(&self) -> io::Result<AdminAddress> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(AdminAddress::Tcp),
            Self::Unix(_, file) => Ok(AdminAddress::Unix(file.0.clone())),
        }
    }

    pub(super) fn listen(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(socket) => {
                let listener = socket.listen(BACKLOG)?;
                // From here on no other socket may bind the port.
                SockRef::from(&listener).set_reuse_port(false)?;
                let again = listener.as_fd().try_clone_to_owned()?;
                Listener::Tcp(listener, again)
            }
            Self::Unix(listener, file) => Listener::Unix(listener, file),
        })
    }
}

/// Binds a socket; it accepts no connections yet.
pub(super) fn bind(address: &AdminAddress, company: Company) -> io::Result<Socket> {
    match address {
        AdminAddress::Tcp(address) => bind_tcp(*address, company).map(Socket::Tcp),
        AdminAddress::Unix(path) => bind_unix(path),
    }
}

/// `SO_REUSEADDR` lets a restart bind at once although old connections linger; it does not let two processes share a port. To
/// share a port with a socket that yields it, the new one needs `SO_REUSEPORT` as well.
fn bind_tcp(address: SocketAddr, company: Company) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    if company == Company::Beside {
        SockRef::from(&socket).set_reuse_port(true)?;
    }
    socket.bind(address)?;
    Ok(socket)
}

/// A socket file without a listener is left over from a killed process and is replaced; any other file stays.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let is_dead = || {
        UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && is_dead() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Socket::Unix(listener, file))
}

//! The bound listeners, and what a reload changes of them: all or nothing.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::task::AbortHandle;

use super::accept::accept;
use super::addresses::{Addresses, admin_text};
use super::error::StartError;
use super::workers::Dispatch;
use crate::admin;
use crate::config::plan::{AdminAddress, ListenPlan};

/// Pending connections that the system keeps for us.
const BACKLOG: u32 = 1024;

/// What a listener is for, and the address as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    Proxy(SocketAddr),
    Admin(AdminAddress),
    Health(SocketAddr),
}

/// Tells a listener from all others. Port 0 may stand in a list several times, each time for another port: they are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    purpose: Purpose,
    number: usize,
}

/// The listeners that are being served.
#[derive(Default)]
pub(super) struct Listeners {
    open: HashMap<Key, Open>,
}

struct Open {
    bound: AdminAddress,
    task: AbortHandle,
    _file: Option<SocketFile>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// New listeners, bound but not yet served.
pub(super) struct Bound {
    fresh: Vec<Fresh>,
    plan: ListenPlan,
}

struct Fresh {
    key: Key,
    bound: AdminAddress,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a unix socket; goes with it, so that nobody takes a dead socket for a living one.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it is gone already, all the better.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listeners {
    /// Binds what the plan has and we do not yet; touches nothing that is being served.
    ///
    /// # Errors
    /// The first address that cannot be bound; what was bound before it is closed again.
    pub(super) fn prepare(&self, plan: &ListenPlan) -> Result<Bound, StartError> {
        let mut fresh = Vec::new();
        for key in keys(plan).filter(|key| !self.open.contains_key(key)) {
            let socket = bind(&key.purpose).map_err(|source| key.error(source))?;
            let bound = socket.address().map_err(|source| key.error(source))?;
            fresh.push(Fresh { key, bound, socket });
        }
        Ok(Bound {
            fresh,
            plan: plan.clone(),
        })
    }

    /// Serves the new ones and closes those that the plan no longer has. Connections that they accepted live on.
    pub(super) fn commit(
        &mut self,
        bound: Bound,
        dispatch: &Dispatch,
        context: &Arc<admin::Context>,
    ) {
        let Bound { fresh, plan } = bound;
        for Fresh { key, bound, socket } in fresh {
            let context = Arc::clone(context);
            let (task, file) = match (&key.purpose, socket) {
                (Purpose::Proxy(_), Socket::Tcp(listener)) => {
                    (tokio::spawn(accept(listener, dispatch.clone())), None)
                }
                (Purpose::Health(_), Socket::Tcp(listener)) => {
                    (tokio::spawn(admin::serve_health(context, listener)), None)
                }
                (Purpose::Admin(_), Socket::Tcp(listener)) => {
                    let listener = admin::Listener::Tcp(listener);
                    (tokio::spawn(admin::serve(context, listener)), None)
                }
                (
                    Purpose::Admin(_) | Purpose::Proxy(_) | Purpose::Health(_),
                    Socket::Unix(listener, file),
                ) => {
                    let listener = admin::Listener::Unix(listener);
                    (tokio::spawn(admin::serve(context, listener)), Some(file))
                }
            };
            let open = Open {
                bound,
                task: task.abort_handle(),
                _file: file,
            };
            self.open.insert(key, open);
        }
        let wanted: Vec<Key> = keys(&plan).collect();
        self.open.retain(|key, _| wanted.contains(key));
    }

    /// Where they listen in fact once `bound` is committed, in the plan's order.
    pub(super) fn addresses(&self, bound: &Bound) -> Addresses {
        let mut addresses = Addresses::default();
        for key in keys(&bound.plan) {
            let old = self.open.get(&key).map(|open| &open.bound);
            let new = || {
                bound
                    .fresh
                    .iter()
                    .find(|fresh| fresh.key == key)
                    .map(|fresh| &fresh.bound)
            };
            match (&key.purpose, old.or_else(new)) {
                (Purpose::Admin(_), Some(address)) => addresses.admin.push(address.clone()),
                (Purpose::Proxy(_), Some(AdminAddress::Tcp(address))) => {
                    addresses.proxy.push(*address);
                }
                (Purpose::Health(_), Some(AdminAddress::Tcp(address))) => {
                    addresses.health = Some(*address);
                }
                (_, Some(AdminAddress::Unix(_)) | None) => {}
            }
        }
        addresses
    }

    /// Closes all of them.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }
}

impl Key {
    fn error(&self, source: io::Error) -> StartError {
        let (key, address) = match &self.purpose {
            Purpose::Proxy(address) => ("proxy", address.to_string()),
            Purpose::Admin(address) => ("admin", admin_text(address)),
            Purpose::Health(address) => ("health", address.to_string()),
        };
        StartError::Bind {
            key,
            address,
            source,
        }
    }
}

impl Socket {
    fn address(&self) -> io::Result<AdminAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(AdminAddress::Tcp),
            Self::Unix(_, file) => Ok(AdminAddress::Unix(file.0.clone())),
        }
    }
}

fn keys(plan: &ListenPlan) -> impl Iterator<Item = Key> + '_ {
    let proxy = plan.proxy.iter().copied().map(Purpose::Proxy);
    let admin = plan.admin.iter().cloned().map(Purpose::Admin);
    let mut seen: HashMap<Purpose, usize> = HashMap::new();
    proxy
        .chain(admin)
        .chain(plan.health.map(Purpose::Health))
        .map(move |purpose| {
            let count = seen.entry(purpose.clone()).or_default();
            let number = *count;
            *count += 1;
            Key { purpose, number }
        })
}

fn bind(purpose: &Purpose) -> io::Result<Socket> {
    match purpose {
        Purpose::Proxy(address)
        | Purpose::Health(address)
        | Purpose::Admin(AdminAddress::Tcp(address)) => bind_tcp(*address).map(Socket::Tcp),
        Purpose::Admin(AdminAddress::Unix(path)) => bind_unix(path),
    }
}

/// `SO_REUSEADDR` lets a restart bind at once although old connections linger; it does not let two processes share a port.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A socket file that nobody listens on any more is left over from a killed process and is replaced; any other file stays.
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

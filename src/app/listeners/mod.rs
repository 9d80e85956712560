//! The bound listeners, and what a reload changes of them: all or nothing.
//!
//! Addresses are bound first and listened on last, when nothing else can fail: a configuration that is refused has accepted no
//! connection. A listener that goes still serves the connections in its backlog.

mod socket;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::accept::accept;
use super::addresses::{Addresses, admin_text};
use super::error::StartError;
use super::workers::Dispatch;
use crate::admin;
use crate::config::plan::{AdminAddress, ListenPlan};
use socket::{Company, Listener, Socket, SocketFile, Yielding, bind};

/// What a listener is for, and the address as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    Proxy(SocketAddr),
    Admin(AdminAddress),
    Health(SocketAddr),
}

/// Identifies a listener. Port 0 may stand in a list several times, each time for another port, so these are counted.
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
    /// Ends it after its backlog is served.
    retire: Option<oneshot::Sender<()>>,
    /// A duplicate of the socket, to change its options later.
    socket: Option<OwnedFd>,
    _file: Option<SocketFile>,
}

impl Open {
    /// Accepts no more connections; those that are open go on.
    fn retire(mut self) {
        if let Some(retire) = self.retire.take() {
            // Without a receiver it has ended already.
            let _ = retire.send(());
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.retire.is_some() {
            self.task.abort();
        }
    }
}

/// New listeners, bound but not yet listening.
pub(super) struct Bound {
    fresh: Vec<Fresh<Socket>>,
    plan: ListenPlan,
    yielding: Vec<Yielding>,
}

/// New listeners, listening but not yet served.
pub(super) struct Listening {
    fresh: Vec<Fresh<Listener>>,
    plan: ListenPlan,
}

struct Fresh<S> {
    key: Key,
    bound: AdminAddress,
    socket: S,
}

impl Listeners {
    /// Binds the addresses that are new in the plan; touches nothing that is being served.
    ///
    /// # Errors
    /// The first address that cannot be bound; those bound before it are released.
    pub(super) fn prepare(&self, plan: &ListenPlan) -> Result<Bound, StartError> {
        let wanted: Vec<Key> = keys(plan).collect();
        let mut bound = Bound {
            fresh: Vec::new(),
            plan: plan.clone(),
            yielding: Vec::new(),
        };
        for key in wanted.iter().filter(|key| !self.open.contains_key(*key)) {
            let fail = |source| key.error(source);
            let leaving = self.leaving(key, &wanted).map(Yielding::new);
            let yielding = leaving.collect::<io::Result<Vec<_>>>().map_err(fail)?;
            let company = if yielding.is_empty() {
                Company::Alone
            } else {
                Company::Beside
            };
            bound.yielding.extend(yielding);
            let socket = bind(&key.purpose.address(), company).map_err(fail)?;
            let address = socket.address().map_err(fail)?;
            bound.fresh.push(Fresh {
                key: key.clone(),
                bound: address,
                socket,
            });
        }
        Ok(bound)
    }

    /// The sockets with the port of `key` that the plan no longer has: `127.0.0.1` that becomes `0.0.0.0`.
    fn leaving(&self, key: &Key, wanted: &[Key]) -> impl Iterator<Item = &OwnedFd> {
        let port = key.purpose.port().filter(|port| *port != 0);
        let goes = move |(old, _): &(&Key, &Open)| {
            port.is_some() && old.purpose.port() == port && !wanted.contains(old)
        };
        self.open
            .iter()
            .filter(goes)
            .filter_map(|(_, open)| open.socket.as_ref())
    }

    /// Serves the new ones and retires those that the plan no longer has. Connections of callers that they accepted live on; those of
    /// operators have a while to end.
    pub(super) fn commit(
        &mut self,
        listening: Listening,
        dispatch: &Dispatch,
        context: &Arc<admin::Context>,
    ) {
        let Listening { fresh, plan } = listening;
        for Fresh { key, bound, socket } in fresh {
            let context = Arc::clone(context);
            let (retire, retired) = oneshot::channel();
            let (task, socket, file) = match (&key.purpose, socket) {
                (Purpose::Proxy(_), Listener::Tcp(listener, socket)) => {
                    let task = tokio::spawn(accept(listener, dispatch.clone(), retired));
                    (task, Some(socket), None)
                }
                (Purpose::Health(_), Listener::Tcp(listener, socket)) => {
                    let task = tokio::spawn(admin::serve_health(context, listener, retired));
                    (task, Some(socket), None)
                }
                (Purpose::Admin(_), Listener::Tcp(listener, socket)) => {
                    let listener = admin::Listener::Tcp(listener);
                    let task = tokio::spawn(admin::serve(context, listener, retired));
                    (task, Some(socket), None)
                }
                (
                    Purpose::Admin(_) | Purpose::Proxy(_) | Purpose::Health(_),
                    Listener::Unix(listener, file),
                ) => {
                    let listener = admin::Listener::Unix(listener);
                    let task = tokio::spawn(admin::serve(context, listener, retired));
                    (task, None, Some(file))
                }
            };
            let open = Open {
                bound,
                task: task.abort_handle(),
                retire: Some(retire),
                socket,
                _file: file,
            };
            self.open.insert(key, open);
        }
        let wanted: Vec<Key> = keys(&plan).collect();
        let gone = self.open.extract_if(|key, _| !wanted.contains(key));
        gone.for_each(|(_, open)| open.retire());
    }

    /// The addresses listened on once `bound` is committed, in the plan's order.
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

impl Bound {
    /// Listens on all of them, as the last thing that can fail.
    ///
    /// # Errors
    /// The first address that another process listens on by now.
    pub(super) fn listen(self) -> Result<Listening, StartError> {
        let Self {
            fresh,
            plan,
            yielding,
        } = self;
        let listen = |fresh: Fresh<Socket>| -> Result<_, StartError> {
            let Fresh { key, bound, socket } = fresh;
            let socket = socket.listen().map_err(|source| key.error(source))?;
            Ok(Fresh { key, bound, socket })
        };
        let fresh: Result<_, _> = fresh.into_iter().map(listen).collect();
        drop(yielding);
        Ok(Listening {
            fresh: fresh?,
            plan,
        })
    }
}

impl Purpose {
    fn address(&self) -> AdminAddress {
        match self {
            Self::Proxy(address) | Self::Health(address) => AdminAddress::Tcp(*address),
            Self::Admin(address) => address.clone(),
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            Self::Proxy(address)
            | Self::Health(address)
            | Self::Admin(AdminAddress::Tcp(address)) => Some(address.port()),
            Self::Admin(AdminAddress::Unix(_)) => None,
        }
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

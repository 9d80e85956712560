//! Connections to upstreams: how many there may be, how old they get, which call gets the next.
//!
//! An [`Upstream`] is shared by all workers and owns what must be exact over all of them: the [`Slots`]. Each worker has its own
//! [`Pool`] per upstream, a plain cell: a connection is used by the worker that opened it and never crosses a thread.
//!
//! An upstream has one or more [`Endpoint`]s. `max`, `min`, the queue and `acquire_timeout` are the upstream's, over all of
//! them; each has connections of its own in every pool. The [`balance`]r decides which of them a call goes to, except at `max`:
//! then a call takes any free connection, because closing one and opening another for the sake of balance would cost every call
//! a handshake just when there is the most to do.
//!
//! # Who drives a connection
//! One over HTTP/1.1 is driven by the call that it carries, and by a task of its own at all other times, as when the answer begins before
//! all of the request is written; one over HTTP/2, which many calls share, by its task alone.
//!
//! # Who hears what
//! The result of a call is recorded for its endpoint and for the route's breaker, with one exception: a call that could not be
//! sent because no connection could be opened goes to another endpoint within the same attempt, and only the first endpoint
//! records that. So an endpoint that is gone costs the breaker nothing, and one that answers badly costs it five calls and then
//! an occasional trial. The breaker opens for the failures that the ejector cannot keep away from callers.

pub mod balance;
mod blame;
mod download;
mod driven;
mod endpoint;
mod endpoints;
mod go_ahead;
mod holding;
mod http1;
mod http2;
mod lease;
pub mod pool;
mod probe;
mod raw;
mod replay;
mod send_error;
pub mod slots;
mod upload;
mod upload_end;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

pub use download::{Download, DownloadError};
pub use endpoint::{Endpoint, EndpointId, EndpointView};
pub use endpoints::Endpoints;
pub use lease::Lease;
pub use pool::{Checkout, Pool, Recall, Unconnected, Wanted, Way};
pub use probe::{Probe, ProbeNews, ProbeTurn, Report, Urgency};
pub use send_error::{Fate, SendError};
pub use slots::{Shed, Slots};
pub use upload::{Upload, UploadProgress};
pub use upload_end::UploadEnd;

use crate::config::plan::{EndpointPlan, HttpVersion, UpstreamPlan};
use crate::net::tls::{Offer, Tls, TlsError, speaks_another};
use crate::net::{BoxIo, Connect, ConnectError};
use crate::time::{Deadline, now};

/// Where a route sends, shared by all workers.
pub struct Upstream {
    id: u64,
    plan: Arc<UpstreamPlan>,
    tls: Option<Box<Security>>,
    connect: Arc<dyn Connect>,
    slots: Arc<Slots>,
    endpoints: Endpoints,
    available: AtomicUsize,
    /// Calls that wait for room on an HTTP/2 connection, or for one that is being opened.
    waiting: AtomicUsize,
}

/// TLS towards an upstream, by what a connection is wanted for.
struct Security {
    call: Tls,
    /// HTTP/1.1 alone, which is all that can be left. An upstream that does not speak it is called as for a call.
    switch: Tls,
}

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A call, over whatever version the upstream speaks.
    Call,
    /// A switch of protocols (WebSocket), which only HTTP/1.1 can make: another connection comes about if the upstream speaks HTTP/2 alone.
    Switch,
    /// A tunnel, through which the caller speaks what it likes, TLS included: a stream of its own, over which we say nothing.
    Tunnel,
}

/// How many connections an upstream has, by their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatistics {
    /// Open, or being opened.
    pub size: usize,
    /// Open and unused.
    pub available: usize,
    /// In use, or being opened.
    pub using: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

impl Upstream {
    /// Prepares the upstream of that route; nothing is opened yet. `sheds` has one entry per worker.
    ///
    /// # Errors
    /// [`TlsError`] when its trust cannot be loaded.
    pub fn new(
        route: Arc<str>,
        plan: Arc<UpstreamPlan>,
        connect: Arc<dyn Connect>,
        sheds: Arc<[Shed]>,
    ) -> Result<Self, TlsError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let offer = match plan.http {
            HttpVersion::Auto => Offer::Either,
            HttpVersion::Http1 => Offer::Http1,
            HttpVersion::Http2 => Offer::Http2,
        };
        let tls = match &plan.tls {
            Some(tls) => {
                let trust = tls.ca_file.as_ref().map(|file| &*file.path);
                Some(Box::new(Security {
                    call: Tls::new(&plan.host, trust, offer)?,
                    switch: Tls::new(&plan.host, trust, Offer::Switch)?,
                }))
            }
            None => None,
        };
        let slots = Slots::new(plan.pool.max, sheds);
        let endpoints = Endpoints::new(route, &plan.addresses(), now());
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            id,
            plan,
            tls,
            connect,
            slots,
            endpoints,
            available: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Tells this upstream from every other of the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it was made from. Its endpoints may have been exchanged since.
    #[must_use]
    pub fn plan(&self) -> &UpstreamPlan {
        &self.plan
    }

    /// Where its connections go.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// How its connections stand now.
    #[must_use]
    pub fn statistics(&self) -> PoolStatistics {
        let size = self.slots.used();
        let available = self.available.load(Ordering::Relaxed).min(size);
        PoolStatistics {
            size,
            available,
            using: size - available,
            waiting: self.slots.waiting() + self.waiting.load(Ordering::Relaxed),
        }
    }

    /// Opens a stream to one of its endpoints, TLS included unless it is for a tunnel, within the connect timeout and before `deadline`; says
    /// whether HTTP/2 is to be spoken over it.
    async fn open(
        &self,
        endpoint: &Endpoint,
        now: Instant,
        deadline: Deadline,
        purpose: Purpose,
    ) -> Result<(BoxIo, bool), ConnectError> {
        let deadline = deadline.min(Deadline::after(now, self.plan.connect_timeout));
        let (tls, may_http2) = match purpose {
            Purpose::Call => (self.tls.as_ref().map(|tls| &tls.call), true),
            Purpose::Switch => (self.tls.as_ref().map(|tls| &tls.switch), false),
            Purpose::Tunnel => (None, false),
        };
        let opening = async {
            let EndpointPlan { host, port } = endpoint.plan();
            let io = self.connect.connect(host, *port, deadline).await?;
            let prior_knowledge = self.plan.http == HttpVersion::Http2;
            match tls {
                None => Ok((io, may_http2 && prior_knowledge)),
                Some(tls) => {
                    let (io, is_http2) = match (tls.handshake(io).await, &self.tls) {
                        // It speaks HTTP/2 alone, which has no such switch: it gets the call without the wish (RFC 9110 §7.8).
                        (Err(error), Some(tls))
                            if purpose == Purpose::Switch && speaks_another(&error.source) =>
                        {
                            let io = self.connect.connect(host, *port, deadline).await?;
                            tls.call.handshake(io).await?
                        }
                        (shaken, _) => shaken?,
                    };
                    Ok((io, is_http2 || may_http2 && prior_knowledge))
                }
            }
        };
        match crate::time::timeout_at(deadline, opening).await {
            Ok(result) => result,
            Err(elapsed) => Err(ConnectError {
                failure: crate::failure::Failure::ConnectTimeout,
                source: std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed),
            }),
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("id", &self.id)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

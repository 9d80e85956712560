//! One address of an upstream: its calls in flight, its latency, whether it is ejected.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::balance::{Latency, Load};
use crate::config::plan::EndpointPlan;
use crate::resilience::{Ejection, Ejector};

/// Tells an endpoint from every other of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(u64);

/// One address of an upstream, shared by all workers.
#[derive(Debug)]
pub struct Endpoint {
    id: EndpointId,
    plan: EndpointPlan,
    label: Arc<str>,
    in_flight: AtomicUsize,
    connections: AtomicUsize,
    latency: Latency,
    /// Whether it is ejected. Written under the ejector's lock, so that it can be read without.
    is_out: AtomicBool,
    /// Whether the ejector has failures that a success would clear. Written under the ejector's lock.
    has_failures: AtomicBool,
    ejector: Mutex<Ejector>,
}

/// How an endpoint stands.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointView {
    /// `host:port`.
    pub address: Arc<str>,
    /// Whether it gets calls.
    pub ejection: Ejection,
    /// Calls in flight.
    pub in_flight: usize,
    /// Its mean latency when it was last asked.
    pub latency: Option<Duration>,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Connections to it, over all workers.
    pub connections: usize,
}

/// Counts a connection to an endpoint for as long as it lives.
#[derive(Debug)]
pub(super) struct Connected(Arc<Endpoint>);

impl Endpoint {
    pub(super) fn new(plan: EndpointPlan, now: Instant) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let label = plan.label().into();
        Arc::new(Self {
            id: EndpointId(NEXT.fetch_add(1, Ordering::Relaxed)),
            plan,
            label,
            in_flight: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            latency: Latency::new(now),
            is_out: AtomicBool::new(false),
            has_failures: AtomicBool::new(false),
            ejector: Mutex::default(),
        })
    }

    /// Tells it from every other of the process.
    #[must_use]
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// What is dialled.
    #[must_use]
    pub fn plan(&self) -> &EndpointPlan {
        &self.plan
    }

    /// `host:port`, for log lines.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// How it stands now.
    #[must_use]
    pub fn view(&self) -> EndpointView {
        let ejector = self.ejector();
        EndpointView {
            address: Arc::clone(&self.label),
            ejection: ejector.ejection(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            latency: self.latency.last(),
            consecutive_failures: ejector.consecutive_failures(),
            connections: self.connections(),
        }
    }

    /// What it has to do.
    pub(super) fn load(&self, now: Instant) -> Load {
        Load {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            latency: self.latency.faded(now),
        }
    }

    pub(super) fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Whether it is ejected.
    pub(super) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    /// Marks it as ejected before its ejector does, so that a concurrent count of ejected endpoints includes it.
    pub(super) fn reserve_ejection(&self) {
        self.is_out.store(true, Ordering::Relaxed);
    }

    /// Connections to it, over all workers.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn has_failures(&self) -> bool {
        self.has_failures.load(Ordering::Relaxed)
    }

    /// Changes its ejector under the lock, then updates the flags that are read without the lock.
    pub(super) fn eject_with<T>(&self, change: impl FnOnce(&mut Ejector) -> T) -> T {
        let mut ejector = self.ejector();
        let result = change(&mut ejector);
        let is_out = ejector.ejection() != Ejection::Available;
        self.is_out.store(is_out, Ordering::Relaxed);
        let has_failures = ejector.consecutive_failures() > 0;
        self.has_failures.store(has_failures, Ordering::Relaxed);
        result
    }

    /// A call is on its way to it.
    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// That call is over.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn ejector(&self) -> MutexGuard<'_, Ejector> {
        self.ejector.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected {
    /// One more connection to it.
    pub(super) fn to(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(endpoint))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

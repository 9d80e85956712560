//! A pool's connections to one endpoint, and a call's stay there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pool;
use super::sharing::Sharing;
use crate::resilience::{Ejector, Sample, Visit};
use crate::time::now;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::http1::Http1;

/// A pool's connections to one endpoint.
pub(in crate::upstream) struct Shelf {
    pub(super) endpoint: Arc<Endpoint>,
    /// Unused connections; the one used last is at the back.
    pub(super) idle: RefCell<VecDeque<Box<Http1>>>,
    pub(super) sharing: Sharing,
    /// The endpoint has left the upstream's set: connections that come back are closed.
    pub(super) is_retired: Cell<bool>,
}

/// A call at an endpoint, from the choice to the end of the answer. Dropping it ends it; without a verdict it counts for
/// nothing.
pub(in crate::upstream) struct Stay {
    pub(super) pool: Rc<Pool>,
    pub(super) shelf: Rc<Shelf>,
    visit: Visit,
    /// How long the call took to its response headers, or to its failure.
    took: Option<Duration>,
}

impl Shelf {
    pub(super) fn new(endpoint: Arc<Endpoint>, speaks_http2: bool) -> Rc<Self> {
        Rc::new(Self {
            endpoint,
            idle: RefCell::default(),
            sharing: Sharing::new(speaks_http2),
            is_retired: Cell::new(false),
        })
    }

    /// Whether connections to it are worth keeping.
    pub(super) fn is_in_service(&self) -> bool {
        !self.is_retired.get() && !self.endpoint.is_out()
    }

    /// Since when its oldest unused connection has been unused.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.idle.borrow().front().map(|oldest| oldest.idle_since())
    }
}

impl Stay {
    pub(super) fn begin(pool: &Rc<Pool>, shelf: &Rc<Shelf>, visit: Visit) -> Self {
        shelf.endpoint.enter();
        Self {
            pool: Rc::clone(pool),
            shelf: Rc::clone(shelf),
            visit,
            took: None,
        }
    }

    /// The endpoint of the call.
    pub(in crate::upstream) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.shelf.endpoint
    }

    /// Whether the call is the trial of an ejected endpoint.
    pub(super) fn is_trial(&self) -> bool {
        self.visit != Visit::Ordinary
    }

    /// How long the call took to its response headers, or to its failure.
    pub(in crate::upstream) fn took(&mut self, took: Duration) {
        self.took = Some(took);
    }

    /// What the call proved about the endpoint.
    pub(in crate::upstream) fn record(&mut self, sample: Sample, now: Instant) {
        let endpoints = self.pool.upstream.endpoints();
        let visit = std::mem::replace(&mut self.visit, Visit::Ordinary);
        let sample = Sample {
            latency: self.took.or(sample.latency),
            ..sample
        };
        endpoints.record(&self.shelf.endpoint, visit, sample, now);
    }

    /// Gives back the connection that the call was made over.
    pub(in crate::upstream) fn put(&self, connection: Box<Http1>) {
        self.pool.put(connection, &self.shelf);
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.shelf.endpoint.leave();
        if self.shelf.sharing.is_spoken() {
            self.shelf.sharing.has_left(&self.pool.upstream.slots);
        }
        let visit = self.visit;
        if visit != Visit::Ordinary {
            let now = now();
            let release = |ejector: &mut Ejector| ejector.release(visit, now);
            self.shelf.endpoint.eject_with(release);
        }
    }
}

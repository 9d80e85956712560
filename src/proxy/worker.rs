//! What one worker thread owns, and what all of them share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use super::http::probing::probe_due;
use super::http::state::ConnectionState;
use super::turnstile::Turnstile;
use tokio::sync::Notify;

use crate::arena::Arena;
use crate::failure::Failure;
use crate::net::{Phase, Phases};
use crate::snapshot::{Route, Snapshot};
use crate::telemetry::{LogHandle, Logging, Meters, WorkerLog, WorkerTelemetry};
use crate::time::{Deadline, now, sleep_until};
use crate::upstream::{Pool, Shed};

/// How often connections are looked through. Bounds how late a time limit of an idle connection is noticed.
const LOOK: Duration = Duration::from_millis(250);

/// What all workers and the control thread share.
#[derive(Debug)]
pub struct Shared {
    /// What is in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where log lines go and how they look now.
    pub logging: Logging,
    /// The metrics.
    pub meters: Meters,
    /// The phase of the process: serving, draining, closing.
    pub phases: Arc<Phases>,
    /// How busy each worker is.
    pub loads: Arc<[Load]>,
    /// Wakes a worker to give up unused connections, one per worker.
    pub sheds: Arc<[Shed]>,
    /// Told when a breaker changes.
    pub changed: Arc<Notify>,
}

/// How busy a worker is. Written by that worker, but for connections on their way to it.
#[derive(Debug, Default)]
pub struct Load {
    /// Connections that it has or is about to get.
    pub connections: AtomicUsize,
    /// Exchanges in flight.
    pub in_flight: AtomicUsize,
    /// During a drain: connections whose last answer is still on its way.
    pub sending: AtomicUsize,
    /// Exchanges begun so far; wraps.
    pub begun: AtomicUsize,
}

impl Shared {
    /// Exchanges in flight, with answers that are still on their way, and exchanges begun, over all workers.
    #[must_use]
    pub fn activity(&self) -> (usize, usize) {
        self.loads.iter().fold((0, 0), |(in_flight, begun), load| {
            (
                in_flight
                    + load.in_flight.load(Ordering::Relaxed)
                    + load.sending.load(Ordering::Relaxed),
                begun.wrapping_add(load.begun.load(Ordering::Relaxed)),
            )
        })
    }

    /// Connections open, over all workers.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.loads
            .iter()
            .map(|load| load.connections.load(Ordering::Relaxed))
            .sum()
    }
}

/// What one worker thread owns. Everything in here is a plain cell: nothing of it crosses a thread.
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    snapshot: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    current: RefCell<Rc<Current>>,
    pools: RefCell<HashMap<u64, Rc<Pool>>>,
    telemetry: Rc<WorkerTelemetry>,
    connections: RefCell<HashMap<u64, Rc<ConnectionState>>>,
    next_connection: Cell<u64>,
    /// Lets HTTP/1 callers in.
    turnstile: Rc<Turnstile>,
    arena: Arena,
    /// Told when the time to drain is over.
    called_off: Notify,
}

/// The snapshot that a worker works with, cached so that reading it needs no atomics.
pub struct Current {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
}

impl Worker {
    /// The worker of that index, writing its lines to `handle`.
    #[must_use]
    pub fn new(index: usize, shared: Arc<Shared>, handle: LogHandle) -> Rc<Self> {
        let mut snapshot = Cache::new(Arc::clone(&shared.snapshot));
        let log = WorkerLog::new(handle, shared.logging.spec());
        let telemetry = Rc::new(WorkerTelemetry {
            meters: shared.meters.clone(),
            log,
            is_cutting: Cell::default(),
        });
        let current = Rc::new(Current {
            snapshot: Arc::clone(snapshot.load()),
        });
        Rc::new(Self {
            index,
            snapshot: RefCell::new(snapshot),
            current: RefCell::new(current),
            shared,
            telemetry,
            pools: RefCell::default(),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            turnstile: Turnstile::new(),
            arena: Arena::default(),
            called_off: Notify::new(),
        })
    }

    /// What all workers share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where its HTTP/1 callers are let in.
    pub(super) fn turnstile(&self) -> &Rc<Turnstile> {
        &self.turnstile
    }

    /// Where the small texts of its calls lie.
    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// How busy this worker is.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.shared.loads[self.index]
    }

    /// Where this worker's exchanges are recorded.
    #[must_use]
    pub fn telemetry(&self) -> &Rc<WorkerTelemetry> {
        &self.telemetry
    }

    /// The snapshot in force.
    #[must_use]
    pub fn current(&self) -> Rc<Current> {
        let mut cache = self.snapshot.borrow_mut();
        let snapshot = cache.load();
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(snapshot, &current.snapshot) {
            *current = Rc::new(Current {
                snapshot: Arc::clone(snapshot),
            });
        }
        Rc::clone(&current)
    }

    /// This worker's pool for a route.
    #[must_use]
    pub fn pool(&self, route: &Route) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(route.upstream.id()).or_insert_with(|| {
            Pool::new(
                Arc::clone(&route.upstream),
                self.index,
                self.shared.loads.len(),
            )
        });
        Rc::clone(pool)
    }

    /// Looks after connections, both ways, and the log, for as long as the worker lives.
    pub async fn maintain(&self) {
        tokio::join!(
            self.look_around(),
            self.shed_on_demand(),
            self.telemetry.log.flush_forever()
        );
    }

    /// Waits until the time to drain is over.
    pub(super) async fn called_off(&self) {
        self.called_off.notified().await;
    }

    /// Says that what is still in flight is about to be dropped, by us.
    pub fn cut(&self) {
        self.telemetry.is_cutting.set(true);
        for state in self.connections.borrow().values() {
            state.record_begun(self, Failure::Draining);
        }
    }

    /// Says that a connection on its way to this worker was not made, or has ended.
    pub fn forget_connection(&self) {
        self.load().connections.fetch_sub(1, Ordering::Relaxed);
        self.telemetry.meters.connections().decrement(1.0);
    }

    /// Closes the connection whose caller has been waited for longest, at least a second, so that another can be served in its place; one
    /// whose caller has begun a request only if there is no other. Says whether there was one.
    #[must_use]
    pub fn make_way(&self) -> bool {
        let now = now();
        let connections = self.connections.borrow();
        let waited_for = connections
            .values()
            .filter_map(|state| Some((state.waited_for(now)?, state)));
        let longest = waited_for.max_by_key(|((has_begun, waited), _)| (!has_begun, *waited));
        if let Some((_, state)) = longest {
            state.close();
        }
        longest.is_some()
    }

    /// Puts a caller's connection under watch.
    pub(super) fn watch(&self, state: Rc<ConnectionState>) -> u64 {
        let id = self.next_connection.get();
        self.next_connection.set(id + 1);
        self.connections.borrow_mut().insert(id, state);
        id
    }

    /// Ends that.
    pub(super) fn unwatch(&self, id: u64) {
        self.connections.borrow_mut().remove(&id);
    }

    async fn look_around(&self) {
        let mut pools_due = now();
        loop {
            let now = now();
            let current = self.current();
            self.telemetry.log.respec(self.shared.logging.spec());
            let http = &current.snapshot.plan.http;
            let phase = self.shared.phases.now();
            let mut sending = 0;
            for state in self.connections.borrow().values() {
                state.look(now, http);
                if phase != Phase::Serving {
                    state.wind_down();
                    sending += usize::from(state.is_sending());
                }
            }
            self.load().sending.store(sending, Ordering::Relaxed);
            if phase == Phase::Closing {
                self.called_off.notify_waiters();
            }
            // One worker makes the probes of all routes.
            if self.index == 0 && phase != Phase::Closing {
                probe_due(&current.snapshot, now, |route| self.pool(route));
            }
            if now >= pools_due {
                pools_due = now + self.maintain_pools(&current.snapshot, now);
            }
            sleep_until(Deadline::after(now, LOOK)).await;
        }
    }

    /// Drops pools whose upstream is no longer in force, and maintains the others; says when to look again.
    fn maintain_pools(&self, snapshot: &Snapshot, now: Instant) -> Duration {
        for route in &snapshot.routes {
            if route.plan.upstream.pool.min > 0 {
                drop(self.pool(route));
            }
        }
        let pools: Vec<Rc<Pool>> = {
            let mut pools = self.pools.borrow_mut();
            pools.retain(|id, _| snapshot.upstreams.contains(id));
            pools.values().cloned().collect()
        };
        let mut again = Duration::from_secs(1);
        for pool in pools {
            again = again.min(pool.upstream().plan().pool.evict_every);
            pool.maintain(now);
        }
        again
    }

    async fn shed_on_demand(&self) {
        loop {
            self.shared.sheds[self.index].notified().await;
            let pools: Vec<Rc<Pool>> = self.pools.borrow().values().cloned().collect();
            pools.iter().for_each(|pool| pool.shed());
        }
    }
}

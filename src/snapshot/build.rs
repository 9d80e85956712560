//! Builds live objects from a plan and carries over what survives.
//!
//! [`prepare`] may fail and touches nothing that is shared; [`Prepared::commit`] cannot fail. A route survives by its name: its breaker
//! keeps its state and gets its new settings, its counters go on. An upstream survives if nothing of its settings
//! changed, or its endpoints alone.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::uri::{Authority, Scheme};
use tokio::sync::Notify;

use super::Snapshot;
use super::expected::expect;
use super::limits::{Limits, Origin};
use super::observer::observer;
use super::overrides::{Before, Turn, overrule};
use super::route::{Edits, Route};
use super::router::Router;
use super::watchers::{self, Watchers};
use crate::config::Source;
use crate::config::plan::{
    EndpointPlan, FallbackKind, HeaderEdits, HeaderText, Plan, Resolve, RoutePlan,
};
use crate::net::Connect;
use crate::net::tls::TlsError;
use crate::resilience::{Breaker, Doubt, RetryBudget};
use crate::stale::Store;
use crate::telemetry::Meters;
use crate::time::Moment;
use crate::upstream::{Probe, Shed, Upstream};

/// What a snapshot is made from.
pub struct Ingredients<'a> {
    /// The plan that comes into force.
    pub plan: Plan,
    /// Identifies the configuration's content.
    pub revision: String,
    /// What the plan was made of.
    pub source: Arc<Source>,
    /// The addresses that the proxy listens on.
    pub own: Vec<SocketAddr>,
    /// What was in force before.
    pub previous: Option<&'a Snapshot>,
    /// The metrics of the process.
    pub meters: &'a Meters,
    /// How streams to upstreams are opened.
    pub connect: Arc<dyn Connect>,
    /// Wakes a worker to give up unused connections, one per worker.
    pub sheds: Arc<[Shed]>,
    /// Told when a breaker changes.
    pub changed: &'a Arc<Notify>,
}

/// Why live objects cannot be built from a plan.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// TLS towards an upstream.
    #[error("route `{0}`: no TLS towards its upstream")]
    Tls(String, #[source] TlsError),
    /// An authority that HTTP/2 cannot carry.
    #[error("route `{0}`: the upstream's host cannot be written as a URL's")]
    Authority(String),
}

/// A snapshot that is ready but not in force.
#[derive(Debug)]
pub struct Prepared {
    pub(super) snapshot: Snapshot,
    forgotten: Vec<Arc<str>>,
    /// The routes that have an override or had one, by their places, with what they had.
    pub(super) overridden: Vec<(usize, Before)>,
}

/// Builds all live objects; those in force are not touched.
///
/// # Errors
/// [`BuildError`] for the first route that cannot be built.
pub fn prepare(ingredients: Ingredients<'_>, now: Instant) -> Result<Prepared, BuildError> {
    let Ingredients {
        plan,
        revision,
        source,
        own,
        previous,
        meters,
        connect,
        sheds,
        changed,
    } = ingredients;
    let mut routes = Vec::with_capacity(plan.routes.len());
    let mut overridden = Vec::new();
    for (name, route) in &plan.routes {
        let survivor = previous.and_then(|previous| previous.route(name));
        let before = survivor.and_then(|survivor| survivor.plan.overridden.as_deref());
        if before.is_some() || route.overridden.is_some() {
            let before = Before::of(before, route.overridden.as_deref());
            overridden.push((routes.len(), before));
        }
        let maker = Maker {
            name,
            plan: route,
            survivor,
            meters,
            connect: &connect,
            sheds: &sheds,
            changed,
        };
        match maker.make(now) {
            Ok(route) => routes.push(route),
            Err(error) => {
                let is_new = |name: &&String| previous.is_none_or(|old| old.route(name).is_none());
                let new = plan.routes.keys().filter(is_new);
                new.for_each(|name| meters.forget_route(name));
                return Err(error);
            }
        }
    }
    let forgotten = previous
        .map_or(&[][..], |previous| &previous.routes)
        .iter()
        .filter(|route| !plan.routes.contains_key(&*route.name))
        .map(|route| Arc::clone(&route.name))
        .collect();
    let router = Router::new(&plan.routes, &own);
    let upstreams: HashSet<u64> = routes.iter().map(|route| route.upstream.id()).collect();
    let is_probed = |route: &&Arc<Route>| route.probe.is_some();
    let probed = routes.iter().filter(is_probed).cloned().collect();
    Ok(Prepared {
        snapshot: Snapshot {
            plan: Arc::new(plan),
            revision,
            source,
            probed,
            routes,
            upstreams,
            router,
        },
        forgotten,
        overridden,
    })
}

impl Prepared {
    /// The snapshot as it will be.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Gives survivors their new settings, gives the orders of new overrides, forgets the counters of removed routes, and
    /// returns the snapshot to be published.
    #[must_use]
    pub fn commit(self, meters: &Meters, now: Instant) -> Arc<Snapshot> {
        for route in &self.snapshot.routes {
            if route.breaker.spec() != route.plan.breaker {
                route.breaker.respec(route.plan.breaker.clone(), now);
            }
            route.limits.respec(&route.plan, now);
            // Endpoints that come from a name's addresses are not in the plan: they stay.
            if route.plan.upstream.resolve == Resolve::One {
                let addresses = route.plan.upstream.addresses();
                route.upstream.endpoints().exchange(&addresses, now);
            }
            watchers::respec(route, now);
            expect(route);
        }
        let moment = Moment::read();
        for (place, before) in &self.overridden {
            let route = &self.snapshot.routes[*place];
            let turn = Turn {
                before: *before,
                after: route.plan.overridden.as_deref(),
            };
            overrule(&route.breaker, &turn, moment);
        }
        self.forgotten
            .iter()
            .for_each(|name| meters.forget_route(name));
        Arc::new(self.snapshot)
    }
}

/// Makes one route. Seeds are drawn, so that breakers of a fleet do not probe in step.
struct Maker<'a> {
    name: &'a str,
    plan: &'a Arc<RoutePlan>,
    survivor: Option<&'a Arc<Route>>,
    meters: &'a Meters,
    connect: &'a Arc<dyn Connect>,
    sheds: &'a Arc<[Shed]>,
    changed: &'a Arc<Notify>,
}

impl Maker<'_> {
    fn make(&self, now: Instant) -> Result<Arc<Route>, BuildError> {
        if let Some(route) = self.survivor
            && route.plan == *self.plan
        {
            return Ok(Arc::clone(route));
        }
        let request_headers = edits(&self.plan.headers.request);
        let response_headers = edits(&self.plan.headers.response);
        let meters = match self.survivor {
            Some(route) => Arc::clone(&route.meters),
            None => self.meters.route(self.name),
        };
        let name: Arc<str> = Arc::clone(meters.name());
        let origin = Origin {
            plan: self.plan,
            survivor: self.survivor.map(|route| &route.limits),
            meters: &meters,
            changed: self.changed,
            seed: fastrand::u64(..),
        };
        let limits = Limits::new(&origin, now);
        let breaker = match self.survivor {
            Some(route) => Arc::clone(&route.breaker),
            None => {
                let observer = observer(
                    Arc::clone(&name),
                    Arc::clone(&meters),
                    Arc::clone(self.changed),
                    Arc::clone(&limits.waiters),
                );
                Breaker::new(self.plan.breaker.clone(), fastrand::u64(..), now, observer)
            }
        };
        let retry_budget = self.plan.retry.as_ref().map(|_| {
            let survivor = self.survivor.and_then(|route| route.retry_budget.clone());
            survivor.unwrap_or_else(|| Arc::new(RetryBudget::new(now)))
        });
        let upstream = &self.plan.upstream;
        let authority = upstream
            .authority
            .to_str()
            .ok()
            .and_then(|authority| authority.parse::<Authority>().ok());
        let authority = authority.ok_or_else(|| BuildError::Authority(self.name.to_owned()))?;
        let scheme = if upstream.tls.is_some() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        let label = EndpointPlan {
            host: upstream.host.clone(),
            port: upstream.port,
        }
        .label();
        let upstream = self.upstream(&name)?;
        let watchers = Watchers::new(
            (&name, &limits.waiters),
            self.plan,
            self.survivor.map(|route| &**route),
            (fastrand::u64(..), self.changed, now),
        );
        Ok(Arc::new(Route {
            name,
            plan: Arc::clone(self.plan),
            breaker,
            retry_budget,
            limits,
            doubt: Doubt::default(),
            upstream,
            stale: self.stale(&request_headers),
            probe: self.probe(now),
            keyed: watchers.keyed,
            shadows: watchers.shadows,
            meters,
            upstream_label: label.into(),
            origin: (scheme, authority),
            request_headers,
            response_headers,
        }))
    }

    /// The survivor's upstream, if nothing but its endpoints changed; these are exchanged when the new plan comes into force.
    fn upstream(&self, name: &Arc<str>) -> Result<Arc<Upstream>, BuildError> {
        let plan = &self.plan.upstream;
        match self.survivor {
            Some(route) if route.plan.upstream.differs_in_endpoints_only(plan) => {
                Ok(Arc::clone(&route.upstream))
            }
            Some(_) | None => {
                let (connect, sheds) = (Arc::clone(self.connect), Arc::clone(self.sheds));
                Upstream::new(Arc::clone(name), Arc::clone(plan), connect, sheds)
                    .map(Arc::new)
                    .map_err(|error| BuildError::Tls(self.name.to_owned(), error))
            }
        }
    }

    /// Kept answers survive if the same call would get them again: from the same upstream, asked in the same way, kept by the
    /// same rules.
    fn stale(&self, request_headers: &Edits) -> Option<Arc<Store>> {
        let plan = self
            .plan
            .fallback
            .iter()
            .find_map(|fallback| match &fallback.kind {
                FallbackKind::Stale(plan) => Some(plan),
                FallbackKind::Respond(_) | FallbackKind::Route(_) => None,
            })?;
        let kept = self.survivor.filter(|route| {
            route.plan.upstream == self.plan.upstream
                && route.plan.preserve_host == self.plan.preserve_host
                && route.request_headers == *request_headers
        });
        let store = kept.and_then(|route| route.stale.as_ref());
        Some(match store.filter(|store| store.plan() == plan) {
            Some(store) => Arc::clone(store),
            None => Store::new(plan.clone()),
        })
    }

    fn probe(&self, now: Instant) -> Option<Arc<Probe>> {
        let plan = self.plan.probe.as_deref()?;
        Some(match self.survivor.and_then(|route| route.probe.as_ref()) {
            Some(probe) if probe.plan() == plan => Arc::clone(probe),
            Some(probe) => Arc::new(probe.respec(plan.clone(), now)),
            None => Arc::new(Probe::new(plan.clone(), now, fastrand::u64(..))),
        })
    }
}

fn edits(plan: &HeaderEdits) -> Edits {
    let value = |text: &HeaderText| match text {
        HeaderText::Literal(value) | HeaderText::File { value, .. } => value.clone(),
    };
    let set = plan.set.iter();
    Edits {
        remove: plan.remove.as_slice().into(),
        set: set
            .map(|(name, text)| (name.clone(), value(text)))
            .collect(),
    }
}

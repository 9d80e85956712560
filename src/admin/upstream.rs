//! A route's upstream as JSON: its connections and its endpoints.

use std::time::Duration;

use serde::Serialize;

use crate::resilience::Ejection;
use crate::snapshot::Route;
use crate::time::Moment;
use crate::upstream::{EndpointView, PoolStatistics};

/// The state of an upstream now.
#[derive(Debug)]
pub(super) struct Live {
    pool: PoolStatistics,
    endpoints: Vec<EndpointView>,
}

/// The same as JSON.
pub(super) struct Upstream {
    pub(super) pool: Pool,
    pub(super) endpoints: Vec<Endpoint>,
}

/// Connections, over all endpoints.
#[derive(Serialize)]
pub(super) struct Pool {
    size: usize,
    available: usize,
    using: usize,
    waiting: usize,
}

/// One address of the upstream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    address: String,
    state: &'static str,
    /// When the trial of an ejected endpoint is due; in the past if the trial is under way or no call has come since.
    until: Option<String>,
    in_flight: usize,
    /// The mean latency that the balancer uses.
    latency_ms: Option<f64>,
    consecutive_failures: u32,
    connections: usize,
}

impl Live {
    /// The state of this route's upstream.
    pub(super) fn of(route: &Route) -> Self {
        Self {
            pool: route.upstream.statistics(),
            endpoints: route.upstream.endpoints().view(),
        }
    }
}

impl Upstream {
    /// Writes an upstream in this state.
    pub(super) fn of(live: &Live, moment: &Moment) -> Self {
        let PoolStatistics {
            size,
            available,
            using,
            waiting,
        } = live.pool;
        let endpoints = live.endpoints.iter();
        Self {
            pool: Pool {
                size,
                available,
                using,
                waiting,
            },
            endpoints: endpoints
                .map(|endpoint| Endpoint::of(endpoint, moment))
                .collect(),
        }
    }
}

impl Endpoint {
    fn of(view: &EndpointView, moment: &Moment) -> Self {
        let until = match view.ejection {
            Ejection::Available => None,
            Ejection::Ejected { until } => Some(moment.stamp(until)),
        };
        // To the microsecond: more digits would be noise.
        let millis = |latency: Duration| latency.as_micros() as f64 / 1e3;
        Self {
            address: (*view.address).to_owned(),
            state: view.ejection.label(),
            until,
            in_flight: view.in_flight,
            latency_ms: view.latency.map(millis),
            consecutive_failures: view.consecutive_failures,
            connections: view.connections,
        }
    }
}

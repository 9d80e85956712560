//! `resolve: all`: each address of an upstream's name is an endpoint for as long as the name has it.
//!
//! Until the first answer, the name itself is the only endpoint.

use std::time::Duration;

use crate::config::plan::{EndpointPlan, Resolve};
use crate::net::Names;
use crate::proxy::Shared;
use crate::snapshot::Snapshot;
use crate::time::{Deadline, now, sleep_until};

/// How often the cached addresses are read. When to query is decided by the cache; this bounds how late a new answer is used.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the endpoints of all such upstreams in step with their names, forever.
pub(super) async fn resolve(shared: &Shared, names: &Names) {
    loop {
        let now = now();
        take_up(&shared.snapshot.load_full(), names, now);
        sleep_until(Deadline::after(now, LOOK)).await;
    }
}

fn take_up(snapshot: &Snapshot, names: &Names, now: std::time::Instant) {
    for route in &snapshot.routes {
        let upstream = &route.plan.upstream;
        match upstream.resolve {
            Resolve::One => continue,
            Resolve::All => {}
        }
        let Some(addresses) = names.known_addresses(&upstream.host) else {
            continue;
        };
        // Name servers rotate the order of their answers, which is no change.
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        let endpoints: Vec<EndpointPlan> = addresses
            .into_iter()
            .map(|address| EndpointPlan {
                host: address.to_string(),
                port: upstream.port,
            })
            .collect();
        route.upstream.endpoints().exchange(&endpoints, now);
    }
}

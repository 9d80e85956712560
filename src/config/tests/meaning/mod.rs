//! What good files mean.

mod file;
mod policies;
mod presets;
mod upstream;

use std::time::Duration;

use super::super::plan::RoutePlan;
use super::*;

fn plan_of(text: &str) -> RoutePlan {
    let route = good(text).plan.routes.remove("partner");
    std::sync::Arc::unwrap_or_clone(route.unwrap())
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

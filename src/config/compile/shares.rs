//! Each worker's share of an upstream's connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::places::Places;
use crate::config::excerpt::show;
use crate::config::plan::{HttpVersion, RoutePlan, UpstreamPlan};
use crate::config::problem::{Code, Problem, Problems};

/// Warns of HTTP/2 pools that leave a worker without a connection: it has to wait until another worker's connection has no
/// calls.
pub(super) fn check_shares(
    plans: &BTreeMap<String, Arc<RoutePlan>>,
    (workers, places): (usize, &Places),
    problems: &mut Problems,
) {
    for (name, plan) in plans {
        let UpstreamPlan {
            http, tls, pool, ..
        } = &*plan.upstream;
        let may_share = match http {
            HttpVersion::Http2 => true,
            HttpVersion::Auto => tls.is_some(),
            HttpVersion::Http1 => false,
        };
        if !may_share || pool.max >= workers {
            continue;
        }
        let message = format!(
            "`max` of the route `{}` is {}, but there are {workers} `workers`, each with HTTP/2 connections of its own",
            show(name),
            pool.max
        );
        let problem = Problem::warning(Code::Pool, places.of(name).pool, message);
        problems.push(problem.hint(format!(
            "write {workers} or more: else a stream that goes on keeps other workers' calls waiting"
        )));
    }
}

//! Whether calls reach each route: routes that others hide, hosts that mean two upstreams, and routes back into sidefuse.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::places::Places;
use crate::config::excerpt::show;
use crate::config::plan::{
    AdminAddress, FallbackKind, ListenPlan, MatchPlan, RoutePlan, UpstreamPlan,
};
use crate::config::problem::{Code, Problem, Problems};

type Routes = BTreeMap<String, Arc<RoutePlan>>;

/// Reports routes that no call reaches, or not by their name. Routes that others fall back to are reached in that way.
pub(super) fn check_reach(routes: &Routes, places: &Places, problems: &mut Problems) {
    let takes_all = |plan: &&MatchPlan| {
        plan.host.is_none() && plan.methods.is_empty() && plan.headers.is_empty()
    };
    let wide: HashMap<&str, &str> = routes
        .iter()
        .filter_map(|(name, route)| {
            let plan = route.matches.as_deref().filter(takes_all)?;
            Some((
                plan.path_prefix.as_deref().unwrap_or_default(),
                name.as_str(),
            ))
        })
        .collect();
    if wide.is_empty() {
        return;
    }
    let fallbacks: BTreeSet<&str> = routes
        .values()
        .flat_map(|route| fallback_routes(route))
        .collect();
    for name in routes.keys() {
        if places.of(name).has_match || fallbacks.contains(name.as_str()) {
            continue;
        }
        let path = format!("/{name}");
        let shown = show(name);
        let (problem, other, hint) = if let Some(other) = wide.get("") {
            let message = format!("no call reaches the route `{shown}`: `{other}` takes them all");
            let problem = Problem::error(Code::Unreachable, places.of(name).route, message);
            (
                problem,
                other,
                format!("give this one a match: `{{path_prefix: {path}}}`"),
            )
        } else if let Some(other) = wide.get(path.as_str()) {
            let message =
                format!("calls to `{path}` are not of the route `{shown}`, but of `{other}`");
            let problem = Problem::warning(Code::Unreachable, places.of(name).route, message);
            (
                problem,
                other,
                "rename one of them, or give this one a match".to_owned(),
            )
        } else {
            continue;
        };
        let line = places.of(other).matches.line;
        problems.push(problem.hint(format!("by its match in line {line}; {hint}")));
    }
}

fn fallback_routes(route: &RoutePlan) -> impl Iterator<Item = &str> {
    route.fallback.iter().filter_map(|plan| match &plan.kind {
        FallbackKind::Route(name) => Some(name.as_str()),
        FallbackKind::Respond(_) | FallbackKind::Stale(_) => None,
    })
}

/// A host by which a route is found.
struct Claim<'p> {
    route: &'p str,
    upstream: &'p UpstreamPlan,
    is_alias: bool,
}

/// Reports other hosts of an upstream that mean the upstream of another route as well.
pub(super) fn refuse_shared_hosts(routes: &Routes, places: &Places, problems: &mut Problems) {
    if routes
        .values()
        .all(|route| route.upstream.also_hosts.is_empty())
    {
        return;
    }
    let mut claims: HashMap<(&str, &str), Vec<Claim<'_>>> = HashMap::new();
    for (route, plan) in routes {
        let upstream = &plan.upstream;
        let own = std::iter::once((&upstream.host, false));
        for (host, is_alias) in own.chain(upstream.also_hosts.iter().map(|host| (host, true))) {
            let claim = Claim {
                route,
                upstream,
                is_alias,
            };
            let key = (host.as_str(), upstream.base_path.as_str());
            claims.entry(key).or_default().push(claim);
        }
    }
    for ((host, _), claims) in &claims {
        for claim in claims.iter().filter(|claim| claim.is_alias) {
            let rivals = claims.iter().filter(|other| claim.rivals(other));
            // If both are `also_hosts`, the later line is reported.
            let place = |claim: &Claim<'_>| {
                let place = places.of(claim.route);
                if claim.is_alias {
                    place.also_hosts
                } else {
                    place.upstream
                }
            };
            let line = |claim: &Claim<'_>| (place(claim).line, place(claim).column);
            let mut rivals = rivals.filter(|other| !other.is_alias || line(other) < line(claim));
            let Some(rival) = rivals.next() else {
                continue;
            };
            let (host, route) = (show(host), show(rival.route));
            let message = format!("`{host}` means the upstream of the route `{route}` already");
            let problem = Problem::error(Code::SharedHost, place(claim), message);
            problems.push(problem.hint(format!(
                "see line {}: a call for that host could not be told from the other's",
                place(rival).line
            )));
        }
    }
}

impl Claim<'_> {
    /// Whether a call could mean either. An upstream's own host with an unusual port is named with that port, an `also_hosts`
    /// never is.
    fn rivals(&self, other: &Self) -> bool {
        let is_usual = other.is_alias || [80, 443].contains(&other.upstream.port);
        self.route != other.route && (is_usual || self.upstream.port == other.upstream.port)
    }
}

/// Reports upstreams that are one of our own listeners: a call to the proxy's would loop forever, and one to the others would come from
/// this machine, which the operators' port trusts.
pub(super) fn refuse_own_address(
    routes: &Routes,
    (listen, places): (&ListenPlan, &Places),
    problems: &mut Problems,
) {
    let admin = listen.admin.iter().filter_map(|address| match address {
        AdminAddress::Tcp(address) => Some(*address),
        AdminAddress::Unix(_) => None,
    });
    let proxy = listen.proxy.iter().map(|address| (*address, "calls"));
    let own: Vec<(SocketAddr, &str)> = proxy
        .chain(admin.map(|address| (address, "operators")))
        .chain(listen.health.map(|address| (address, "probes")))
        .collect();
    for (name, route) in routes {
        let addresses = route.upstream.addresses();
        let found = addresses.iter().find_map(|it| {
            let own = own.iter().find(|own| is_one(&it.host, it.port, own.0));
            Some((it, own?.1))
        });
        if let Some((it, whom)) = found {
            let message = format!(
                "`{}` is where sidefuse itself listens for {whom}",
                it.label()
            );
            let problem = Problem::error(Code::OwnAddress, places.of(name).upstream, message);
            problems.push(problem.hint("name the service that the route is for"));
        }
    }
}

fn is_one(host: &str, port: u16, own: SocketAddr) -> bool {
    let ip = match host {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()),
    };
    let own_ip = own.ip().to_canonical();
    let is_everywhere = own_ip.is_unspecified();
    port == own.port()
        && ip.is_some_and(|ip| {
            ip == own_ip
                || ip.is_unspecified()
                || ip.is_loopback()
                    && (is_everywhere || host == "localhost" && own_ip.is_loopback())
        })
}

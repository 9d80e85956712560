//! Which route a request takes. A pure function of the plan and the request's head.
//!
//! What is written in a `match` is more specific than what follows from a route's name or upstream, and among matches the most specific
//! wins: an exact host before a suffix before none, then the longer path prefix, then methods, then headers. The order in the file
//! never matters. Every lookup is by hash, so its cost does not grow with the number of routes.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method};

use crate::config::plan::{HostPattern, MatchPlan, RoutePlan};

/// The part of a request that decides its route.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What the request says about where it goes.
    pub destination: Destination<'a>,
    /// The path, without the query.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// What a request says about where it goes.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// `host[:port]` from a Host field or `:authority`: it may be our own name.
    Host(&'a str),
    /// `host[:port]` from an absolute-form target: the caller takes us for its forward proxy.
    Absolute(&'a str),
}

/// The way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The route, by its place in the order of names.
    pub route: usize,
    /// So many bytes at the path's beginning are ours and are cut off.
    pub strip: usize,
    /// Whether the base path of the upstream's URL goes in front; not when the caller wrote the upstream's own URL.
    pub prepend_base: bool,
}

/// Why there is no way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Nothing matches.
    NoRoute,
    /// An absolute-form target names a host that no route has.
    HostNotAllowed,
    /// The host belongs to several routes, given by their places, and nothing tells them apart.
    Ambiguous(Vec<usize>),
}

/// The routes of a plan, indexed.
#[derive(Debug, Default)]
pub struct Router {
    names: HashMap<Box<str>, usize>,
    exact: HashMap<Box<str>, Matches>,
    suffixes: HashMap<Box<str>, Matches>,
    anywhere: Matches,
    upstreams: HashMap<Box<str>, Vec<Owner>>,
    own: Vec<SocketAddr>,
}

/// Explicit matches under one host, by the first segment of their prefix.
#[derive(Debug, Default)]
struct Matches {
    by_segment: HashMap<Box<str>, Vec<Match>>,
    any_path: Vec<Match>,
}

#[derive(Debug)]
struct Match {
    plan: MatchPlan,
    way: Way,
}

/// A route whose upstream has that host.
#[derive(Debug)]
struct Owner {
    route: usize,
    port: u16,
    base_path: Box<str>,
}

impl Router {
    /// Indexes the routes; `own` are the addresses that we listen on ourselves.
    #[must_use]
    pub fn new(routes: &BTreeMap<String, RoutePlan>, own: &[SocketAddr]) -> Self {
        let mut router = Self {
            own: own.to_vec(),
            ..Self::default()
        };
        for (index, (name, route)) in routes.iter().enumerate() {
            router.names.insert(name.as_str().into(), index);
            let upstream = &route.upstream;
            for host in std::iter::once(&upstream.host).chain(&upstream.also_hosts) {
                router
                    .upstreams
                    .entry(host.as_str().into())
                    .or_default()
                    .push(Owner {
                        route: index,
                        port: upstream.port,
                        base_path: upstream.base_path.as_str().into(),
                    });
            }
            if let Some(plan) = &route.matches {
                router.add_match(index, plan, &upstream.host);
            }
        }
        router.sort();
        router
    }

    /// Finds the way of a request.
    ///
    /// # Errors
    /// [`Miss`] says why there is none.
    pub fn find(&self, call: &Call<'_>) -> Result<Way, Miss> {
        let (authority, is_absolute) = match call.destination {
            Destination::Host(authority) => (authority, false),
            Destination::Absolute(authority) => (authority, true),
        };
        let (host, port) = split_authority(authority);
        let host = lower(host);
        if let Some(way) = self.find_match(&host, call) {
            return Ok(way);
        }
        let by_host = self.find_upstream(&host, port, call.path);
        if let Ok(Some(way)) = by_host {
            return Ok(way);
        }
        if is_absolute && !self.is_own(&host, port) {
            return Err(by_host.err().unwrap_or(Miss::HostNotAllowed));
        }
        self.find_name(call.path)
            .ok_or_else(|| by_host.err().unwrap_or(Miss::NoRoute))
    }

    fn add_match(&mut self, route: usize, plan: &MatchPlan, upstream_host: &str) {
        let prefix = plan.path_prefix.as_deref().unwrap_or_default();
        let (matches, is_own_url) = match &plan.host {
            Some(HostPattern::Exact(host)) => (
                self.exact.entry(host.as_str().into()).or_default(),
                host == upstream_host,
            ),
            Some(HostPattern::Suffix(suffix)) => (
                self.suffixes.entry(suffix.as_str().into()).or_default(),
                false,
            ),
            None => (&mut self.anywhere, false),
        };
        // With a host the caller writes a whole URL of its own; a prefix alone is a name for the route, as `/<route>` is.
        let strip = if plan.host.is_some() { 0 } else { prefix.len() };
        let way = Way {
            route,
            strip,
            prepend_base: !is_own_url,
        };
        let entry = Match {
            plan: plan.clone(),
            way,
        };
        match first_segment(prefix) {
            "" => matches.any_path.push(entry),
            segment => matches
                .by_segment
                .entry(segment.into())
                .or_default()
                .push(entry),
        }
    }

    fn sort(&mut self) {
        let every = self
            .exact
            .values_mut()
            .chain(self.suffixes.values_mut())
            .chain([&mut self.anywhere]);
        for matches in every {
            for list in matches
                .by_segment
                .values_mut()
                .chain([&mut matches.any_path])
            {
                list.sort_by_key(|entry| Reverse(entry.rank()));
            }
        }
    }

    fn find_match(&self, host: &str, call: &Call<'_>) -> Option<Way> {
        if !self.exact.is_empty()
            && let Some(way) = self.exact.get(host).and_then(|matches| matches.find(call))
        {
            return Some(way);
        }
        if !self.suffixes.is_empty() {
            for (dot, _) in host.match_indices('.') {
                if let Some(way) = self
                    .suffixes
                    .get(&host[dot..])
                    .and_then(|matches| matches.find(call))
                {
                    return Some(way);
                }
            }
        }
        self.anywhere.find(call)
    }

    /// The route whose upstream the host is: where several have it, the one with the longest base path above the request's.
    fn find_upstream(
        &self,
        host: &str,
        port: Option<u16>,
        path: &str,
    ) -> Result<Option<Way>, Miss> {
        let Some(owners) = self.upstreams.get(host) else {
            return Ok(None);
        };
        let mut best: Vec<&Owner> = Vec::new();
        for owner in owners {
            if port.is_some_and(|port| port != owner.port) || !is_under(path, &owner.base_path) {
                continue;
            }
            match best.first().map(|first| first.base_path.len()) {
                Some(length) if length > owner.base_path.len() => continue,
                Some(length) if length < owner.base_path.len() => best.clear(),
                Some(_) | None => {}
            }
            best.push(owner);
        }
        match best.as_slice() {
            [] => Ok(None),
            [owner] => Ok(Some(Way {
                route: owner.route,
                strip: 0,
                prepend_base: false,
            })),
            several => Err(Miss::Ambiguous(
                several.iter().map(|owner| owner.route).collect(),
            )),
        }
    }

    fn find_name(&self, path: &str) -> Option<Way> {
        let name = first_segment(path);
        let route = *self.names.get(name)?;
        Some(Way {
            route,
            strip: 1 + name.len(),
            prepend_base: true,
        })
    }

    fn is_own(&self, host: &str, port: Option<u16>) -> bool {
        let port = port.unwrap_or(80);
        let ip: Option<IpAddr> = host.parse().ok();
        let is_loopback = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        self.own.iter().any(|own| {
            own.port() == port
                && (ip == Some(own.ip())
                    || is_loopback && (own.ip().is_loopback() || own.ip().is_unspecified()))
        })
    }
}

impl Matches {
    fn find(&self, call: &Call<'_>) -> Option<Way> {
        if !self.by_segment.is_empty()
            && let Some(list) = self.by_segment.get(first_segment(call.path))
            && let Some(entry) = list.iter().find(|entry| entry.takes(call))
        {
            return Some(entry.way);
        }
        self.any_path
            .iter()
            .find(|entry| entry.takes(call))
            .map(|entry| entry.way)
    }
}

impl Match {
    fn rank(&self) -> (usize, bool, usize) {
        (
            self.plan.path_prefix.as_ref().map_or(0, String::len),
            !self.plan.methods.is_empty(),
            self.plan.headers.len(),
        )
    }

    fn takes(&self, call: &Call<'_>) -> bool {
        self.plan
            .path_prefix
            .as_deref()
            .is_none_or(|prefix| is_under(call.path, prefix))
            && (self.plan.methods.is_empty() || self.plan.methods.contains(call.method))
            && self.plan.headers.iter().all(|(name, wanted)| match wanted {
                None => call.headers.contains_key(name),
                Some(value) => call
                    .headers
                    .get_all(name)
                    .iter()
                    .any(|given| given == value),
            })
    }
}

/// Splits `host[:port]`; brackets around an IPv6 address go. A port that is none is no port.
#[must_use]
pub fn split_authority(authority: &str) -> (&str, Option<u16>) {
    if let Some(rest) = authority.strip_prefix('[')
        && let Some((host, tail)) = rest.split_once(']')
    {
        return (
            host,
            tail.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        Some(_) | None => (authority, None),
    }
}

fn lower(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

fn first_segment(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(segment, _)| segment)
}

/// Whether `path` is `prefix` or below it, in whole segments.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

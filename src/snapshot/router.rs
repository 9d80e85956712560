//! Which route a request takes. A pure function of the plan and the request's head.
//!
//! An explicit `match` goes before what follows from a route's name or upstream. Among matches the most specific wins: an exact
//! host before a suffix before none, then the longer path prefix, then methods, then headers, then headers with a value. The
//! order in the file never matters.
//!
//! Names and hosts are looked up by hash, the routes of one upstream's host by binary search, so their number costs a call next
//! to nothing. Only matches of one host and one first segment are tried one by one.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, Method};

use super::owners::Owners;
use crate::config::plan::{HostPattern, MatchPlan, RoutePlan};

/// The part of a request that decides its route.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The destination that the request names.
    pub destination: Destination<'a>,
    /// The path, without the query.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// The destination that a request names.
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
    /// How many bytes at the path's beginning are ours and are cut off.
    pub strip: usize,
    /// Whether the base path of the upstream's URL goes in front; not when the caller wrote the upstream's own URL.
    pub prepend_base: bool,
}

/// Why there is no way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Nothing matches.
    NoRoute,
    /// An absolute-form target, or a tunnel's, names a host that no route has.
    HostNotAllowed,
    /// The host belongs to several routes that nothing tells apart: the places of the first few, and how many there are.
    Ambiguous(Vec<usize>, usize),
}

/// The most routes of an ambiguous host that are named.
const NAMED: usize = 10;

/// An index by names of the configuration. No caller can choose its keys to collide, so a fast hash suffices.
type Index<T> = HashMap<Box<str>, T, foldhash::fast::RandomState>;

/// The routes of a plan, indexed.
#[derive(Debug, Default)]
pub struct Router {
    names: Index<usize>,
    exact: Index<Matches>,
    suffixes: Index<Matches>,
    anywhere: Matches,
    upstreams: Index<Owners>,
    own: Vec<SocketAddr>,
}

/// Explicit matches under one host, by the first segment of their prefix.
#[derive(Debug, Default)]
struct Matches {
    by_segment: Index<Vec<Match>>,
    any_path: Vec<Match>,
}

#[derive(Debug)]
struct Match {
    plan: MatchPlan,
    way: Way,
}

impl Miss {
    fn ambiguous(routes: &[usize]) -> Self {
        let first = routes.iter().take(NAMED).copied().collect();
        Self::Ambiguous(first, routes.len())
    }
}

impl Router {
    /// Indexes the routes; `own` are the addresses that we listen on ourselves.
    #[must_use]
    pub fn new(routes: &BTreeMap<String, Arc<RoutePlan>>, own: &[SocketAddr]) -> Self {
        let mut router = Self {
            own: own.to_vec(),
            ..Self::default()
        };
        for (index, (name, route)) in routes.iter().enumerate() {
            router.names.insert(name.as_str().into(), index);
            let upstream = &route.upstream;
            for host in std::iter::once(&upstream.host).chain(&upstream.also_hosts) {
                let owners = router.upstreams.entry(host.as_str().into()).or_default();
                let is_alias = *host != upstream.host;
                owners.add(index, upstream.port, &upstream.base_path, is_alias);
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
        if let Some(way) = self.find_match(&host, call, |_| true) {
            return Ok(way);
        }
        // If several routes have the host: the one with the longest base path above the request's.
        let owners = self.upstreams.get(&*host);
        let owners = owners.map_or(&[][..], |owners| owners.find(port, call.path));
        if let [route] = *owners {
            return Ok(Way {
                route,
                strip: 0,
                prepend_base: false,
            });
        }
        let is_for_us = !is_absolute || self.is_own(&host, port);
        if is_for_us && let Some(way) = self.find_name(call.path) {
            return Ok(way);
        }
        Err(match owners {
            [] if is_for_us => Miss::NoRoute,
            [] => Miss::HostNotAllowed,
            several => Miss::ambiguous(several),
        })
    }

    /// Finds the route of a tunnel to that host and port: one whose upstream has both. What is in a tunnel cannot be seen, so a `match`
    /// with a path or with methods takes none, unless the method is CONNECT; `headers` are those of the request for the tunnel.
    ///
    /// Of several such routes the most specific `match` decides, then that the upstream has no base path. A tunnel to ourselves, which
    /// could go round for ever, is not allowed.
    ///
    /// # Errors
    /// [`Miss`] says why there is none.
    pub fn find_tunnel(&self, host: &str, port: u16, headers: &HeaderMap) -> Result<usize, Miss> {
        let host = lower(host);
        let owners = self.upstreams.get(&*host);
        let owners = owners.filter(|_| !self.is_own(&host, Some(port)));
        let (all, without_base) = owners.map_or((Vec::new(), 0), |owners| owners.at_port(port));
        let call = Call {
            destination: Destination::Absolute(&host),
            path: "/",
            method: &Method::CONNECT,
            headers,
        };
        if let Some(way) = self.find_match(&host, &call, |route| all.contains(&route)) {
            return Ok(way.route);
        }
        match all.get(..without_base) {
            Some([route]) => Ok(*route),
            Some(several @ [_, _, ..]) => Err(Miss::ambiguous(several)),
            Some([]) | None => match *all {
                [] => Err(Miss::HostNotAllowed),
                [route] => Ok(route),
                ref several => Err(Miss::ambiguous(several)),
            },
        }
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
        // With a host, the prefix is part of the caller's URL and stays; a prefix alone names the route, as `/<route>` does,
        // and is cut off.
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
        self.upstreams.values_mut().for_each(Owners::sort);
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
                list.sort_by_key(|entry| Reverse(entry.plan.rank()));
            }
        }
    }

    /// The way of the most specific match that takes the call, of those whose route `may` get it.
    fn find_match(
        &self,
        host: &str,
        call: &Call<'_>,
        may: impl Fn(usize) -> bool + Copy,
    ) -> Option<Way> {
        if !self.exact.is_empty()
            && let Some(way) = self
                .exact
                .get(host)
                .and_then(|matches| matches.find(call, may))
        {
            return Some(way);
        }
        if !self.suffixes.is_empty() {
            for (dot, _) in host.match_indices('.') {
                if let Some(way) = self
                    .suffixes
                    .get(&host[dot..])
                    .and_then(|matches| matches.find(call, may))
                {
                    return Some(way);
                }
            }
        }
        self.anywhere.find(call, may)
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
    fn find(&self, call: &Call<'_>, may: impl Fn(usize) -> bool) -> Option<Way> {
        let takes = |entry: &&Match| entry.takes(call) && may(entry.way.route);
        if !self.by_segment.is_empty()
            && let Some(list) = self.by_segment.get(first_segment(call.path))
            && let Some(entry) = list.iter().find(takes)
        {
            return Some(entry.way);
        }
        self.any_path.iter().find(takes).map(|entry| entry.way)
    }
}

impl Match {
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

/// Splits `host[:port]` and removes the brackets of an IPv6 address. An invalid port counts as none.
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

/// A host as it is compared: in lower case and without its final dot.
#[must_use]
pub fn lower(host: &str) -> Cow<'_, str> {
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
pub fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    /// A router of routes that are each written in flow style, `own` being 127.0.0.1:7900 and [::1]:7900.
    fn router(routes: &[&str]) -> Router {
        let routes: String = routes.iter().map(|route| format!("  {route}\n")).collect();
        let text = format!("version: 1\nroutes:\n{routes}");
        let loaded = config::load(&text, "config.yaml", &|_| None);
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        let own = ["127.0.0.1:7900", "[::1]:7900"].map(|own| own.parse().unwrap());
        Router::new(&loaded.plan.routes, &own)
    }

    /// The outcome in short: the route's place, with what is cut off and a `+` where the base path is put in front.
    fn find(router: &Router, destination: Destination<'_>, method: &str, path: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-tenant", "acme".parse().unwrap());
        let call = Call {
            destination,
            path,
            method: &Method::from_bytes(method.as_bytes()).unwrap(),
            headers: &headers,
        };
        match router.find(&call) {
            Ok(Way {
                route,
                strip,
                prepend_base,
            }) => {
                let plus = if prepend_base { "+" } else { "" };
                format!("{route} -{strip}{plus}")
            }
            Err(Miss::NoRoute) => "no route".to_owned(),
            Err(Miss::HostNotAllowed) => "not allowed".to_owned(),
            Err(Miss::Ambiguous(first, count)) => format!("ambiguous {first:?} of {count}"),
        }
    }

    fn by_host(router: &Router, host: &str, path: &str) -> String {
        find(router, Destination::Host(host), "GET", path)
    }

    fn absolute(router: &Router, authority: &str, path: &str) -> String {
        find(router, Destination::Absolute(authority), "GET", path)
    }

    #[test]
    fn a_name_routes_by_the_whole_first_segment_of_the_path() {
        let router = router(&[
            "api: {upstream: http://a.example}",
            "api-2: {upstream: http://b.example}",
        ]);
        for (path, way) in [
            ("/api", "0 -4+"),
            ("/api/", "0 -4+"),
            ("/api/x/y", "0 -4+"),
            ("/api//x", "0 -4+"),
            ("/api-2/x", "1 -6+"),
            ("/api-3/x", "no route"),
            ("/API/x", "no route"),
            ("/%61pi/x", "no route"),
            ("//api/x", "no route"),
            ("/", "no route"),
            ("", "no route"),
            ("/x/../api/x", "no route"),
        ] {
            assert_eq!(by_host(&router, "127.0.0.1:7900", path), way, "{path}");
        }
    }

    #[test]
    fn a_host_routes_whatever_its_case_its_final_dot_and_its_right_port() {
        let router = router(&[
            "a: {upstream: {url: \"https://graph.example/base\", also_hosts: [alias.example]}}",
            "b: {upstream: \"http://b.example:8080\"}",
        ]);
        for (host, path, way) in [
            ("graph.example", "/base/x", "0 -0"),
            ("GRAPH.example", "/base", "0 -0"),
            ("graph.example.", "/base/x", "0 -0"),
            ("graph.example:443", "/base/x", "0 -0"),
            ("graph.example:444", "/base/x", "no route"),
            ("graph.example", "/basement", "no route"),
            ("alias.example", "/base/x", "0 -0"),
            ("b.example:8080", "/x", "1 -0"),
            ("b.example:8081", "/b/x", "1 -2+"),
            ("b.example", "/x", "no route"),
            ("elsewhere.example", "/a/x", "0 -2+"),
        ] {
            assert_eq!(by_host(&router, host, path), way, "{host}{path}");
        }
    }

    #[test]
    fn an_absolute_target_of_a_host_that_no_route_has_is_not_allowed_but_our_own_is_routed_by_path()
    {
        let router = router(&["a: {upstream: http://a.example}"]);
        assert_eq!(absolute(&router, "a.example", "/x"), "0 -0");
        assert_eq!(absolute(&router, "a.example:80", "/x"), "0 -0");
        assert_eq!(absolute(&router, "a.example:81", "/a/x"), "not allowed");
        assert_eq!(absolute(&router, "evil.example", "/a/x"), "not allowed");
        assert_eq!(absolute(&router, "user@a.example", "/x"), "not allowed");
        for own in [
            "127.0.0.1:7900",
            "localhost:7900",
            "[::1]:7900",
            "127.0.0.2:7900",
        ] {
            assert_eq!(absolute(&router, own, "/a/x"), "0 -2+", "{own}");
            assert_eq!(absolute(&router, own, "/x"), "no route", "{own}");
        }
        assert_eq!(absolute(&router, "127.0.0.1:7901", "/a/x"), "not allowed");
        assert_eq!(absolute(&router, "[::2]:7900", "/a/x"), "not allowed");
    }

    #[test]
    fn addresses_of_ipv6_are_hosts_like_others() {
        let router = router(&["a: {upstream: \"http://[2001:db8::1]:8080\"}"]);
        assert_eq!(absolute(&router, "[2001:db8::1]:8080", "/x"), "0 -0");
        assert_eq!(by_host(&router, "[2001:DB8::1]:8080", "/x"), "0 -0");
        assert_eq!(absolute(&router, "[2001:db8::1]:8081", "/x"), "not allowed");
        assert_eq!(absolute(&router, "[2001:db8::2]:8080", "/x"), "not allowed");
    }

    #[test]
    fn a_host_of_several_routes_is_told_apart_by_port_then_base_path_else_it_is_ambiguous() {
        let router = router(&[
            "a: {upstream: \"http://one.example/v1\"}",
            "b: {upstream: \"http://one.example/v1/deep\"}",
            "c: {upstream: \"http://two.example\"}",
            "d: {upstream: \"http://two.example\"}",
            "e: {upstream: \"http://two.example:81\"}",
        ]);
        assert_eq!(absolute(&router, "one.example", "/v1/x"), "0 -0");
        assert_eq!(absolute(&router, "one.example", "/v1/deep/x"), "1 -0");
        assert_eq!(absolute(&router, "one.example", "/v2/x"), "not allowed");
        assert_eq!(
            absolute(&router, "two.example:80", "/x"),
            "ambiguous [2, 3] of 2"
        );
        assert_eq!(absolute(&router, "two.example:81", "/x"), "4 -0");
        assert_eq!(
            by_host(&router, "two.example:80", "/x"),
            "ambiguous [2, 3] of 2"
        );
        assert_eq!(
            by_host(&router, "two.example:80", "/d/x"),
            "3 -2+",
            "a name still tells them apart"
        );
    }

    #[test]
    fn explicit_is_more_specific_than_implicit_and_host_before_path_before_method_before_header() {
        let router = router(&[
            "a: {upstream: http://u.example}",
            "b: {upstream: http://u2.example, match: {path_prefix: /a}}",
            "c: {upstream: http://u3.example, match: {host: h.example}}",
            "d: {upstream: http://u4.example, match: {host: \"*.example\", path_prefix: /a}}",
            "e: {upstream: http://u5.example, match: {path_prefix: /a/b}}",
            "f: {upstream: http://u6.example, match: {path_prefix: /a, methods: [POST]}}",
            "g: {upstream: http://u7.example, match: {path_prefix: /a/b, headers: {X-Tenant: acme}}}",
            "h: {upstream: http://u8.example, match: {path_prefix: /a/b, headers: {X-Tenant: other}}}",
            "i: {upstream: http://u9.example, match: {host: \"*.deep.example\"}}",
            "j: {upstream: http://u10.example, match: {path_prefix: /t, headers: {X-Tenant:}}}",
        ]);
        for (host, method, path, way) in [
            ("x", "GET", "/a", "1 -2+"),
            ("x", "GET", "/a/x", "1 -2+"),
            ("x", "POST", "/a/x", "5 -2+"),
            ("x", "GET", "/a/b", "6 -4+"),
            ("x", "POST", "/a/b/c", "6 -4+"),
            ("x", "GET", "/a/bc", "1 -2+"),
            ("x", "GET", "/ab", "no route"),
            ("h.example", "GET", "/a/b", "2 -0+"),
            ("h.example:99", "GET", "/", "2 -0+"),
            ("other.example", "GET", "/a/b", "3 -0+"),
            ("other.example", "GET", "/x", "no route"),
            ("very.deep.example", "GET", "/a", "8 -0+"),
            ("deep.example", "GET", "/a", "3 -0+"),
            ("example", "GET", "/a", "1 -2+"),
            ("x", "GET", "/t/1", "9 -2+"),
            ("u.example", "GET", "/a/x", "3 -0+"),
            ("u.example", "GET", "/x", "0 -0"),
        ] {
            assert_eq!(
                find(&router, Destination::Host(host), method, path),
                way,
                "{method} {host}{path}"
            );
        }
    }

    #[test]
    fn an_authority_is_split_at_its_port_only() {
        for (authority, host, port) in [
            ("a.example:80", "a.example", Some(80)),
            ("a.example", "a.example", None),
            ("[::1]:80", "::1", Some(80)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("a:", "a", None),
            ("a:99999", "a", None),
            ("", "", None),
            ("[", "[", None),
            (":80", "", Some(80)),
        ] {
            assert_eq!(split_authority(authority), (host, port), "{authority}");
        }
    }

    #[test]
    fn ten_thousand_routes_are_each_found_in_every_way() {
        const COUNT: usize = 10_000;
        let plan = |text: &str| config::load(text, "config.yaml", &|_| None).unwrap().plan;
        let one =
            plan("version: 1\nroutes: {r: {upstream: http://h.example, match: {path_prefix: /p}}}");
        let template = &one.routes["r"];
        let routes: BTreeMap<String, Arc<RoutePlan>> = (0..COUNT)
            .map(|index| {
                let mut route = RoutePlan::clone(template);
                Arc::make_mut(&mut route.upstream).host = format!("h{index}.example");
                if let Some(matches) = &mut route.matches {
                    matches.path_prefix = Some(format!("/p{index}"));
                }
                (format!("r{index:05}"), Arc::new(route))
            })
            .collect();
        let router = Router::new(&routes, &[]);
        for index in 0..COUNT {
            let name = format!("/r{index:05}/x");
            assert_eq!(by_host(&router, "", &name), format!("{index} -7+"));
            let host = format!("h{index}.example");
            assert_eq!(absolute(&router, &host, "/x"), format!("{index} -0"));
            let prefix = format!("/p{index}");
            assert_eq!(
                by_host(&router, "", &prefix),
                format!("{index} -{}+", prefix.len())
            );
        }
    }

    #[test]
    fn ten_thousand_routes_of_one_host_are_each_found_and_few_are_named_where_they_cannot_be() {
        const COUNT: usize = 10_000;
        let plan = |text: &str| config::load(text, "config.yaml", &|_| None).unwrap().plan;
        let one = plan("version: 1\nroutes: {r: {upstream: http://h.example}}");
        let routes = |base_path: &dyn Fn(usize) -> String| -> BTreeMap<String, Arc<RoutePlan>> {
            let route = |index| {
                let mut route = RoutePlan::clone(&one.routes["r"]);
                Arc::make_mut(&mut route.upstream).base_path = base_path(index);
                (format!("r{index:05}"), Arc::new(route))
            };
            (0..COUNT).map(route).collect()
        };
        let apart = Router::new(&routes(&|index| format!("/b{index}")), &[]);
        for index in 0..COUNT {
            let path = format!("/b{index}/x");
            assert_eq!(by_host(&apart, "h.example", &path), format!("{index} -0"));
        }
        let alike = Router::new(&routes(&|_| String::new()), &[]);
        assert_eq!(
            by_host(&alike, "h.example", "/x"),
            "ambiguous [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] of 10000"
        );
        assert_eq!(by_host(&alike, "h.example", "/r00007/x"), "7 -7+");
    }

    fn tunnel(router: &Router, authority: &str) -> String {
        let (host, port) = split_authority(authority);
        let mut headers = HeaderMap::new();
        headers.insert("x-tenant", "acme".parse().unwrap());
        match router.find_tunnel(host, port.unwrap(), &headers) {
            Ok(route) => route.to_string(),
            Err(Miss::NoRoute) => "no route".to_owned(),
            Err(Miss::HostNotAllowed) => "not allowed".to_owned(),
            Err(Miss::Ambiguous(first, count)) => format!("ambiguous {first:?} of {count}"),
        }
    }

    #[test]
    fn a_tunnel_goes_to_an_upstreams_host_and_port_and_nowhere_else() {
        let router = router(&[
            "a: {upstream: {url: \"https://graph.example/base\", also_hosts: [alias.example]}}",
            "b: {upstream: \"http://[2001:db8::1]:8080\"}",
            "c: {upstream: http://plain.example, match: {host: \"*.wild.example\"}}",
        ]);
        for (target, route) in [
            ("graph.example:443", "0"),
            ("Graph.Example.:443", "0"),
            ("alias.example:443", "0"),
            ("[2001:DB8::1]:8080", "1"),
            ("plain.example:80", "2"),
            ("graph.example:80", "not allowed"),
            ("alias.example:80", "not allowed"),
            ("alias.example:8443", "not allowed"),
            ("plain.example:443", "not allowed"),
            ("some.wild.example:80", "not allowed"),
            ("a:443", "not allowed"),
            ("evil.example:443", "not allowed"),
            ("127.0.0.1:7900", "not allowed"),
        ] {
            assert_eq!(tunnel(&router, target), route, "{target}");
        }
    }

    #[test]
    fn of_several_routes_a_tunnel_takes_the_one_that_its_match_or_a_missing_base_path_tells_apart()
    {
        let of = |routes: &[&str]| tunnel(&router(routes), "h.example:443");
        let with = |more: &str| format!("{{upstream: \"https://h.example\"{more}}}");
        let [
            plain,
            by_host,
            by_path,
            by_method,
            by_connect,
            by_tenant,
            by_other,
        ] = [
            "",
            ", match: {host: h.example}",
            ", match: {host: h.example, path_prefix: /p}",
            ", match: {methods: [POST]}",
            ", match: {methods: [CONNECT]}",
            ", match: {headers: {x-tenant: acme}}",
            ", match: {headers: {x-tenant: other}}",
        ]
        .map(with);
        for (a, b, route) in [
            (&plain, &plain, "ambiguous [0, 1] of 2"),
            (&plain, &by_host, "1"),
            (&by_path, &by_host, "1"),
            (&by_path, &by_method, "ambiguous [0, 1] of 2"),
            (&by_method, &by_connect, "1"),
            (&by_other, &by_tenant, "1"),
            (&by_tenant, &by_host, "1"),
        ] {
            let (a, b) = (format!("a: {a}"), format!("b: {b}"));
            assert_eq!(of(&[&a, &b]), route, "{a} {b}");
        }
        let deep = "a: {upstream: \"https://h.example/deep\"}";
        let deeper = "c: {upstream: \"https://h.example/deep/er\"}";
        assert_eq!(of(&[deep]), "0");
        assert_eq!(of(&[deep, "b: {upstream: \"https://h.example\"}"]), "1");
        assert_eq!(of(&[deep, deeper]), "ambiguous [0, 1] of 2");
        let mirror = "a: {upstream: \"https://mirror.example\", match: {host: h.example}}";
        assert_eq!(of(&[mirror, deep.replace("a:", "b:").as_str()]), "1");
        assert_eq!(of(&[mirror]), "not allowed");
    }

    /// How specific a match is that takes the call, by the words of the specification and without an index.
    fn specificity(plan: &MatchPlan, host: &str, call: &Call<'_>) -> Option<[usize; 6]> {
        let (kind, labels) = match &plan.host {
            None => (0, 0),
            Some(HostPattern::Suffix(suffix)) if host.ends_with(suffix.as_str()) => {
                (1, suffix.len())
            }
            Some(HostPattern::Exact(exact)) if exact == host => (2, 0),
            Some(_) => return None,
        };
        let prefix = plan.path_prefix.as_deref().unwrap_or_default();
        let below = call.path.strip_prefix(prefix)?;
        let takes = (below.is_empty() || below.starts_with('/'))
            && (plan.methods.is_empty() || plan.methods.contains(call.method))
            && plan.headers.iter().all(|(name, value)| {
                call.headers
                    .get(name)
                    .is_some_and(|given| value.as_ref().is_none_or(|value| value == given))
            });
        let with_value = plan.headers.iter().filter(|(_, value)| value.is_some());
        takes.then_some([
            kind,
            labels,
            prefix.len(),
            usize::from(!plan.methods.is_empty()),
            plan.headers.len(),
            with_value.count(),
        ])
    }

    fn some_match() -> impl Strategy<Value = String> {
        let host =
            prop::sample::select(vec!["", "host: a.b.c", "host: \"*.b.c\"", "host: \"*.c\""]);
        let path = prop::sample::select(vec![
            "",
            "path_prefix: /p",
            "path_prefix: /p/q",
            "path_prefix: /p/q/r",
            "path_prefix: /",
        ]);
        let methods = prop::sample::select(vec!["", "methods: [GET]", "methods: [GET, POST]"]);
        let headers = prop::sample::select(vec![
            "",
            "headers: {x-tenant: acme}",
            "headers: {x-tenant:}",
            "headers: {x-other: y}",
        ]);
        (host, path, methods, headers).prop_map(|(host, path, methods, headers)| {
            let parts: Vec<&str> = [host, path, methods, headers]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            format!("{{{}}}", parts.join(", "))
        })
    }

    proptest! {
        #[test]
        fn the_most_specific_match_wins_whatever_the_order_of_the_file(
            matches in prop::collection::btree_set(some_match(), 1..6),
            seed in any::<prop::sample::Index>(),
            host in prop::sample::select(vec!["a.b.c", "x.b.c", "x.c", "c", "other"]),
            path in prop::sample::select(vec!["/", "/p", "/p/q", "/p/q/r/s", "/pq"]),
            method in prop::sample::select(vec!["GET", "POST", "PUT"]),
        ) {
            let matches: Vec<String> = matches.into_iter().filter(|text| text != "{}").collect();
            let routes: Vec<String> = matches
                .iter()
                .enumerate()
                .map(|(index, text)| format!("r{index}: {{upstream: \"http://u{index}.example\", match: {text}}}"))
                .collect();
            prop_assume!(!routes.is_empty());
            let mut turned: Vec<&str> = routes.iter().map(String::as_str).collect();
            let load = |routes: &[&str]| {
                let text = format!("version: 1\nroutes:\n{}", routes.iter().map(|route| format!("  {route}\n")).collect::<String>());
                config::load(&text, "config.yaml", &|_| None)
            };
            let loaded = load(&turned);
            prop_assume!(loaded.is_ok());
            let plans = loaded.unwrap().plan.routes;
            let in_order = router(&turned);
            turned.rotate_left(seed.index(routes.len()));
            let in_another = router(&turned);

            let found = find(&in_order, Destination::Host(host), method, path);
            prop_assert_eq!(&found, &find(&in_another, Destination::Host(host), method, path));

            let mut headers = HeaderMap::new();
            headers.insert("x-tenant", "acme".parse().unwrap());
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let call = Call { destination: Destination::Host(host), path, method: &method, headers: &headers };
            let rank = |plan: &Arc<RoutePlan>| plan.matches.as_ref().and_then(|plan| specificity(plan, host, &call));
            let best = plans.values().filter_map(&rank).max();
            match best {
                None => prop_assert_eq!(found, "no route"),
                Some(best) => {
                    let index: usize = found.split(' ').next().unwrap().parse().unwrap();
                    let chosen = plans.values().nth(index).and_then(rank);
                    prop_assert_eq!(chosen, Some(best), "{}", found);
                }
            }
        }
    }
}

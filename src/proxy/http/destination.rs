//! Where a request goes, or why it goes nowhere.

use std::sync::Arc;

use http::header::HOST;
use http::uri::Authority;
use http::{Method, Uri, Version};

use super::call::Call;
use super::carry::Context;
use super::reply::Refusal;
use crate::failure::Failure;
use crate::snapshot::router::split_authority;
use crate::snapshot::{self, Destination, Miss, Route, Way};
use crate::telemetry::Exchange;

impl Context<'_> {
    /// Finds the way of a call that was just read.
    ///
    /// # Errors
    /// What to answer when there is none.
    pub(super) fn find_way(&self, call: &Call) -> Result<Way, Refusal> {
        let (uri, headers) = (&call.uri, call.headers());
        if call.method == Method::TRACE {
            return Err(Refusal::new(
                Failure::MethodNotAllowed,
                "TRACE is not relayed: it shows what proxies add",
            ));
        }
        let authority = uri.authority().map(Authority::as_str);
        let destination = match authority {
            Some(authority) if call.version != Version::HTTP_2 => Destination::Absolute(authority),
            Some(authority) => Destination::Host(authority),
            None => Destination::Host(
                headers
                    .get(HOST)
                    .and_then(|host| host.to_str().ok())
                    .unwrap_or_default(),
            ),
        };
        let asked = snapshot::Call {
            destination,
            path: uri.path(),
            method: &call.method,
            headers,
        };
        let found = self.current.snapshot.router.find(&asked);
        found.map_err(|miss| {
            let hint = "call one by its path, or give one a `match`";
            self.refuse(miss, NOBODYS, hint)
        })
    }

    /// Finds the way of a call for a tunnel, and records where that is to lead.
    ///
    /// # Errors
    /// What to answer when its target is none of a tunnel, or there is no route.
    pub(super) fn find_tunnel(&self, exchange: &mut Exchange, call: &Call) -> Result<Way, Refusal> {
        let malformed = |what: &str| Refusal::new(Failure::BadRequest, what);
        let target = TunnelTarget::of(&call.uri).ok_or_else(|| malformed(NO_TARGET))?;
        let TunnelTarget {
            authority,
            host,
            port,
        } = target;
        exchange.target().tunnels(authority.clone());
        if !call.upload.is_empty() {
            return Err(malformed(BODY));
        }
        let router = &self.current.snapshot.router;
        let found = router.find_tunnel(host, port, call.headers());
        let route = found.map_err(|miss| {
            let hint = "give one alone a `match` with `host` and without `path_prefix` and `methods`, or call one by its path";
            self.refuse(miss, NOBODYS_TUNNEL, hint)
        })?;
        Ok(Way {
            route,
            strip: 0,
            prepend_base: false,
        })
    }

    /// Says why there is no way: `nobodys` if no route has the host, `hint` if several have.
    fn refuse(&self, miss: Miss, nobodys: &str, hint: &str) -> Refusal {
        let routes = &self.current.snapshot.routes;
        match miss {
            Miss::NoRoute => Refusal::new(Failure::NoRoute, no_route(routes)),
            Miss::HostNotAllowed => Refusal::new(Failure::HostNotAllowed, nobodys),
            Miss::Ambiguous(first, count) => {
                let names = first.iter().map(|route| routes[*route].name.to_string());
                let names = listed(names, count);
                Refusal::new(
                    Failure::NoRoute,
                    format!("several routes have this host ({names}): {hint}"),
                )
            }
        }
    }
}

const NOBODYS: &str = "no route has an upstream at this host and port, with a base path that this path begins with, nor names the host in `also_hosts`; nothing was dialled";
const NOBODYS_TUNNEL: &str = "no route has an upstream at this host and port, nor names the host in `also_hosts` of one at this port; nothing was dialled";
const NO_TARGET: &str = "the target of CONNECT is not `host:port` alone (RFC 9112 §3.2.3)";
const BODY: &str = "CONNECT has no body, so neither `Transfer-Encoding` nor a `Content-Length` that is not 0 (RFC 9110 §9.3.6)";

/// Where a tunnel is to lead.
struct TunnelTarget<'a> {
    authority: &'a Authority,
    host: &'a str,
    port: u16,
}

impl<'a> TunnelTarget<'a> {
    /// That of a target in authority form, without a user and with a port; `None` of any other.
    fn of(uri: &'a Uri) -> Option<Self> {
        if uri.scheme().is_some() || !matches!(uri.path(), "") {
            return None;
        }
        let authority = uri.authority()?;
        let (host, port) = split_authority(authority.as_str());
        let port = port.filter(|port| *port != 0)?;
        let is_one = !host.is_empty() && !authority.as_str().contains(['@', '+']);
        is_one.then_some(Self {
            authority,
            host,
            port,
        })
    }
}

fn no_route(routes: &[Arc<Route>]) -> String {
    const SHOWN: usize = 10;
    let shown = routes.iter().take(SHOWN);
    let shown = shown.map(|route| format!("/{}/…", route.name));
    format!(
        "no route matches; reach one by its path: {}",
        listed(shown, routes.len())
    )
}

/// The first few of `count` names.
fn listed(first: impl Iterator<Item = String>, count: usize) -> String {
    let mut names: Vec<String> = first.collect();
    if count > names.len() {
        names.push(format!("and {} more", count - names.len()));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_leads_to_a_host_and_a_port_and_nothing_more() {
        let of = |target: &str| {
            let uri: Uri = target.parse().ok()?;
            let TunnelTarget { host, port, .. } = TunnelTarget::of(&uri)?;
            Some((host.to_owned(), port))
        };
        let at = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(of("a.example:443"), at("a.example", 443));
        assert_eq!(of("[::1]:8443"), at("::1", 8443));
        for target in [
            "a.example",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:+443",
            "a.example:443/",
            "a.example:443/x",
            "http://a.example:443",
            "http://a.example:443/",
            "//a.example:443",
            "user@a.example:443",
            "user:443@a.example:443",
            ":443",
            "::1:443",
            "[::1]",
            "/a.example:443",
            "*",
        ] {
            assert_eq!(of(target), None, "{target}");
        }
    }
}

//! Where a request goes, or why it goes nowhere.

use std::sync::Arc;

use http::header::HOST;
use http::uri::Authority;
use http::{Method, Version};

use super::call::Call;
use super::carry::Context;
use super::reply::Refusal;
use crate::failure::Failure;
use crate::snapshot::router::split_authority;
use crate::snapshot::{self, Destination, Miss, Route, Way};

impl Context<'_> {
    /// Finds the way of a call that was just read.
    ///
    /// # Errors
    /// What to answer when there is none.
    pub(super) fn find_way(&self, call: &Call) -> Result<Way, Refusal> {
        let (uri, headers) = (&call.uri, call.headers());
        if call.method == Method::CONNECT {
            return Err(
                self.refuse_tunnel(uri.authority().map_or("", |authority| authority.as_str()))
            );
        }
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
        let snapshot = &self.current.snapshot;
        snapshot.router.find(&asked).map_err(|miss| match miss {
            Miss::NoRoute => Refusal::new(Failure::NoRoute, no_route(&snapshot.routes)),
            Miss::HostNotAllowed => {
                Refusal::new(Failure::HostNotAllowed, "no route has an upstream at this host and port, with a base path that this path begins with, nor names the host in `also_hosts`; nothing was dialled")
            }
            Miss::Ambiguous(first, count) => {
                let names = first.iter().map(|route| snapshot.routes[*route].name.to_string());
                let names = listed(names, count);
                Refusal::new(Failure::NoRoute, format!("several routes have this host ({names}): call one by its path, or give one a `match`"))
            }
        })
    }

    fn refuse_tunnel(&self, authority: &str) -> Refusal {
        let (host, port) = split_authority(authority);
        let router = &self.current.snapshot.router;
        let is_known = port.is_some_and(|port| router.has_upstream(host, port));
        if is_known {
            let detail = "tunnels by CONNECT are not supported yet: call the route by its path or in absolute form";
            Refusal::new(Failure::MethodNotAllowed, detail)
        } else {
            Refusal::new(
                Failure::HostNotAllowed,
                "no route has this host as its upstream; nothing was dialled",
            )
        }
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

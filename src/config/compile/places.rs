//! Where the parts of each route are written, for problems that concern several routes.

use std::collections::HashMap;

use crate::config::tree::{Entry, Node, Span};

/// The places of one route's parts; the route's own place for those that are not written.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Its name.
    pub(super) route: Span,
    /// The key of its match.
    pub(super) matches: Span,
    /// Whether it has one, even if that cannot be read.
    pub(super) has_match: bool,
    /// Its upstream.
    pub(super) upstream: Span,
    /// The key of its `timeout`.
    pub(super) timeout: Span,
    /// The key of the upstream's other hosts.
    pub(super) also_hosts: Span,
    /// The key of its pool's `max`.
    pub(super) pool: Span,
}

/// The places of all routes, by their names.
#[derive(Default)]
pub(super) struct Places(HashMap<String, Place>);

impl Places {
    /// Adds a route whose name is written at `route` and whose merged settings are these.
    pub(super) fn add(&mut self, name: &str, settings: &Node, route: Span) {
        let key = |node: Option<&Entry>| node.map_or(route, |entry| entry.key.span.or(route));
        let upstream = settings.entry("upstream");
        let inside = |name| upstream.and_then(|entry| entry.node.entry(name));
        let url = inside("url").map_or(Span::BUILT_IN, |entry| entry.node.span);
        let place = Place {
            route,
            matches: key(settings.entry("match")),
            timeout: key(settings.entry("timeout")),
            has_match: settings.entry("match").is_some(),
            upstream: url.or(key(upstream)),
            also_hosts: key(inside("also_hosts")),
            pool: key(inside("pool").and_then(|pool| pool.node.entry("max"))),
        };
        self.0.insert(name.to_owned(), place);
    }

    /// The places of a route that was added.
    pub(super) fn of(&self, name: &str) -> Place {
        self.0.get(name).copied().unwrap_or_default()
    }
}

//! The paths of both listeners.

use http::{Method, StatusCode};

use super::access::Right;
use super::health::Probe;
use super::orders::Verb;
use super::reply::Problem;
use crate::docs::{PAGES, Page};

/// Which listener a request came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// The operators' port.
    Admin,
    /// Probes and metrics only, for all that can reach it.
    Health,
}

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    /// All breakers.
    Breakers,
    /// The breaker of that name.
    Breaker(&'a str),
    /// The explanation of its state.
    Explain(&'a str),
    /// An order to it.
    Order(&'a str, Verb),
    /// The configuration in force.
    Config,
    /// The same for the route of that name.
    RouteConfig(&'a str),
    /// The request to reload it.
    Reload,
    /// The metrics.
    Metrics,
    /// A page of the documentation.
    Docs(Page),
    /// A probe.
    Probe(Probe),
}

/// The paths as a 404 lists them.
const ADMIN: [&str; 13] = [
    "GET /circuit-breakers",
    "GET /circuit-breakers/{name}",
    "GET /circuit-breakers/{name}/explain",
    "POST /circuit-breakers/{name}/open",
    "POST /circuit-breakers/{name}/close",
    "POST /circuit-breakers/{name}/clear",
    "POST /circuit-breakers/{name}/auto",
    "GET /config",
    "GET /config/routes/{name}",
    "POST /config/reload",
    "GET /metrics",
    "GET /docs",
    "GET /docs/{page}",
];
const HEALTH: [&str; 5] = [
    "GET /metrics",
    "GET /healthz",
    "GET /livez",
    "GET /readyz",
    "GET /startup",
];

impl<'a> Endpoint<'a> {
    /// What the path means on that port; a final slash does not count.
    ///
    /// # Errors
    /// 404, listing the paths.
    pub(super) fn find(port: Port, path: &'a str) -> Result<Self, Problem> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let found = match path {
            "metrics" => Some(Self::Metrics),
            "healthz" | "livez" => Some(Self::Probe(Probe::Live)),
            "readyz" => Some(Self::Probe(Probe::Ready)),
            "startup" => Some(Self::Probe(Probe::Started)),
            _ => match port {
                Port::Admin => Self::for_operators(path),
                Port::Health => None,
            },
        };
        found.ok_or_else(|| {
            let there_is: Vec<&str> = match port {
                Port::Admin => ADMIN
                    .into_iter()
                    .chain(HEALTH.into_iter().skip(1))
                    .collect(),
                Port::Health => HEALTH.to_vec(),
            };
            Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path")
                .with("endpoints", there_is)
        })
    }

    fn for_operators(path: &'a str) -> Option<Self> {
        let mut segments = path.split('/');
        let found = match (segments.next()?, segments.next(), segments.next()) {
            ("circuit-breakers", None, None) => Self::Breakers,
            ("circuit-breakers", Some(name), None) => Self::Breaker(name),
            ("circuit-breakers", Some(name), Some("explain")) => Self::Explain(name),
            ("circuit-breakers", Some(name), Some(verb)) => Self::Order(name, Verb::named(verb)?),
            ("docs", None, None) => Self::Docs(PAGES.first().copied()?),
            ("docs", Some(name), None) => Self::Docs(Page::named(name)?),
            ("config", None, None) => Self::Config,
            ("config", Some("routes"), Some(name)) => Self::RouteConfig(name),
            ("config", Some("reload"), None) => Self::Reload,
            _ => return None,
        };
        segments.next().is_none().then_some(found)
    }

    /// The right that it needs.
    pub(super) fn right(&self) -> Right {
        match self {
            Self::Probe(_) => Right::Probe,
            Self::Breakers
            | Self::Breaker(_)
            | Self::Explain(_)
            | Self::Config
            | Self::RouteConfig(_)
            | Self::Metrics
            | Self::Docs(_) => Right::Read,
            Self::Order(..) | Self::Reload => Right::Change,
        }
    }

    /// Checks the method, which only the request line can say.
    ///
    /// # Errors
    /// 405, listing the methods that it takes.
    pub(super) fn check_method(&self, method: &Method) -> Result<(), Problem> {
        let (is_fine, allow) = match self.right() {
            Right::Probe | Right::Read => {
                (matches!(*method, Method::GET | Method::HEAD), "GET, HEAD")
            }
            Right::Change => (*method == Method::POST, "POST"),
        };
        if is_fine {
            Ok(())
        } else {
            Err(Problem::method_not_allowed(allow))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_one_thing_and_an_unknown_one_nothing() {
        let find = |path| Endpoint::find(Port::Admin, path).ok();
        assert_eq!(find("/circuit-breakers/"), Some(Endpoint::Breakers));
        assert_eq!(
            find("/circuit-breakers/open"),
            Some(Endpoint::Breaker("open"))
        );
        assert_eq!(
            find("/circuit-breakers/a/open"),
            Some(Endpoint::Order("a", Verb::Open))
        );
        assert_eq!(find("/config/reload"), Some(Endpoint::Reload));
        assert_eq!(
            find("/config/routes/reload"),
            Some(Endpoint::RouteConfig("reload"))
        );
        assert_eq!(find("/docs/"), find("/docs/start"));
        assert_eq!(
            find("/docs/codes"),
            Page::named("codes").map(Endpoint::Docs)
        );
        for path in [
            "",
            "/",
            "//circuit-breakers",
            "/circuit-breakers/a/b",
            "/circuit-breakers/a/open/b",
            "/config/x",
            "/config/reload/x",
            "/config/routes",
            "/config/routes/a/b",
            "/metrics/x",
            "/docs/x",
            "/docs/codes/x",
            "*",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn the_health_listener_has_no_operators_paths() {
        for path in ["/circuit-breakers", "/config", "/config/reload", "/docs"] {
            assert!(Endpoint::find(Port::Health, path).is_err());
            assert!(Endpoint::find(Port::Admin, path).is_ok());
        }
        for path in ["/healthz", "/livez", "/readyz", "/startup", "/metrics"] {
            assert!(Endpoint::find(Port::Health, path).is_ok());
        }
    }

    #[test]
    fn every_endpoint_that_a_404_names_exists() {
        for line in ADMIN.into_iter().chain(HEALTH) {
            let (method, path) = line.split_once(' ').unwrap();
            // Breakers and routes may have any name, pages have their own.
            for page in PAGES {
                let path = path.replace("{page}", page.name);
                let endpoint = Endpoint::find(Port::Admin, &path).unwrap();
                assert!(
                    endpoint.check_method(&method.parse().unwrap()).is_ok(),
                    "{line}"
                );
            }
        }
    }
}

//! The validated configuration. Plain data that can be compared, so two plans need no code for their difference.
//!
//! Every default is applied, every unit is a type, every reference resolved; nothing downstream checks again.

mod dns;
mod form;
mod headers;
mod keyed;
mod limits;
mod logs;
mod probe;
mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Method};

pub use super::fallback::{FallbackKind, FallbackPlan, Obedience, RespondPlan, Sharing, StalePlan};
pub use dns::DnsPlan;
pub use form::RefusalForm;
pub use headers::{HeaderEdits, HeaderText, HeadersPlan};
pub use keyed::{KeySource, KeyedPlan};
pub use limits::{LimitsPlan, RateKey, RatePlan};
pub use logs::{LogFormat, LogLevel, LogsPlan};
pub use probe::ProbePlan;
pub use state::StatePlan;

use crate::resilience::{BreakerSpec, RetrySpec, Rules, ThrottleSpec};

/// A whole valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What every log line is stamped with.
    pub service: ServicePlan,
    /// Where we listen.
    pub listen: ListenPlan,
    /// How many worker threads carry traffic; `None` follows the CPU quota.
    pub workers: Option<NonZeroUsize>,
    /// Who may use the admin port.
    pub admin: AdminPlan,
    /// How long calls in flight may take to finish after a termination signal.
    pub drain: Duration,
    /// The correlation id's headers.
    pub correlation: CorrelationPlan,
    /// The log lines.
    pub logs: LogsPlan,
    /// Limits of the proxy listeners.
    pub http: HttpPlan,
    /// How names of upstreams are looked up.
    pub dns: DnsPlan,
    /// Where the state of the breakers outlives the process, if it does.
    pub state: Option<StatePlan>,
    /// The routes by name, each shared with its live objects.
    pub routes: BTreeMap<String, Arc<RoutePlan>>,
}

/// What every log line is stamped with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePlan {
    /// The `service` key of a line.
    pub name: String,
    /// The `env` key of a line.
    pub env: String,
}

/// Where we listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenPlan {
    /// For the application's calls; at least one.
    pub proxy: Vec<SocketAddr>,
    /// For operators; may be none.
    pub admin: Vec<AdminAddress>,
    /// Read-only probes and metrics.
    pub health: Option<SocketAddr>,
}

/// An address of the admin port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AdminAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket, made with mode 0600.
    Unix(PathBuf),
}

/// Who may use the admin port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPlan {
    /// Holds the bearer token that may change state.
    pub operator_token_file: Option<PathBuf>,
    /// Holds the bearer token that may read.
    pub reader_token_file: Option<PathBuf>,
    /// Values of `Host`, lower-case and without port, that are accepted besides the loopback names.
    pub allowed_hosts: Vec<String>,
}

/// The correlation id's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationPlan {
    /// The header that carries it onward and back.
    pub header: HeaderName,
    /// The headers of a request that may bring one, best first.
    pub accept: Vec<HeaderName>,
    /// The longest that is accepted, in bytes (1 to 128).
    pub max_length: usize,
}

/// Limits of the proxy listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPlan {
    /// Bytes of one request's header section (8 KiB to 1 MiB).
    pub max_header_bytes: usize,
    /// Fields of one request's header section.
    pub max_headers: usize,
    /// Connections open at once over all proxy listeners.
    pub max_connections: usize,
    /// How long after the accept the first request's header section must be complete.
    pub first_request_timeout: Duration,
    /// How long an idle connection of a caller is kept.
    pub keep_alive: Duration,
    /// Whether requests over HTTP/1 are refused that another server could read otherwise.
    pub strict: bool,
}

/// A named destination with its policies.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutePlan {
    /// The preset that its settings began from.
    pub preset: String,
    /// Where it sends.
    pub upstream: Arc<UpstreamPlan>,
    /// The explicit match, if it has one; boxed, as all that most routes have none of.
    pub matches: Option<Box<MatchPlan>>,
    /// From the accepted request to the response headers.
    pub timeout: Duration,
    /// The same of each single attempt.
    pub attempt_timeout: Option<Duration>,
    /// The longest time without a byte in either direction while a body moves.
    pub idle_timeout: Duration,
    /// From the accepted request to the end of the answer.
    pub max_duration: Option<Duration>,
    /// Sends the caller's `Host` on instead of the upstream's.
    pub preserve_host: bool,
    /// Its breaker.
    pub breaker: BreakerSpec,
    /// The rules for answers whose status does not tell what they prove.
    pub classify: Rules,
    /// The form of our own answers.
    pub refusals: RefusalForm,
    /// How it obeys an upstream that asks for a pause; `None` if it does not.
    pub throttle: Option<ThrottleSpec>,
    /// The limits on its calls.
    pub limits: LimitsPlan,
    /// What callers get instead of its answer, in the order of trying; empty for the plain refusal.
    pub fallback: Vec<FallbackPlan>,
    /// Its active probe.
    pub probe: Option<Box<ProbePlan>>,
    /// Breakers for single keys below its own; `None` if it has none.
    pub keyed: Option<Box<KeyedPlan>>,
    /// Candidates that watch its calls, in the order of their names.
    pub shadows: Vec<(String, BreakerSpec)>,
    /// When a failed attempt is made again.
    pub retry: Option<Box<RetrySpec>>,
    /// What happens to header fields.
    pub headers: HeadersPlan,
    /// The hold that `overrides` orders for its breaker.
    pub overridden: Option<Box<OverridePlan>>,
}

/// A hold of a breaker that the configuration orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverridePlan {
    /// Which way it is held.
    pub force: Forced,
    /// When the hold ends by itself.
    pub until: Option<SystemTime>,
    /// Why, in the author's words.
    pub reason: Option<String>,
}

/// Which way a breaker is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Open: nothing passes.
    Open,
    /// Closed: everything passes.
    Closed,
}

/// Where a route sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamPlan {
    /// TLS settings; `None` for clear text.
    pub tls: Option<TlsPlan>,
    /// Its host: a name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `host[:port]` as its `Host` field says it: brackets around IPv6, no default port.
    pub authority: HeaderValue,
    /// The URL's path without a final slash; empty for none.
    pub base_path: String,
    /// Where its connections go instead of to its own host and port; empty for none.
    pub endpoints: Vec<EndpointPlan>,
    /// How the addresses of its host's name are used.
    pub resolve: Resolve,
    /// Other hosts that mean this upstream in an absolute-form target: lower case, without port.
    pub also_hosts: Vec<String>,
    /// The version spoken to it.
    pub http: HttpVersion,
    /// Its connections.
    pub pool: PoolPlan,
    /// TCP and TLS together.
    pub connect_timeout: Duration,
}

impl UpstreamPlan {
    /// Where its connections go: its endpoints, else its own host and port; never none.
    #[must_use]
    pub fn addresses(&self) -> Vec<EndpointPlan> {
        if self.endpoints.is_empty() {
            vec![EndpointPlan {
                host: self.host.clone(),
                port: self.port,
            }]
        } else {
            self.endpoints.clone()
        }
    }

    /// Whether both are the same upstream except for the endpoints.
    #[must_use]
    pub fn differs_in_endpoints_only(&self, other: &Self) -> bool {
        let Self {
            tls,
            host,
            port,
            authority,
            base_path,
            endpoints: _,
            resolve,
            also_hosts,
            http,
            pool,
            connect_timeout,
        } = self;
        *tls == other.tls
            && *host == other.host
            && *port == other.port
            && *authority == other.authority
            && *base_path == other.base_path
            && *resolve == other.resolve
            && *also_hosts == other.also_hosts
            && *http == other.http
            && *pool == other.pool
            && *connect_timeout == other.connect_timeout
    }
}

/// How an upstream uses the addresses of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Resolve {
    /// As alternatives of one endpoint: the first that answers is used.
    #[default]
    One,
    /// As an endpoint each.
    All,
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointPlan {
    /// A name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl EndpointPlan {
    /// `host:port`, with brackets around IPv6.
    #[must_use]
    pub fn label(&self) -> String {
        let Self { host, port } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsPlan {
    /// Trust these certificates (PEM) instead of the system's.
    pub ca_file: Option<PublicFile>,
}

/// A file with nothing secret in it, and what it held when the configuration was read: other content makes another plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicFile {
    /// Where it is.
    pub path: PathBuf,
    /// The SHA-256 of its content.
    pub digest: [u8; 32],
}

/// The HTTP version spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/2 when TLS negotiates it, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; in clear with prior knowledge.
    Http2,
}

/// The connections of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolPlan {
    /// The most connections over all workers.
    pub max: usize,
    /// How many are kept open in advance, over all workers.
    pub min: usize,
    /// How long a call waits for one when all are in use.
    pub acquire_timeout: Duration,
    /// How long an unused one is kept.
    pub idle_timeout: Duration,
    /// How often they are checked.
    pub evict_every: Duration,
    /// How long one is used.
    pub max_lifetime: Duration,
}

/// The requests that a route takes besides those that name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MatchPlan {
    /// Their host.
    pub host: Option<HostPattern>,
    /// How their path begins; whole segments.
    pub path_prefix: Option<String>,
    /// Their methods; empty for all.
    pub methods: Vec<Method>,
    /// Header fields they have, each with the value it must have, if any.
    pub headers: Vec<(HeaderName, Option<HeaderValue>)>,
}

impl MatchPlan {
    /// How specific it is among the matches of one host: the higher wins.
    #[must_use]
    pub fn rank(&self) -> (usize, bool, usize, usize) {
        let with_value = self.headers.iter().filter(|(_, value)| value.is_some());
        (
            self.path_prefix.as_ref().map_or(0, String::len),
            !self.methods.is_empty(),
            self.headers.len(),
            with_value.count(),
        )
    }
}

/// A host to match, in lower case and without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// That very host.
    Exact(String),
    /// Every host that ends with this, written `*.example.com`, held as `.example.com`.
    Suffix(String),
}

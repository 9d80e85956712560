//! The one list of metric names, with what each of them counts and the words of its labels.
//!
//! A metric exists only when it stands in [`ALL`]; documentation and dashboards are read against this list. No label carries a path, a
//! request's host, a key or an id: the number of series is bounded by the configuration.

use http::{Method, StatusCode};

pub use super::limit_label::LimitLabel;

/// What a metric is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in fixed buckets.
    Histogram,
}

impl Kind {
    /// The word of a `# TYPE` line.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric: all series of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its full name, with unit and `_total` where they belong.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// One sentence for `# HELP`.
    pub help: &'static str,
    /// The names of its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
}

macro_rules! families {
    ($($(#[$doc:meta])* $id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $($(#[$doc])* #[doc = concat!("`", $name, "`: ", $help)]
        pub const $id: Family = Family { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] };)*

        /// Every metric there is, by what it is about.
        pub const ALL: &[Family] = &[$($id),*];
    };
}

families! {
    REQUESTS = Counter "sidefuse_requests_total" ["route", "method", "code_class", "outcome"]
        "Exchanges that ended, by the class of the status that the caller got and by what they proved about the upstream.";
    REQUEST_DURATION = Histogram "sidefuse_request_duration_seconds" ["route", "outcome"]
        "Time from the accepted request to the end of the response body.";
    RESPONSE_HEADERS = Histogram "sidefuse_response_headers_seconds" ["route"]
        "Time from the accepted request to the response headers, of exchanges for which the upstream was asked.";
    OVERHEAD = Histogram "sidefuse_overhead_seconds" []
        "Our own share of the time to the response headers: all of it but the wait for the upstream.";
    IN_FLIGHT = Gauge "sidefuse_in_flight_requests" ["route"]
        "Exchanges that have begun and not yet ended.";
    BREAKER_STATE = Gauge "sidefuse_breaker_state" ["breaker", "state"]
        "1 for the state that the breaker is in, 0 for the others.";
    BREAKER_FORCED = Gauge "sidefuse_breaker_forced" ["breaker", "mode"]
        "1 while an operator forces the breaker into this mode.";
    BREAKER_TRANSITIONS = Counter "sidefuse_breaker_transitions_total" ["breaker", "from", "to", "cause"]
        "Changes of a breaker's state.";
    BREAKER_RAMP = Gauge "sidefuse_breaker_ramp_share" ["breaker"]
        "Share of the calls that a breaker with a ramp lets pass while closed: below 1 from its closing until all calls are back.";
    BREAKER_KEYS = Gauge "sidefuse_breaker_keys" ["breaker", "state"]
        "Keys of a route that have a breaker of their own, by its state.";
    BREAKER_KEYS_UNTRACKED = Counter "sidefuse_breaker_keys_untracked_total" ["breaker"]
        "Calls whose key found no room for a breaker of its own, so that the route's alone watched them.";
    SHADOW_REJECTED = Counter "sidefuse_shadow_rejected_total" ["breaker", "shadow", "result"]
        "Calls that a candidate breaker would have rejected, by how they ended in fact.";
    SHADOW_OPENINGS = Counter "sidefuse_shadow_openings_total" ["breaker", "shadow"]
        "How often a candidate breaker would have opened.";
    REJECTED = Counter "sidefuse_rejected_total" ["route", "reason"]
        "Exchanges that we refused without asking the upstream.";
    ATTEMPT_FAILURES = Counter "sidefuse_attempt_failures_total" ["route", "reason"]
        "Attempts at the upstream that failed without an answer to relay.";
    GIVEN_UP = Counter "sidefuse_given_up_total" ["route", "reason"]
        "Exchanges that were neither refused nor failed by the upstream, and ended early: the caller had gone, a time was over, a defect.";
    CONFIG_ERRORS = Counter "sidefuse_config_errors_total" ["route"]
        "Exchanges whose answer says that something on our side has to be put right: a token, a permission, an account.";
    RETRIES = Counter "sidefuse_retries_total" ["route", "result"]
        "Further attempts after the first by how they ended, and those that were wanted but not made by what forbade them.";
    FALLBACKS = Counter "sidefuse_fallbacks_total" ["route", "kind"]
        "Exchanges whose caller got a fallback instead of the upstream's answer.";
    COALESCED = Counter "sidefuse_coalesced_total" ["route"]
        "Exchanges that shared the upstream's answer to the same call of another caller.";
    STALE_BYTES = Gauge "sidefuse_stale_bytes" ["route"]
        "Memory that answers kept for a bad day take.";
    STALE_ENTRIES = Gauge "sidefuse_stale_entries" ["route"]
        "Calls whose last good answer is kept.";
    PROBES = Counter "sidefuse_probes_total" ["route", "result"]
        "Active probes of routes that have one, by what they proved; skipped ones were due and could not be made, or had to be left out.";
    POOL_CONNECTIONS = Gauge "sidefuse_pool_connections" ["route", "state"]
        "Connections to the upstream.";
    POOL_WAIT = Histogram "sidefuse_pool_wait_seconds" ["route"]
        "Time that an attempt waited for a connection.";
    ENDPOINTS = Gauge "sidefuse_endpoints" ["route", "state"]
        "Endpoints of the upstream: those that get calls, and those left alone because they failed.";
    THROTTLED_SECONDS = Counter "sidefuse_throttled_seconds_total" ["route"]
        "Time that the whole route was paused because its upstream asked for it.";
    LIMIT_MAX = Gauge "sidefuse_limit_max" ["route"]
        "Calls that the route's concurrency limit lets out at once.";
    LIMIT_IN_USE = Gauge "sidefuse_limit_in_use" ["route"]
        "Calls that are out under the route's concurrency limit.";
    LIMIT_QUEUED = Gauge "sidefuse_limit_queued" ["route", "limit"]
        "Calls that wait: for a place under the concurrency limit, or for the end of a pause.";
    LIMIT_WAIT = Histogram "sidefuse_limit_wait_seconds" ["route", "limit"]
        "Time that a call waited in a queue of ours, whatever came of it.";
    CONNECTIONS = Gauge "sidefuse_connections" []
        "Open connections of callers.";
    CONNECTIONS_ACCEPTED = Counter "sidefuse_connections_accepted_total" []
        "Connections of callers that were accepted.";
    DNS_LOOKUPS = Counter "sidefuse_dns_lookups_total" ["result"]
        "Names of upstreams that were looked up, by the result; and how often an answer beyond its time was used for want of a newer one.";
    STATE_WRITES = Counter "sidefuse_state_file_writes_total" ["result"]
        "Writes of the state file.";
    LOG_LINES_DROPPED = Counter "sidefuse_log_lines_dropped_total" []
        "Log lines lost because their reader was slower than traffic, or gone.";
    CONFIG_RELOAD_SUCCESSFUL = Gauge "sidefuse_config_last_reload_successful" []
        "1 when the last attempt to load the configuration succeeded, 0 when it was refused.";
    CONFIG_RELOAD_TIMESTAMP = Gauge "sidefuse_config_last_reload_success_timestamp_seconds" []
        "Unix time at which the configuration in force was loaded.";
    CONFIG_INFO = Gauge "sidefuse_config_info" ["revision"]
        "1 for the revision of the configuration in force.";
    BUILD_INFO = Gauge "sidefuse_build_info" ["version", "revision"]
        "1 for the build that runs.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Total user and system CPU time spent in seconds.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" []
        "Resident memory size in bytes.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" []
        "Virtual memory size in bytes.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" []
        "Number of open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" []
        "Maximum number of open file descriptors.";
    PROCESS_THREADS = Gauge "process_threads" []
        "Number of OS threads in the process.";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "Start time of the process since unix epoch in seconds.";
}

/// The `route` label of exchanges that found no route. No route can have this name: it has characters that a route's name may not.
pub const NO_ROUTE: &str = "(none)";

/// The `method` label of a request: one of the nine methods of RFC 9110 and RFC 5789, or `OTHER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodLabel(u8);

impl MethodLabel {
    /// How many there are.
    pub const COUNT: usize = Self::WORDS.len();
    /// All methods that are not standard.
    pub const OTHER: Self = Self(9);
    const WORDS: [&'static str; 10] = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "OTHER",
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::WORDS.len() as u8).map(Self)
    }

    /// Its place in [`MethodLabel::all`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        Self::WORDS[self.0 as usize]
    }
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        Self(match *method {
            Method::GET => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::DELETE => 3,
            Method::PATCH => 4,
            Method::HEAD => 5,
            Method::OPTIONS => 6,
            Method::CONNECT => 7,
            Method::TRACE => 8,
            _ => return Self::OTHER,
        })
    }
}

/// The `code_class` label: the class of the status that the caller got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeClass {
    /// 100 to 199; in practice 101.
    Informational,
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 and above.
    ServerError,
    /// The caller got no answer.
    None,
}

impl CodeClass {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::None,
    ];

    /// The class of what the caller got.
    #[must_use]
    pub fn of(status: Option<StatusCode>) -> Self {
        match status.map(|status| status.as_u16() / 100) {
            None => Self::None,
            Some(1) => Self::Informational,
            Some(2) => Self::Success,
            Some(3) => Self::Redirection,
            Some(4) => Self::ClientError,
            Some(_) => Self::ServerError,
        }
    }

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::None => "none",
        }
    }
}

/// The `result` label of a further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryResult {
    /// It brought an answer.
    Answered,
    /// It failed as well.
    Failed,
    /// Its caller left before it ended.
    Abandoned,
    /// Not made: the route's budget was used up.
    BudgetExhausted,
    /// Not made: the wait would have outlasted the call's time, or what the policy allows.
    NoTime,
    /// Not made: the request's body was too long to be kept.
    BodyTooLong,
    /// Not made: the breaker, or another policy of the route, let no further attempt pass.
    Refused,
}

impl RetryResult {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Failed,
        Self::Abandoned,
        Self::BudgetExhausted,
        Self::NoTime,
        Self::BodyTooLong,
        Self::Refused,
    ];

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::BudgetExhausted => "budget_exhausted",
            Self::NoTime => "no_time",
            Self::BodyTooLong => "body_too_long",
            Self::Refused => "refused",
        }
    }
}

/// The `result` label of an active probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The answer was one that the route expects.
    Success,
    /// It was another, or there was none.
    Failure,
    /// The probe was not sent, because of an operator's hold, of other probes, or of a limit of ours.
    Skipped,
}

impl ProbeResult {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Skipped];

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
        }
    }
}

/// The `result` label of a lookup of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsResult {
    /// It has addresses.
    Ok,
    /// It does not exist, or has none.
    NxDomain,
    /// The name servers failed.
    ServFail,
    /// None of them answered in time.
    Timeout,
    /// They could not be asked, for want of descriptors or memory of our own.
    Shortage,
    /// No lookup: an answer beyond its time was used, since there was no newer one.
    StaleServed,
}

impl DnsResult {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::NxDomain,
        Self::ServFail,
        Self::Timeout,
        Self::Shortage,
        Self::StaleServed,
    ];

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NxDomain => "nxdomain",
            Self::ServFail => "servfail",
            Self::Timeout => "timeout",
            Self::Shortage => "shortage",
            Self::StaleServed => "stale_served",
        }
    }
}

/// The `kind` label of a fallback, and the word for it in logs and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackLabel {
    /// A fixed answer.
    Respond,
    /// Another route's answer.
    Route,
    /// The last good answer.
    Stale,
}

impl FallbackLabel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Respond, Self::Route, Self::Stale];

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Respond => "respond",
            Self::Route => "route",
            Self::Stale => "stale",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Outcome;

    #[test]
    fn the_metrics_are_as_reviewed() {
        let table: String = ALL
            .iter()
            .map(|family| {
                format!(
                    "{:<9} {}{{{}}}\n",
                    family.kind.label(),
                    family.name,
                    family.labels.join(",")
                )
            })
            .collect();
        insta::assert_snapshot!(table);
    }

    #[test]
    fn names_are_unique_and_keep_prometheus_conventions() {
        for (place, family) in ALL.iter().enumerate() {
            assert!(
                ALL[..place].iter().all(|other| other.name != family.name),
                "{} stands twice",
                family.name
            );
            assert_eq!(
                family.kind == Kind::Counter,
                family.name.ends_with("_total"),
                "{}",
                family.name
            );
            assert!(
                family.help.ends_with('.') && !family.help.contains(['\n', '\\']),
                "{}",
                family.name
            );
        }
    }

    #[test]
    fn an_invented_method_is_other_case_166() {
        let invented = Method::from_bytes(b"FOO123").unwrap();
        assert_eq!(MethodLabel::from(&invented).label(), "OTHER");
        for method in MethodLabel::all().filter(|method| method.label() != "OTHER") {
            let parsed: Method = method.label().parse().unwrap();
            assert_eq!(MethodLabel::from(&parsed), method);
        }
    }

    #[test]
    fn a_label_stands_at_its_index() {
        assert!(
            MethodLabel::all()
                .enumerate()
                .all(|(place, method)| method.index() == place)
        );
        assert!(
            CodeClass::ALL
                .iter()
                .enumerate()
                .all(|(place, class)| *class as usize == place)
        );
        assert!(
            Outcome::ALL
                .iter()
                .enumerate()
                .all(|(place, outcome)| *outcome as usize == place)
        );
    }
}

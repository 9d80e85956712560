//! Every metric of the process: hands out the handles and renders them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use metrics::atomics::AtomicU64;
use metrics::{Counter, Gauge};

use super::exposition::{Exposition, Series};
use super::histogram::{FixedHistogram, OVERHEAD_EDGES};
use super::names::{self, DnsResult, Family, NO_ROUTE};
use super::process;
use super::route_meters::RouteMeters;
use super::write_result::WriteResult;

/// The commit that the build was made from, if the build names it.
const BUILD_REVISION: &str = match option_env!("SIDEFUSE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Every metric of the process. Cloning is cheap and gives the same metrics.
#[derive(Clone, Debug, Default)]
pub struct Meters(Arc<Storage>);

#[derive(Debug)]
struct Storage {
    routes: Mutex<BTreeMap<Arc<str>, Arc<RouteMeters>>>,
    no_route: Arc<RouteMeters>,
    overhead: Arc<FixedHistogram>,
    connections: Arc<AtomicU64>,
    connections_accepted: Arc<AtomicU64>,
    dns_lookups: [AtomicU64; DnsResult::ALL.len()],
    state_writes: [AtomicU64; WriteResult::ALL.len()],
    log_lines_dropped: Arc<AtomicU64>,
    config: Mutex<ConfigState>,
}

#[derive(Debug, Default)]
struct ConfigState {
    revision: Option<String>,
    loaded: Option<SystemTime>,
    last_successful: bool,
}

/// Whose series a family has.
#[derive(Clone, Copy)]
enum Of {
    Routes,
    /// Those of calls without a route, too.
    AllCalls,
}

/// Writes a route's series of one family.
type Write = fn(&RouteMeters, &mut Series<'_>);

/// The families that each route has, with what writes its series.
const OF_ROUTES: [(&Family, Of, Write); 15] = [
    (&names::REQUESTS, Of::AllCalls, RouteMeters::write_requests),
    (
        &names::REQUEST_DURATION,
        Of::AllCalls,
        RouteMeters::write_durations,
    ),
    (
        &names::RESPONSE_HEADERS,
        Of::Routes,
        RouteMeters::write_response_headers,
    ),
    (&names::IN_FLIGHT, Of::Routes, RouteMeters::write_in_flight),
    (
        &names::BREAKER_TRANSITIONS,
        Of::Routes,
        RouteMeters::write_transitions,
    ),
    (&names::REJECTED, Of::AllCalls, RouteMeters::write_rejected),
    (
        &names::ATTEMPT_FAILURES,
        Of::Routes,
        RouteMeters::write_attempt_failures,
    ),
    (&names::GIVEN_UP, Of::AllCalls, RouteMeters::write_given_up),
    (
        &names::CONFIG_ERRORS,
        Of::Routes,
        RouteMeters::write_config_errors,
    ),
    (&names::RETRIES, Of::Routes, RouteMeters::write_retries),
    (&names::FALLBACKS, Of::Routes, RouteMeters::write_fallbacks),
    (&names::COALESCED, Of::Routes, RouteMeters::write_coalesced),
    (&names::PROBES, Of::Routes, RouteMeters::write_probes),
    (&names::POOL_WAIT, Of::Routes, RouteMeters::write_pool_wait),
    (
        &names::LIMIT_WAIT,
        Of::Routes,
        RouteMeters::write_limit_waits,
    ),
];

impl Default for Storage {
    fn default() -> Self {
        Self {
            routes: Mutex::default(),
            no_route: Arc::new(RouteMeters::new(NO_ROUTE)),
            overhead: Arc::new(FixedHistogram::new(OVERHEAD_EDGES)),
            connections: Arc::default(),
            connections_accepted: Arc::default(),
            dns_lookups: [const { AtomicU64::new(0) }; DnsResult::ALL.len()],
            state_writes: [const { AtomicU64::new(0) }; WriteResult::ALL.len()],
            log_lines_dropped: Arc::default(),
            config: Mutex::default(),
        }
    }
}

impl Meters {
    /// Metrics that are all at 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The metrics of a route. The first call for a name makes the series that every route has exist at 0; later calls
    /// give the same object until [`Meters::forget_route`].
    #[must_use]
    pub fn route(&self, name: &str) -> Arc<RouteMeters> {
        let mut routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meters) = routes.get(name) {
            return Arc::clone(meters);
        }
        let meters = Arc::new(RouteMeters::new(name));
        routes.insert(Arc::clone(meters.name()), Arc::clone(&meters));
        meters
    }

    /// Removes the series of a removed route. Exchanges that are still in flight on it are not shown any more.
    pub fn forget_route(&self, name: &str) {
        self.0
            .routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// The metrics of exchanges that found no route, under the route label [`NO_ROUTE`].
    #[must_use]
    pub fn no_route(&self) -> &Arc<RouteMeters> {
        &self.0.no_route
    }

    /// Open connections of callers.
    pub fn connections(&self) -> Gauge {
        Gauge::from_arc(Arc::clone(&self.0.connections))
    }

    /// Accepted connections of callers.
    pub fn connections_accepted(&self) -> Counter {
        Counter::from_arc(Arc::clone(&self.0.connections_accepted))
    }

    /// Counts a lookup of a name.
    pub fn dns_lookup(&self, result: DnsResult) {
        self.0.dns_lookups[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a write of the state file.
    pub fn state_written(&self, result: WriteResult) {
        self.0.state_writes[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Log lines that were lost.
    pub fn log_lines_dropped(&self) -> Counter {
        Counter::from_arc(Arc::clone(&self.0.log_lines_dropped))
    }

    /// Says that a configuration is in force since `at`.
    pub fn config_loaded(&self, revision: &str, at: SystemTime) {
        let mut config = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        *config = ConfigState {
            revision: Some(revision.to_owned()),
            loaded: Some(at),
            last_successful: true,
        };
    }

    /// Says that a configuration was refused; the one in force stays.
    pub fn config_refused(&self) {
        self.0
            .config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last_successful = false;
    }

    pub(super) fn observe_overhead(&self, overhead: Duration) {
        self.0.overhead.observe(overhead);
    }

    /// Shows everything. `at_scrape` adds the families that are read off live objects at this moment: breaker states, forced
    /// modes, pool connections.
    #[must_use]
    pub fn render(&self, at_scrape: impl FnOnce(&mut Exposition)) -> String {
        let routes: Vec<Arc<RouteMeters>> = self
            .0
            .routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        let mut text = Exposition::new();
        for (family, of, write) in OF_ROUTES {
            let mut series = text.family(family);
            let none = match of {
                Of::Routes => None,
                Of::AllCalls => Some(&self.0.no_route),
            };
            for route in routes.iter().chain(none) {
                write(route, &mut series);
            }
        }
        at_scrape(&mut text);
        self.write_process_wide(&mut text);
        process::write(&mut text);
        text.finish()
    }

    fn write_process_wide(&self, text: &mut Exposition) {
        text.family(&names::OVERHEAD)
            .histogram(&[], &self.0.overhead.read());
        // The facade keeps a gauge as the bits of a float.
        let connections = f64::from_bits(self.0.connections.load(Ordering::Acquire));
        text.family(&names::CONNECTIONS).float(&[], connections);
        let accepted = self.0.connections_accepted.load(Ordering::Acquire);
        text.family(&names::CONNECTIONS_ACCEPTED)
            .integer(&[], accepted);
        let mut lookups = text.family(&names::DNS_LOOKUPS);
        for result in DnsResult::ALL {
            let count = self.0.dns_lookups[result as usize].load(Ordering::Relaxed);
            lookups.integer(&[result.label()], count);
        }
        let mut writes = text.family(&names::STATE_WRITES);
        for result in WriteResult::ALL {
            let count = self.0.state_writes[result as usize].load(Ordering::Relaxed);
            writes.integer(&[result.label()], count);
        }
        let dropped = self.0.log_lines_dropped.load(Ordering::Acquire);
        text.family(&names::LOG_LINES_DROPPED).integer(&[], dropped);

        let config = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        text.family(&names::CONFIG_RELOAD_SUCCESSFUL)
            .integer(&[], u64::from(config.last_successful));
        let loaded = config
            .loaded
            .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let loaded = loaded.map_or(0.0, |since| since.as_secs_f64());
        text.family(&names::CONFIG_RELOAD_TIMESTAMP)
            .float(&[], loaded);
        let mut info = text.family(&names::CONFIG_INFO);
        if let Some(revision) = &config.revision {
            info.integer(&[revision], 1);
        }
        text.family(&names::BUILD_INFO)
            .integer(&[env!("CARGO_PKG_VERSION"), BUILD_REVISION], 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::resilience::Outcome;
    use crate::telemetry::exposition::tests::parse;
    use crate::telemetry::names::{CodeClass, Kind, MethodLabel, RetryResult};
    use crate::telemetry::route_meters::TransitionLabels;
    use http::Method;

    const OPENED: TransitionLabels = TransitionLabels {
        from: "closed",
        to: "open",
        cause: "consecutive_failures",
    };

    /// What the admin part adds.
    fn live(text: &mut Exposition) {
        text.family(&names::BREAKER_STATE)
            .integer(&["mail", "closed"], 1)
            .integer(&["mail", "open"], 0);
        text.family(&names::BREAKER_FORCED)
            .integer(&["mail", "forced_open"], 0);
        text.family(&names::BREAKER_RAMP).float(&["mail"], 0.1);
        text.family(&names::STALE_BYTES).integer(&["mail"], 4096);
        text.family(&names::STALE_ENTRIES).integer(&["mail"], 1);
        text.family(&names::BREAKER_KEYS)
            .integer(&["mail", "open"], 1);
        text.family(&names::BREAKER_KEYS_UNTRACKED)
            .integer(&["mail"], 0);
        text.family(&names::SHADOW_REJECTED)
            .integer(&["mail", "strict", "success"], 3);
        text.family(&names::SHADOW_OPENINGS)
            .integer(&["mail", "strict"], 1);
        text.family(&names::POOL_CONNECTIONS)
            .integer(&["mail", "using"], 2);
        text.family(&names::ENDPOINTS)
            .integer(&["mail", "available"], 1);
        text.family(&names::THROTTLED_SECONDS).float(&["mail"], 1.5);
        text.family(&names::LIMIT_MAX).integer(&["mail"], 9);
        text.family(&names::LIMIT_IN_USE).integer(&["mail"], 2);
        text.family(&names::LIMIT_QUEUED)
            .integer(&["mail", "throttle"], 1);
    }

    #[test]
    fn a_route_shows_its_series_at_zero_before_any_call_case_192() {
        let meters = Meters::new();
        meters.route("mail").expect_transitions(&[OPENED]);
        meters.config_loaded(
            "deadbeef",
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        );
        let text = meters.render(live);
        parse(&text);
        let ours: String = text
            .lines()
            .filter(|line| !line.contains("process_") && !line.contains("_bucket{"))
            .map(|line| format!("{line}\n"))
            .collect();
        insta::assert_snapshot!(ours);
    }

    #[test]
    fn a_route_has_durations_from_its_first_call_on_case_181() {
        let meters = Meters::new();
        let mail = meters.route("mail");
        let counts = || -> Vec<String> {
            let text = meters.render(|_| {});
            let counts = text.lines();
            let counts = counts.filter(|line| line.contains("duration_seconds_count"));
            counts.map(str::to_owned).collect()
        };
        assert_eq!(counts(), Vec::<String>::new());
        let took = Duration::from_millis(1);
        mail.ended(
            MethodLabel::OTHER,
            CodeClass::ServerError,
            Outcome::Failure,
            took,
        );
        assert_eq!(
            counts(),
            [
                "sidefuse_request_duration_seconds_count{route=\"mail\",outcome=\"success\"} 0",
                "sidefuse_request_duration_seconds_count{route=\"mail\",outcome=\"failure\"} 1",
            ]
        );
    }

    #[test]
    fn every_listed_metric_is_shown_once() {
        let text = Meters::new().render(live);
        for family in names::ALL {
            let header = format!("# TYPE {} {}\n", family.name, family.kind.label());
            assert_eq!(text.matches(&header).count(), 1, "{}", family.name);
        }
    }

    #[test]
    fn a_name_gives_the_same_meters_until_it_is_forgotten() {
        let meters = Meters::new();
        let mail = meters.route("mail");
        assert!(Arc::ptr_eq(&mail, &meters.clone().route("mail")));
        mail.attempt_failed(Failure::Connect);
        mail.retried(RetryResult::Answered);
        mail.transitioned(OPENED);
        let shown = parse(&meters.render(|_| {}));
        assert_eq!(
            shown["sidefuse_attempt_failures_total{route=\"mail\",reason=\"connect\"}"],
            1.0
        );
        assert_eq!(
            shown["sidefuse_retries_total{route=\"mail\",result=\"answered\"}"],
            1.0
        );

        meters.forget_route("mail");
        assert!(
            !meters.render(|_| {}).contains("mail"),
            "the series of a removed route go"
        );
        assert!(!Arc::ptr_eq(&mail, &meters.route("mail")));
        let shown = parse(&meters.render(|_| {}));
        assert_eq!(
            shown["sidefuse_attempt_failures_total{route=\"mail\",reason=\"connect\"}"],
            0.0
        );
    }

    #[test]
    fn any_method_and_status_stays_within_the_fixed_series_case_166() {
        let meters = Meters::new();
        let route = meters.route("mail");
        for nonsense in 0..200 {
            let method = Method::from_bytes(format!("FOO{nonsense}").as_bytes()).unwrap();
            let method = MethodLabel::from(&method);
            route.ended(method, CodeClass::Success, Outcome::Success, Duration::ZERO);
        }
        let text = meters.render(|_| {});
        let shown = parse(&text);
        assert_eq!(shown.keys().filter(|key| key.contains("OTHER")).count(), 1);
        assert!(!text.contains("FOO"));
    }

    #[test]
    fn buckets_never_fall_and_end_in_the_count_case_192() {
        let meters = Meters::new();
        let route = meters.route("mail");
        for millis in [0, 3, 700, 15_000, 80_000] {
            let took = Duration::from_millis(millis);
            route.ended(
                MethodLabel::from(&Method::GET),
                CodeClass::Success,
                Outcome::Success,
                took,
            );
            meters.observe_overhead(took);
        }
        let shown = meters.render(|_| {});
        parse(&shown);
        let histograms = names::ALL
            .iter()
            .filter(|family| family.kind == Kind::Histogram);
        for family in histograms {
            let mut last = 0;
            for line in shown.lines().filter(|line| line.starts_with(family.name)) {
                let value = line.rsplit_once(' ').unwrap().1;
                if line.contains("_bucket") {
                    let count: u64 = value.parse().unwrap();
                    assert!(count >= last, "{line}");
                    last = count;
                } else if line.contains("_count") {
                    assert_eq!(value, last.to_string(), "{line}");
                    last = 0;
                }
            }
        }
    }

    #[test]
    fn a_refused_configuration_keeps_the_revision_in_force() {
        let meters = Meters::new();
        meters.config_loaded("aaaa", SystemTime::UNIX_EPOCH);
        meters.config_refused();
        let shown = parse(&meters.render(|_| {}));
        assert_eq!(shown["sidefuse_config_last_reload_successful"], 0.0);
        assert_eq!(shown["sidefuse_config_info{revision=\"aaaa\"}"], 1.0);
        meters.config_loaded("bbbb", SystemTime::UNIX_EPOCH);
        assert!(!meters.render(|_| {}).contains("aaaa"));
    }

    #[test]
    fn handles_reach_the_exposition() {
        let meters = Meters::new();
        meters.connections().increment(3.0);
        meters.connections().decrement(1.0);
        meters.connections_accepted().increment(3);
        meters.log_lines_dropped().increment(7);
        let shown = parse(&meters.render(|_| {}));
        assert_eq!(shown["sidefuse_connections"], 2.0);
        assert_eq!(shown["sidefuse_connections_accepted_total"], 3.0);
        assert_eq!(shown["sidefuse_log_lines_dropped_total"], 7.0);
    }
}

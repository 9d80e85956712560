//! The record of one request, from its acceptance to its one ending.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};

use crate::failure::Failure;
use crate::resilience::{Identity, Key, Outcome};
use crate::time;
use crate::wire::Flaw;

use super::access_log::AccessRecord;
use super::begin::{Begin, End};
use super::byte_count::ByteCount;
use super::correlation::CorrelationId;
use super::names::{CodeClass, FallbackLabel, MethodLabel};
use super::outcome::default_outcome;
use super::route_meters::{InFlight, RouteMeters};
use super::target::Target;
use super::waits::{HeldBy, Waits};
use super::worker::WorkerTelemetry;

/// The record of one request. [`Exchange::finish`] is the only place that emits the access line and the metrics per request, and does
/// so once; an exchange that is dropped unfinished emits them too, as one whose caller left (or, in a panic, as our defect). So there is
/// exactly one line and one count per exchange.
#[derive(Debug)]
#[must_use = "an exchange that is dropped counts as abandoned by its caller"]
pub struct Exchange {
    worker: Rc<WorkerTelemetry>,
    begin: Begin,
    route: Option<InFlight>,
    /// The other route that the call was carried on to.
    diverted: Option<InFlight>,
    /// What the caller gets instead of the upstream's answer.
    fallback: Option<FallbackLabel>,
    /// The answer is that to another caller's call, which was the same.
    is_coalesced: bool,
    /// How many bytes at the path's beginning named the route.
    strip: usize,
    upstream: Option<Arc<str>>,
    attempts: u32,
    upstream_time: Duration,
    held: Waits,
    request_bytes: Option<ByteCount>,
    response_bytes: u64,
    status: Option<StatusCode>,
    grpc_status: Option<u32>,
    /// From the accepted request to the response headers.
    to_headers: Option<Duration>,
    overhead: Option<Duration>,
    reason: Option<Failure>,
    outcome: Option<Outcome>,
    config_error: bool,
    flaw: Option<Flaw>,
    breaker_state: Option<&'static str>,
    key: Option<Key>,
    target: Option<Box<Target>>,
    finished: bool,
}

impl Exchange {
    /// Begins the record of a request.
    pub fn begin(worker: &Rc<WorkerTelemetry>, begin: Begin) -> Self {
        Self {
            worker: Rc::clone(worker),
            begin,
            route: None,
            diverted: None,
            fallback: None,
            is_coalesced: false,
            strip: 0,
            upstream: None,
            attempts: 0,
            upstream_time: Duration::ZERO,
            held: Waits::default(),
            request_bytes: None,
            response_bytes: 0,
            status: None,
            grpc_status: None,
            to_headers: None,
            overhead: None,
            reason: None,
            outcome: None,
            config_error: false,
            flaw: None,
            breaker_state: None,
            key: None,
            target: None,
            finished: false,
        }
    }

    /// The id that goes upstream and back to the caller.
    #[must_use]
    pub fn correlation_id(&self) -> &CorrelationId {
        &self.begin.correlation.id
    }

    /// When the request was accepted: where its deadline is counted from.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begin.now
    }

    /// Records the route, found by the first `strip` bytes of the path (0: by something else); the request is in flight there
    /// until it ends. A second route is one that it is carried on to: the line and the counts per request stay with the first,
    /// those of attempts go to the second.
    pub fn routed(&mut self, route: &Arc<RouteMeters>, strip: usize) {
        let is_first = self
            .route
            .as_ref()
            .is_none_or(|first| Arc::ptr_eq(first.meters(), route));
        if self.route.is_none() {
            self.route = Some(route.enter());
        }
        self.diverted = (!is_first).then(|| route.enter());
        self.strip = strip;
    }

    /// Records that the route that the call was carried on to has no answer either, for this reason.
    pub fn diversion_failed(&mut self, reason: Failure) {
        if let Some(route) = self.diverted.take() {
            route.meters().unserved(reason);
        }
    }

    /// Records what the caller gets instead of the upstream's answer. The first call counts: in a chain of fallbacks that is
    /// the caller's.
    pub fn fell_back(&mut self, kind: FallbackLabel) {
        self.fallback.get_or_insert(kind);
    }

    /// What the caller gets instead of the upstream's answer, if it does.
    #[must_use]
    pub fn fallback(&self) -> Option<FallbackLabel> {
        self.fallback
    }

    /// Records that the result is that of another caller's call, which was the same.
    pub fn coalesced(&mut self) {
        self.is_coalesced = true;
    }

    /// The call's identity, for a breaker that remembers it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let method = self.begin.method.as_ref().map_or("-", Method::as_str);
        let path = self.begin.path.as_ref().map_or("", PathAndQuery::path);
        let path = path.get(self.strip..).filter(|rest| !rest.is_empty());
        Identity::new(
            self.begin.correlation.id.as_str(),
            method,
            path.unwrap_or("/"),
        )
    }

    /// Records another try, at `host:port`.
    pub fn attempting(&mut self, upstream: &Arc<str>) {
        self.attempts = self.attempts.saturating_add(1);
        self.upstream = Some(Arc::clone(upstream));
    }

    /// How many tries there were.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Takes back the try just begun: it never reached the upstream and is made anew.
    pub fn never_attempted(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }

    /// Adds time spent waiting for the upstream: for a connection, and for response headers.
    pub fn waited(&mut self, wait: Duration) {
        self.upstream_time = self.upstream_time.saturating_add(wait);
    }

    /// Begins a wait in sidefuse at that instant, which lasts until [`Self::let_go`] or the end: the wait of a caller that
    /// leaves counts, too.
    pub fn holding(&mut self, by: HeldBy, since: Instant) {
        self.held.begin(by, since);
    }

    /// Ends the wait; says how long it was.
    pub fn let_go(&mut self, now: Instant) -> Duration {
        self.held.end(now)
    }

    /// Adds time that the call waited because of a policy of its route: neither the upstream's time nor our overhead.
    pub fn held_back(&mut self, by: HeldBy, wait: Duration) {
        self.held.add(by, wait);
    }

    /// How long the call has waited in sidefuse so far, and for what most.
    #[must_use]
    pub fn held(&self) -> (Duration, Option<HeldBy>) {
        (self.held.total(), self.held.longest())
    }

    /// The breaker's state, when it had a part in the ending.
    pub fn breaker_state(&mut self, state: &'static str) {
        self.breaker_state = Some(state);
    }

    /// Records the call's key on the route.
    pub fn keyed(&mut self, key: Option<Key>) {
        self.key = key;
    }

    /// What the request says of the host that it is for, where its line shows that.
    pub fn target(&mut self) -> &mut Target {
        self.target.get_or_insert_default()
    }

    /// Records why we answer ourselves. The first reason counts.
    pub fn failed(&mut self, reason: Failure) {
        self.reason.get_or_insert(reason);
    }

    /// Records the rule that a refused request breaks.
    pub fn flawed(&mut self, flaw: Flaw) {
        self.flaw = Some(flaw);
    }

    /// Records a try that failed for this reason because of the upstream.
    pub fn attempt_failed(&self, reason: Failure) {
        if let Some(route) = self.diverted.as_ref().or(self.route.as_ref()) {
            route.meters().attempt_failed(reason);
        }
    }

    /// Records an outcome that is certain however the body ends. Without this it follows from reason and status at the end.
    pub fn settled(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Drops the recorded outcome because another attempt is made.
    pub fn unsettled(&mut self) {
        self.outcome = None;
        self.config_error = false;
    }

    /// Records that the answer says that something on our side has to be fixed.
    pub fn config_error(&mut self) {
        self.config_error = true;
    }

    /// Records that the response headers go to the caller at `now`. The time until then without the waits is our overhead.
    pub fn answered(&mut self, status: StatusCode, now: Instant) {
        let took = now.saturating_duration_since(self.begin.now);
        self.to_headers = Some(took);
        // A call that is called off may be within a wait that is not added up yet.
        if self.reason != Some(Failure::Draining) {
            let others = self.upstream_time.saturating_add(self.held.total());
            self.overhead = Some(took.saturating_sub(others));
        }
        self.status = Some(status);
    }

    /// Records what gRPC's status is of the answer that goes to the caller, if it has one.
    pub fn grpc_status(&mut self, status: Option<u32>) {
        self.grpc_status = status.or(self.grpc_status);
    }

    /// A counter for the bytes of the request's body. Every call gives the same one.
    pub fn request_bytes(&mut self) -> ByteCount {
        self.request_bytes.get_or_insert_default().clone()
    }

    /// Adds bytes of the response's body that went to the caller.
    pub fn sent(&mut self, bytes: u64) {
        self.response_bytes = self.response_bytes.saturating_add(bytes);
    }

    /// Ends the exchange: one access line, one step of each counter. Later calls have no effect.
    pub fn finish(&mut self, end: End, now: Instant) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let end = match end {
            End::ClientGone if self.worker.is_cutting.get() => End::Broken(Failure::Draining),
            End::Complete | End::Broken(_) | End::ClientGone => end,
        };
        self.held.end(now);
        match end {
            // An answer that never began cannot be complete.
            End::Complete if self.status.is_none() => self.failed(Failure::Internal),
            End::Complete => {}
            End::Broken(reason) => self.failed(reason),
            End::ClientGone => self.failed(Failure::ClientGone),
        }
        if self.status.is_none() && self.reason != Some(Failure::CallerDeadline) {
            // It ended between two attempts or in the middle of one, and not because of the upstream. The results of attempts
            // are recorded already. A deadline was over because of the upstream if that is what was recorded.
            self.unsettled();
        }
        let outcome = self
            .outcome
            .unwrap_or_else(|| default_outcome(self.reason, self.status));
        let took = now.saturating_duration_since(self.begin.now);
        self.count(outcome, took);
        self.log(outcome, took, end == End::ClientGone);
        self.route = None;
    }

    /// Whether its answer had to come from the upstream, by a call of its own or another's.
    fn asked_upstream(&self) -> bool {
        self.attempts > 0 || self.is_coalesced
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        let meters = &self.worker.meters;
        let route = self
            .route
            .as_ref()
            .map_or(meters.no_route(), InFlight::meters);
        let method = self
            .begin
            .method
            .as_ref()
            .map_or(MethodLabel::OTHER, MethodLabel::from);
        route.ended(method, CodeClass::of(self.status), outcome, took);
        if let Some(wait) = self.to_headers.filter(|_| self.asked_upstream()) {
            route.waited_for_headers(wait);
        }
        if let Some(reason) = self.reason {
            route.unserved(reason);
        }
        if self.is_coalesced {
            route.coalesced();
        }
        if self.config_error {
            route.config_error();
        }
        if let Some(overhead) = self.overhead {
            meters.observe_overhead(overhead);
        }
    }

    fn log(&self, outcome: Outcome, duration: Duration, client_gone: bool) {
        // Without an answer, the line has the status that the answer would have had.
        let status = self
            .status
            .or_else(|| self.reason.map(|reason| reason.answer().0));
        self.worker.log.access(&AccessRecord {
            time: time::wall(),
            correlation_id: &self.begin.correlation.id,
            correlation_id_replaced: self.begin.correlation.replaced,
            user_id: self.begin.user_id.as_ref().map(HeaderValue::as_bytes),
            path: self
                .begin
                .path
                .as_ref()
                .map_or(b"", |path| path.path().as_bytes()),
            method: self.begin.method.as_ref().map_or("-", Method::as_str),
            status: status.map_or(0, |status| status.as_u16()),
            grpc_status: self.grpc_status,
            duration,
            route: self.route.as_ref().map(|route| &**route.meters().name()),
            upstream: self.upstream.as_ref().map(|upstream| upstream.as_bytes()),
            outcome,
            config_error: self.config_error,
            attempts: self.attempts,
            bytes_in: self.request_bytes.as_ref().map_or(0, ByteCount::get),
            bytes_out: self.response_bytes,
            reason: self.reason,
            flaw: self.flaw,
            breaker_state: self.breaker_state,
            fallback: self.fallback.map(FallbackLabel::label),
            is_coalesced: self.is_coalesced,
            key: self.key,
            upstream_time: (self.attempts > 0).then_some(self.upstream_time),
            held: self.held.longest().map(|by| (by, self.held.total())),
            client_gone,
            trace_id: self.begin.trace_id,
            hosts: self.target.as_ref().and_then(|target| target.hosts()),
            tunnel: self.target.as_ref().and_then(|target| target.tunnel()),
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.finished {
            let end = if thread::panicking() {
                End::Broken(Failure::Internal)
            } else {
                End::ClientGone
            };
            self.finish(end, time::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Blame;
    use crate::telemetry::access_log::tests::id;
    use crate::telemetry::correlation::Correlation;
    use crate::telemetry::exposition::tests::parse;
    use crate::telemetry::meters::Meters;
    use crate::telemetry::worker_log::WorkerLog;
    use crate::telemetry::worker_log::tests::spec;
    use crate::telemetry::writer::LogWriter;
    use crate::telemetry::writer::tests::Memory;
    use serde_json::Value;
    use std::cell::Cell;

    /// A worker whose lines and counters can be read.
    struct Bench {
        worker: Rc<WorkerTelemetry>,
        writer: LogWriter,
        memory: Memory,
    }

    impl Bench {
        fn new() -> Self {
            let (memory, meters) = (Memory::default(), Meters::new());
            let writer = LogWriter::spawn(memory.clone(), meters.log_lines_dropped()).unwrap();
            let log = WorkerLog::new(writer.handle(), Arc::new(spec()));
            Self {
                worker: Rc::new(WorkerTelemetry {
                    meters,
                    log,
                    is_cutting: Cell::default(),
                }),
                writer,
                memory,
            }
        }

        fn begin(&self, now: Instant) -> Exchange {
            let correlation = Correlation {
                id: id("abc"),
                replaced: false,
            };
            let path = Some(PathAndQuery::from_static("/mail/send?key=canary"));
            let (user_id, trace_id) = (None, None);
            Exchange::begin(
                &self.worker,
                Begin {
                    now,
                    correlation,
                    method: Some(Method::POST),
                    path,
                    user_id,
                    trace_id,
                },
            )
        }

        fn routed(&self, now: Instant) -> Exchange {
            let mut exchange = self.begin(now);
            exchange.routed(&self.worker.meters.route("mail"), 0);
            exchange
        }

        /// The lines, and every counter that is not 0 (histograms by their count).
        fn read(self) -> (Vec<Value>, Vec<String>) {
            let shown = parse(&self.worker.meters.render(|_| {}));
            let mut counted: Vec<String> = shown
                .into_iter()
                .filter(|(key, value)| {
                    let words = [
                        "requests_total",
                        "rejected",
                        "given_up",
                        "in_flight",
                        "_count",
                    ];
                    let mine = words.iter().any(|word| key.contains(word));
                    mine && *value != 0.0
                })
                .map(|(key, value)| format!("{} {value}", key.trim_start_matches("sidefuse_")))
                .collect();
            counted.sort();
            self.worker.log.flush();
            assert!(self.writer.shutdown(Duration::from_secs(60)));
            let lines = self
                .memory
                .text()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            (lines, counted)
        }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_relayed_call_leaves_one_line_and_one_step_of_each_counter() {
        let (bench, now) = (Bench::new(), time::now());
        let mut exchange = bench.routed(now);
        let bytes_in = exchange.request_bytes();
        exchange.attempting(&Arc::from("mail.example:587"));
        exchange.waited(millis(90));
        bytes_in.add(300);
        bytes_in.add(12);
        exchange.answered(StatusCode::CREATED, now + millis(91));
        exchange.sent(147);
        exchange.finish(End::Complete, now + millis(145));
        let (lines, counted) = bench.read();
        assert_eq!(
            counted,
            [
                "overhead_seconds_count 1",
                "request_duration_seconds_count{route=\"mail\",outcome=\"success\"} 1",
                "requests_total{route=\"mail\",method=\"POST\",code_class=\"2xx\",outcome=\"success\"} 1",
                "response_headers_seconds_count{route=\"mail\"} 1",
            ]
        );
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        let found = [
            "statusCode",
            "duration",
            "outcome",
            "attempts",
            "bytesIn",
            "bytesOut",
            "upstream",
            "upstreamMs",
        ]
        .map(|key| line[key].to_string());
        assert_eq!(
            found,
            [
                "201",
                "\"145ms\"",
                "\"success\"",
                "1",
                "312",
                "147",
                "\"mail.example:587\"",
                "90.0"
            ]
        );
        assert_eq!(line["requestPath"], "/mail/send");
    }

    #[test]
    fn the_overhead_is_what_was_no_wait_for_the_upstream() {
        let (bench, now) = (Bench::new(), time::now());
        let mut exchange = bench.routed(now);
        exchange.attempting(&Arc::from("mail.example:587"));
        exchange.waited(millis(90));
        exchange.answered(StatusCode::OK, now + millis(91));
        exchange.finish(End::Complete, now + millis(5_000));
        let shown = parse(&bench.worker.meters.render(|_| {}));
        assert_eq!(shown["sidefuse_overhead_seconds_sum"], 0.001);
        assert_eq!(
            shown["sidefuse_request_duration_seconds_sum{route=\"mail\",outcome=\"success\"}"],
            5.0
        );
        let headers = "sidefuse_response_headers_seconds_sum{route=\"mail\"}";
        assert_eq!(shown[headers], 0.091);
    }

    #[test]
    fn a_refusal_is_counted_with_its_reason_and_asks_no_upstream() {
        let (bench, now) = (Bench::new(), time::now());
        let mut exchange = bench.routed(now);
        exchange.failed(Failure::CircuitOpen);
        exchange.breaker_state("open");
        exchange.answered(StatusCode::SERVICE_UNAVAILABLE, now);
        exchange.finish(End::Complete, now);
        let (lines, counted) = bench.read();
        assert!(
            counted
                .contains(&"rejected_total{route=\"mail\",reason=\"circuit_open\"} 1".to_owned())
        );
        assert!(
            counted
                .iter()
                .any(|key| key.contains("code_class=\"5xx\",outcome=\"ignored\"")),
            "{counted:?}"
        );
        assert_eq!(
            (&lines[0]["level"], &lines[0]["breakerState"]),
            (&"warn".into(), &"open".into())
        );
        assert!(lines[0].get("upstreamMs").is_none() && lines[0].get("upstream").is_none());
        let of_upstream = |key: &String| key.starts_with("response_headers");
        assert!(!counted.iter().any(of_upstream), "{counted:?}");
    }

    #[test]
    fn a_reason_that_is_not_the_upstreams_is_counted_once_as_refused_or_as_given_up() {
        for reason in Failure::ALL {
            let (bench, now) = (Bench::new(), time::now());
            bench.routed(now).finish(End::Broken(reason), now);
            let (lines, counted) = bench.read();
            assert_eq!(lines[0]["reason"], reason.label());
            let label = format!("{{route=\"mail\",reason=\"{}\"}} 1", reason.label());
            let counted = counted.iter().filter(|it| it.ends_with(&label)).count();
            let is_counted = reason.blame() != Blame::Upstream;
            assert_eq!(counted, usize::from(is_counted), "{reason:?}");
        }
    }

    #[test]
    fn a_request_without_a_route_is_counted_under_none() {
        let (bench, now) = (Bench::new(), time::now());
        let mut exchange = bench.begin(now);
        exchange.failed(Failure::NoRoute);
        exchange.answered(StatusCode::NOT_FOUND, now);
        exchange.finish(End::Complete, now);
        let (lines, counted) = bench.read();
        assert!(
            counted.contains(&"rejected_total{route=\"(none)\",reason=\"no_route\"} 1".to_owned())
        );
        assert!(lines[0].get("route").is_none());
    }

    #[test]
    fn a_dropped_exchange_leaves_exactly_one_line_that_says_the_caller_left_case_188() {
        let (bench, now) = (Bench::new(), time::now());
        drop(bench.routed(now));
        let (lines, counted) = bench.read();
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!(
            (&line["reason"], &line["clientGone"]),
            (&"client_gone".into(), &true.into())
        );
        assert_eq!(
            (&line["statusCode"], &line["outcome"]),
            (&499.into(), &"ignored".into())
        );
        assert!(
            counted
                .iter()
                .any(|key| key.contains("code_class=\"none\",outcome=\"ignored\"")),
            "{counted:?}"
        );
    }

    #[test]
    fn a_caller_that_leaves_in_mid_body_got_the_status_but_not_the_answer_case_188() {
        let (bench, now) = (Bench::new(), time::now());
        let mut exchange = bench.routed(now);
        exchange.answered(StatusCode::OK, now);
        exchange.sent(10);
        exchange.finish(End::ClientGone, now);
        let (lines, _) = bench.read();
        assert_eq!(
            (&lines[0]["statusCode"], &lines[0]["outcome"]),
            (&200.into(), &"ignored".into())
        );
        assert_eq!(
            (&lines[0]["clientGone"], &lines[0]["bytesOut"]),
            (&true.into(), &10.into())
        );
    }

    #[test]
    fn a_body_that_breaks_off_is_the_upstreams_failure_unless_the_outcome_was_settled() {
        let (bench, now) = (Bench::new(), time::now());
        for settled in [None, Some(Outcome::Success)] {
            let mut exchange = bench.routed(now);
            exchange.answered(StatusCode::OK, now);
            if let Some(outcome) = settled {
                exchange.settled(outcome);
            }
            exchange.finish(End::Broken(Failure::Truncated), now);
        }
        let (lines, _) = bench.read();
        assert_eq!(
            (&lines[0]["outcome"], &lines[0]["level"]),
            (&"failure".into(), &"error".into())
        );
        assert_eq!(
            (&lines[1]["outcome"], &lines[1]["reason"]),
            (&"success".into(), &"truncated".into())
        );
    }

    #[test]
    fn a_panic_is_our_defect_and_not_a_caller_that_left() {
        let bench = Bench::new();
        let exchange = bench.routed(time::now());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _exchange = exchange;
            panic!("a defect");
        }));
        assert!(panicked.is_err());
        let (lines, counted) = bench.read();
        let count = "given_up_total{route=\"mail\",reason=\"internal\"} 1";
        assert!(counted.iter().any(|it| it == count), "{counted:?}");
        assert_eq!(
            (&lines[0]["reason"], &lines[0]["level"]),
            (&"internal".into(), &"error".into())
        );
        assert_eq!(lines[0]["statusCode"], 500);
    }

    #[test]
    fn an_unreadable_request_still_has_its_line_and_its_count() {
        let (bench, now) = (Bench::new(), time::now());
        let correlation = Correlation {
            id: CorrelationId::random(),
            replaced: false,
        };
        let begin = Begin {
            now,
            correlation,
            method: None,
            path: None,
            user_id: None,
            trace_id: None,
        };
        let mut exchange = Exchange::begin(&bench.worker, begin);
        exchange.failed(Failure::HeadersTooLarge);
        exchange.answered(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, now);
        exchange.finish(End::Complete, now);
        let (lines, counted) = bench.read();
        assert_eq!(
            (&lines[0]["requestMethod"], &lines[0]["requestPath"]),
            (&"-".into(), &"".into())
        );
        assert!(
            counted.iter().any(|key| key.contains("method=\"OTHER\"")),
            "{counted:?}"
        );
    }

    #[test]
    fn the_default_outcome_follows_the_status() {
        let of = |code: u16| default_outcome(None, StatusCode::from_u16(code).ok()).label();
        let found = [101, 200, 304, 404, 429, 500, 501, 503, 505, 599].map(of);
        assert_eq!(
            found,
            [
                "success",
                "success",
                "success",
                "alive",
                "throttled",
                "failure",
                "alive",
                "failure",
                "alive",
                "failure"
            ]
        );
    }
}

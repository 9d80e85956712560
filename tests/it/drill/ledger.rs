//! The books after a drill: what callers, origin, log, metrics and operators' answers say of the same calls.

use std::collections::BTreeMap;

use serde_json::Value;

use super::callers::Told;
use crate::support::answer::Received;
use crate::support::metrics::Metrics;

/// Everything that was said about the route `crm`.
pub(super) struct Ledger {
    pub(super) told: Vec<Told>,
    pub(super) received: Vec<Received>,
    /// Every line of the log.
    pub(super) lines: Vec<Value>,
    pub(super) metrics: Metrics,
    /// The breaker's page, and the one that explains it.
    pub(super) breaker: Value,
    pub(super) explained: Value,
}

/// How often each thing occurs.
type Counts = BTreeMap<String, u64>;

fn counted(things: impl IntoIterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    counts
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Ledger {
    fn access(&self) -> impl Iterator<Item = &Value> {
        let lines = self.lines.iter();
        lines.filter(|line| line.get("requestMethod").is_some())
    }

    fn events<'a>(&'a self, message: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["msg"] == message)
    }

    pub(super) fn statistic(&self, name: &str) -> u64 {
        self.breaker["statistics"][name].as_u64().unwrap()
    }

    pub(super) fn metric(&self, series: &str) -> u64 {
        self.metrics.value(series).unwrap_or_default() as u64
    }

    pub(super) fn retries(&self, result: &str) -> u64 {
        self.metric(&format!(
            "sidefuse_retries_total{{route=\"crm\",result=\"{result}\"}}"
        ))
    }

    /// The samples of a counter that are not 0, by the values of these labels.
    fn samples(&self, name: &str, labels: &[&str]) -> Counts {
        let mut counts = Counts::new();
        for series in self.metrics.series() {
            let Some((family, rest)) = series.split_once('{') else {
                continue;
            };
            let count = self.metric(series);
            if family != name || count == 0 || !rest.contains("\"crm\"") {
                continue;
            }
            let value = |label: &&str| {
                let begin = format!("{label}=\"");
                let (_, rest) = rest.split_once(&begin).unwrap();
                rest.split('"').next().unwrap().to_owned()
            };
            let values: Vec<String> = labels.iter().map(value).collect();
            *counts.entry(values.join(" ")).or_default() += count;
        }
        counts
    }

    /// Each call has one line, which says what its caller was told.
    pub(super) fn callers_and_lines_agree(&self) {
        let told = self.told.iter();
        let told = told.map(|it| {
            format!(
                "{} {} {}",
                it.id,
                it.status,
                it.reason.as_deref().unwrap_or("")
            )
        });
        let lines = self.access().map(|line| {
            let (id, reason) = (text(&line["correlationId"]), text(&line["reason"]));
            format!("{id} {} {reason}", line["statusCode"])
        });
        assert_eq!(counted(told), counted(lines));
    }

    /// The counters of calls and refusals are the sums of the lines.
    pub(super) fn lines_and_metrics_agree(&self) {
        let ended = self.access().map(|line| {
            let class = format!("{}xx", line["statusCode"].as_u64().unwrap() / 100);
            format!(
                "{} {class} {}",
                text(&line["requestMethod"]),
                text(&line["outcome"])
            )
        });
        let labels = ["method", "code_class", "outcome"];
        assert_eq!(
            counted(ended),
            self.samples("sidefuse_requests_total", &labels)
        );

        let is_refusal = |reason: &&str| ["circuit_open", "throttled"].contains(reason);
        let reasons: Vec<_> = self.access().map(|line| text(&line["reason"])).collect();
        let refused = reasons
            .iter()
            .copied()
            .filter(is_refusal)
            .map(str::to_owned);
        assert_eq!(
            counted(refused),
            self.samples("sidefuse_rejected_total", &["reason"])
        );
        let others = reasons.into_iter();
        let others = others.filter(|reason| !reason.is_empty() && !is_refusal(reason));
        let others = counted(others.map(str::to_owned));
        assert!(
            others.keys().all(|reason| reason == "timeout"),
            "the drill has no other endings: {others:?}"
        );
        assert_eq!(self.metric("sidefuse_log_lines_dropped_total"), 0);
        assert_eq!(self.metric("sidefuse_in_flight_requests{route=\"crm\"}"), 0);
    }

    /// What came to the origin is what each line says, what the retries are, and what the breaker has judged.
    pub(super) fn attempts_agree(&self) {
        let came = self.received.iter();
        let came = counted(came.map(|it| it.head.header("x-correlation-id").unwrap().to_owned()));
        let lines: Counts = self
            .access()
            .map(|line| {
                let attempts = line["attempts"].as_u64().unwrap();
                (text(&line["correlationId"]).to_owned(), attempts)
            })
            .filter(|(_, attempts)| *attempts > 0)
            .collect();
        assert_eq!(came, lines);

        let numbers = |id: &str| -> Vec<&str> {
            let its = self.received.iter();
            let its = its.filter(|it| it.head.header("x-correlation-id") == Some(id));
            its.filter_map(|it| it.head.header("x-attempt")).collect()
        };
        for (id, count) in came.iter().filter(|(_, count)| **count > 1) {
            let wanted: Vec<_> = (2..=*count).map(|number| number.to_string()).collect();
            assert_eq!(numbers(id), wanted, "{id}");
        }
        let again = self.received.iter();
        let again = again.filter(|it| it.head.header("x-attempt").is_some());
        assert_eq!(
            again.count() as u64,
            self.retries("answered") + self.retries("failed"),
            "{:?}",
            self.samples("sidefuse_retries_total", &["result"])
        );

        let judged = ["successes", "failures", "alive", "throttled", "ignored"];
        let judged: u64 = judged.iter().map(|name| self.statistic(name)).sum();
        assert_eq!(judged, self.received.len() as u64);
        let total = judged + self.statistic("rejected");
        assert_eq!(self.statistic("totalCalls"), total);
        assert_eq!(
            self.samples("sidefuse_attempt_failures_total", &["reason"])
                .get("timeout")
                .copied()
                .unwrap_or_default(),
            self.statistic("timeouts")
        );
    }

    /// Every change of the breaker is one event and one step of a counter, and the latest stand in its history in the same order.
    pub(super) fn transitions_agree(&self) {
        let change = |it: &Value| {
            let (from, to) = (&it["from"], &it["to"]);
            let from = from.as_str().unwrap_or_else(|| text(&from["state"]));
            let to = to.as_str().unwrap_or_else(|| text(&to["state"]));
            format!("{from} {to} {}", text(&it["cause"]))
        };
        let events = self.lines.iter().filter(|line| line["breaker"] == "crm");
        let events: Vec<String> = events.map(change).collect();
        assert_eq!(
            counted(events.clone()),
            self.samples(
                "sidefuse_breaker_transitions_total",
                &["from", "to", "cause"]
            )
        );
        let history = self.explained["transitions"].as_array().unwrap();
        let history: Vec<String> = history.iter().map(change).collect();
        assert!(events.ends_with(&history), "{history:?}\n{events:?}");
        assert_eq!(history.len(), events.len().min(32));

        let mut state = "closed";
        for event in &events {
            let (from, rest) = event.split_once(' ').unwrap();
            assert_eq!(state, from, "{events:?}");
            state = rest.split_once(' ').unwrap().0;
        }
        assert_eq!(text(&self.breaker["state"]), state);
        for (name, value) in [("closed", 1), ("open", 0), ("half_open", 0)] {
            let series = format!("sidefuse_breaker_state{{breaker=\"crm\",state=\"{name}\"}}");
            assert_eq!(self.metric(&series), value);
        }
        for (cause, label) in [
            ("closed open consecutive_failures", "failures"),
            ("open half_open reset_timeout", "probes"),
            ("half_open open probe_failed", "failed probes"),
            ("half_open closed probes_succeeded", "recovery"),
        ] {
            assert!(
                events.iter().any(|event| event == cause),
                "{label}: {events:?}"
            );
        }
    }

    /// Every first pause of a row has its release, and the breaker has counted each wish for one.
    pub(super) fn pauses_agree(&self, wished: u64) {
        let first = self.events("Route throttled");
        let first = first.filter(|event| event["signalsInARow"] == 1);
        let begun = first.count();
        assert!(begun >= 2, "the drill asks for two");
        assert_eq!(begun, self.events("Route released").count());
        assert_eq!(self.breaker["throttle"]["throttled"], false);
        assert_eq!(self.statistic("throttled"), wished);
        let seconds = self
            .metrics
            .value("sidefuse_throttled_seconds_total{route=\"crm\"}");
        assert!(seconds.unwrap() >= begun as f64, "one second each at least");
    }
}

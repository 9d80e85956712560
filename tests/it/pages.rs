//! What operators' pages, metrics, answers and lines say of the same instant, while everything happens that can: failures, pauses of the
//! route and of keys, orders.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use sidefuse::resilience::Key;
use sidefuse::time::{Deadline, now, sleep_until, wall};

use crate::support::memory::{Said, Script, Stage, on_stage};
use crate::support::metrics::Metrics;

const CONFIG: &str = "\
version: 1
routes:
  r:
    upstream: http://origin
    breaker: {failure_threshold: 3, success_threshold: 1, reset_timeout: 5s, key: {header: X-T}}
    throttle: {min: 100ms, max: 20s}
    classify: [{status: 420, as: throttled, scope: key, pause: 2500ms}]
";

const TENANTS: [&str; 3] = ["a", "b", "c"];

/// An origin that answers with that status, and a wish for a pause where it is 429.
fn origin(status: &Arc<Mutex<u16>>) -> Script {
    let status = Arc::clone(status);
    Arc::new(move |_| {
        let status = *status.lock().unwrap();
        let mut answer = Response::builder().status(status);
        if status == 429 {
            answer = answer.header("retry-after", "3");
        }
        let answer = answer.body(Full::new(Bytes::new())).unwrap();
        Box::pin(std::future::ready(answer))
    })
}

/// What the pages say at one instant.
struct Shown {
    one: Value,
    explained: Value,
    metrics: Metrics,
    /// The wall clock before and after they were asked for.
    between: (SystemTime, SystemTime),
}

impl Shown {
    async fn by(stage: &Stage) -> Self {
        let begin = wall();
        let page = async |path: &str| {
            let (status, text) = stage.operate("GET", path, &Value::Null).await;
            assert_eq!(status, 200, "{text}");
            text
        };
        let one = page("/circuit-breakers/r").await;
        let explained = page("/circuit-breakers/r/explain").await;
        let metrics = page("/metrics").await;
        Self {
            one: serde_json::from_str(&one).unwrap(),
            explained: serde_json::from_str(&explained).unwrap(),
            metrics: Metrics::read(&metrics),
            between: (begin, wall()),
        }
    }

    /// In how many seconds that is, rounded up: at the least and at the most, since the wall goes on while the clock stands still.
    fn wait(&self, at: &Value) -> Option<(u64, u64)> {
        let at = humantime::parse_rfc3339(at.as_str()?).unwrap();
        let seconds = |from: SystemTime, more: i64| {
            let left = at.duration_since(from).unwrap_or_default().as_millis();
            let left = u64::try_from(left).unwrap().saturating_add_signed(more);
            left.div_ceil(1_000).max(1)
        };
        let (begin, end) = self.between;
        Some((seconds(end, -2), seconds(begin, 2)))
    }

    /// The page of the key's own breaker, where it is one of the worst.
    fn of_key(&self, tenant: &str) -> Option<&Value> {
        let key = Key::of(tenant.as_bytes()).to_string();
        let worst = self.explained["keys"]["worst"].as_array()?;
        worst.iter().find(|one| one["key"] == *key)
    }

    /// The reason for which a call of that tenant is refused, and when it may come back.
    fn refusal(&self, tenant: &str) -> Option<(&'static str, Option<(u64, u64)>)> {
        let next = |page: &Value| {
            self.wait(&page["nextProbeAt"])
                .or(self.wait(&page["until"]))
        };
        if let Some(rejects) = self.explained["rejects"].as_str() {
            let reason = if rejects.starts_with("an operator") {
                "forced_open"
            } else {
                "circuit_open"
            };
            return Some((reason, next(&self.one)));
        }
        if let Some(key) = self.of_key(tenant).filter(|key| key["state"] == "open") {
            let reason = if key["mode"] == "forced_open" {
                "forced_open"
            } else {
                "circuit_open"
            };
            return Some((reason, self.wait(&key["nextProbeAt"])));
        }
        let until = self.wait(&self.one["throttle"]["until"])?;
        Some(("throttled", Some(until)))
    }

    fn agrees_with_itself(&self) {
        let (one, explained) = (&self.one, &self.explained);
        for field in ["state", "mode", "explanation", "nextProbeAt", "throttle"] {
            let same = |page: &Value| match field {
                // A text that tells a time left, and times that are told by a wall that goes on.
                "nextProbeAt" => json!(page[field].is_string()),
                "throttle" => json!(page[field]["until"].is_string()),
                "explanation" => json!(page[field].as_str().unwrap().split(' ').next()),
                _ => page[field].clone(),
            };
            assert_eq!(same(one), same(explained), "{field}");
        }
        let gauge = |family: &str, label: &str, value: &str| {
            let series = format!("{family}{{breaker=\"r\",{label}=\"{value}\"}}");
            self.metrics.value(&series)
        };
        for state in ["closed", "open", "half_open"] {
            let is = f64::from(u8::from(one["state"] == state));
            assert_eq!(
                gauge("sidefuse_breaker_state", "state", state),
                Some(is),
                "{one}"
            );
        }
        for mode in ["forced_open", "forced_closed"] {
            let is = f64::from(u8::from(one["mode"] == mode));
            assert_eq!(
                gauge("sidefuse_breaker_forced", "mode", mode),
                Some(is),
                "{one}"
            );
        }
        for (state, field) in [
            ("closed", "closed"),
            ("open", "open"),
            ("half_open", "halfOpen"),
        ] {
            let count = explained["keys"][field].as_f64();
            assert_eq!(
                gauge("sidefuse_breaker_keys", "state", state),
                count,
                "{explained}"
            );
        }
    }
}

/// An order of an operator's now and then, for the route or for a key.
async fn order_something(stage: &Stage) {
    let verb = ["open", "close", "auto"][fastrand::usize(..3)];
    let mut body = json!({"reason": "INC-7"});
    if verb == "open" {
        body["for"] = json!("2500ms");
    }
    if fastrand::bool() {
        body["key"] = json!(TENANTS[fastrand::usize(..3)]);
    }
    let path = format!("/circuit-breakers/r/{verb}");
    let (status, text) = stage.operate("POST", &path, &body).await;
    // A key that never failed has nothing to close.
    assert!(status == 200 || status == 404 && verb != "open", "{text}");
}

fn counted(things: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    counts
}

#[test]
fn rule_6_pages_metrics_answers_and_lines_agree_through_failures_pauses_keys_and_orders_case_190() {
    const CALLS: usize = 700;
    let status = Arc::new(Mutex::new(200));
    on_stage(CONFIG, origin(&status), async |stage| {
        let mut met: Vec<(u16, Option<&'static str>)> = Vec::new();
        for _ in 0..CALLS {
            let pause = Duration::from_millis(fastrand::u64(1..700));
            sleep_until(Deadline::after(now(), pause)).await;
            *status.lock().unwrap() =
                [200, 200, 500, 500, 500, 404, 420, 429][fastrand::usize(..8)];
            if fastrand::u8(..30) == 0 {
                order_something(&stage).await;
            }
            let tenant = TENANTS[fastrand::usize(..3)];
            let shown = Shown::by(&stage).await;
            shown.agrees_with_itself();
            let said: Said = stage.ask(Request::get("/r/x").header("x-t", tenant)).await;
            let reason = said.header("x-sidefuse-reason");
            let expected = match shown.refusal(tenant) {
                // Only the number of keys with a pause of their own is shown.
                None if reason == "throttled" => {
                    assert!(
                        shown.one["throttle"]["keys"].as_u64() > Some(0),
                        "{}",
                        shown.one
                    );
                    Some(("throttled", None))
                }
                expected => expected,
            };
            assert_eq!(
                reason,
                expected.map_or("", |(reason, _)| reason),
                "{tenant}: {} {}",
                shown.explained["explanation"],
                shown.explained["keys"]
            );
            if let Some((_, Some((least, most)))) = expected {
                let wait: u64 = said.header("retry-after").parse().unwrap();
                // A pause of the key may be the longer one.
                let is_pause = reason == "throttled";
                assert!(
                    wait >= least && (wait <= most || is_pause),
                    "{wait} {least} {most}"
                );
            }
            met.push((said.status, expected.map(|(reason, _)| reason)));
        }

        let shown = Shown::by(&stage).await;
        let lines = stage.lines();
        let told = met
            .iter()
            .map(|(status, reason)| format!("{status} {}", reason.unwrap_or_default()));
        let lined = lines.iter().map(|line| {
            format!(
                "{} {}",
                line["statusCode"],
                line["reason"].as_str().unwrap_or_default()
            )
        });
        assert!(told.clone().eq(lined), "in the same order");
        for ((reason, count), least) in
            counted(met.iter().filter_map(|met| met.1.map(str::to_owned)))
                .iter()
                .zip([50, 5, 50])
        {
            let series = format!("sidefuse_rejected_total{{route=\"r\",reason=\"{reason}\"}}");
            assert_eq!(shown.metrics.value(&series), Some(*count as f64));
            assert!(*count > least, "hardly any {reason}: {count}");
        }
        let ended = lines.iter().map(|line| {
            let class = line["statusCode"].as_u64().unwrap() / 100;
            format!(
                "code_class=\"{class}xx\",outcome=\"{}\"",
                line["outcome"].as_str().unwrap()
            )
        });
        for (labels, count) in counted(ended) {
            let series = format!("sidefuse_requests_total{{route=\"r\",method=\"GET\",{labels}}}");
            assert_eq!(shown.metrics.value(&series), Some(count as f64), "{series}");
        }
        assert_eq!(shown.metrics.sum("sidefuse_requests_total"), CALLS as f64);
        let attempts = lines.iter().map(|line| line["attempts"].as_u64().unwrap());
        assert_eq!(attempts.sum::<u64>(), stage.origin.calls() as u64);
        let statistics = &shown.one["statistics"];
        let judged = ["successes", "failures", "alive", "throttled", "ignored"];
        let judged = judged.map(|name| statistics[name].as_u64().unwrap());
        assert_eq!(judged.iter().sum::<u64>(), stage.origin.calls() as u64);
    });
}

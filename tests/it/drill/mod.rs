//! The outage drill: real callers, a real process, a real origin that goes through everything an upstream does on a bad day. At the
//! end all books must agree, to the request.
//!
//! What happens when is decided by what operators see, never by the time.

mod callers;
mod ledger;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidefuse::time::{Deadline, now};

use self::callers::{Callers, Told};
use self::ledger::Ledger;
use crate::support::PATIENCE;
use crate::support::answer::Answer;
use crate::support::client;
use crate::support::config::{config_with, route};
use crate::support::gate::let_pass;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal};

const CALLERS: usize = 8;

/// What the origin does with each call.
#[derive(Clone, Copy)]
enum Mood {
    /// 200.
    Well,
    /// 503.
    Down,
    /// 429, and 503 with `Retry-After`, by turns.
    Busy,
    /// No answer.
    Hung,
}

/// The drill's stage.
struct Drill {
    mood: Arc<Mutex<Mood>>,
    /// How often the origin has asked for a pause.
    wishes: Arc<AtomicU64>,
    origin: Origin,
    sidefuse: Sidefuse,
}

impl Drill {
    fn start(settings: &str) -> Self {
        let mood = Arc::new(Mutex::new(Mood::Well));
        let wishes = Arc::new(AtomicU64::new(0));
        let (its_mood, its_wishes) = (Arc::clone(&mood), Arc::clone(&wishes));
        let origin = Origin::start(move |request| {
            let mood = *its_mood.lock().unwrap();
            match mood {
                Mood::Well => Answer::ok("fine"),
                Mood::Down => Answer::status(503, &[], "down"),
                Mood::Busy => {
                    its_wishes.fetch_add(1, Ordering::SeqCst);
                    let status = if request.number % 2 == 0 { 429 } else { 503 };
                    Answer::status(status, &[("Retry-After", "1")], "busy")
                }
                Mood::Hung => Answer::script().until_gone(),
            }
        });
        let crm = route("crm", &origin.url(), settings);
        Self {
            mood,
            wishes,
            sidefuse: Sidefuse::start(&config_with("workers: 3", &[crm])),
            origin,
        }
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Waits until operators and callers have seen enough.
    fn until(&self, what: &str, is_seen: impl Fn(&Value, &Value) -> bool) {
        let patience = Deadline::after(now(), PATIENCE);
        loop {
            let (breaker, explained) = self.pages();
            if is_seen(&breaker, &explained) {
                return;
            }
            assert!(!patience.has_passed(now()), "{what}: {breaker}");
            let_pass(Duration::from_millis(5));
        }
    }

    fn pages(&self) -> (Value, Value) {
        let page = |path: &str| {
            let path = format!("/circuit-breakers/crm{path}");
            client::get(self.sidefuse.admin(), &path).json()
        };
        (page(""), page("/explain"))
    }

    /// One bad day.
    fn day(&self, callers: &Callers) {
        let fine = |it: &Told| it.status == 200;
        let because = |reason: &'static str| move |it: &Told| it.reason.as_deref() == Some(reason);
        let is_well = |breaker: &Value| {
            breaker["state"] == "closed" && breaker["throttle"]["throttled"] == false
        };
        self.until("upstream up", |_, _| callers.count(fine) >= 50);

        self.becomes(Mood::Down);
        self.until(
            "a storm of 503 opens it, and its probes fail",
            |_, explained| {
                let transitions = explained["transitions"].as_array().unwrap();
                let has_failed = transitions.iter().any(|it| it["cause"] == "probe_failed");
                has_failed && callers.count(because("circuit_open")) >= 20
            },
        );

        self.becomes(Mood::Busy);
        self.until("a probe is told to wait", |breaker, _| {
            breaker["throttle"]["throttled"] == true
        });
        let before = callers.count(fine);
        self.becomes(Mood::Well);
        self.until("recovered from being down", |breaker, _| {
            is_well(breaker) && callers.count(fine) >= before + 50
        });

        self.becomes(Mood::Busy);
        self.until("everybody is told to wait", |breaker, _| {
            breaker["throttle"]["throttled"] == true && callers.count(because("throttled")) >= 20
        });
        self.becomes(Mood::Hung);
        let opened = callers.count(because("circuit_open"));
        self.until("time-outs open it", |breaker, _| {
            breaker["state"] == "open"
                && breaker["statistics"]["timeouts"].as_u64() >= Some(5)
                && callers.count(because("circuit_open")) >= opened + 20
        });

        let before = callers.count(fine);
        self.becomes(Mood::Well);
        self.until("recovered from hanging", |breaker, _| {
            is_well(breaker) && callers.count(fine) >= before + 50
        });
    }

    /// Waits until every call has ended, which is a little after its caller has the answer; closes the books.
    fn close(mut self, callers: Callers) -> Ledger {
        let told = callers.stop();
        let calls = told.len() as f64;
        self.until("every call has ended", |_, _| {
            let metrics = Metrics::of(self.sidefuse.health());
            metrics.sum("sidefuse_requests_total") == calls
        });
        let (breaker, explained) = self.pages();
        let metrics = Metrics::of(self.sidefuse.health());
        let process = self.sidefuse.process();
        process.signal(Signal::Term);
        assert_eq!(process.wait_exit(), 0);
        Ledger {
            told,
            received: self.origin.requests(),
            lines: process.lines(),
            metrics,
            breaker,
            explained,
        }
    }
}

/// Books that agree whatever the route's settings are.
fn all_agree(ledger: &Ledger, wishes: u64) {
    ledger.callers_and_lines_agree();
    ledger.lines_and_metrics_agree();
    ledger.attempts_agree();
    ledger.transitions_agree();
    ledger.pauses_agree(wishes);
}

#[test]
fn after_an_outage_callers_origin_lines_metrics_and_operators_say_the_same_case_190() {
    let drill =
        Drill::start("timeout: 250ms, breaker: {failure_threshold: 5, reset_timeout: 200ms}");
    let callers = Callers::start(drill.sidefuse.proxy(), CALLERS, "/crm/x");
    drill.day(&callers);
    let wishes = Arc::clone(&drill.wishes);
    let ledger = drill.close(callers);
    all_agree(&ledger, wishes.load(Ordering::SeqCst));

    assert!(
        ledger
            .received
            .iter()
            .all(|it| it.head.header("x-attempt").is_none())
    );
    let refused = |reason: &str| {
        let its = ledger.told.iter();
        its.filter(|it| it.reason.as_deref() == Some(reason))
            .count() as u64
    };
    assert_eq!(ledger.statistic("rejected"), refused("circuit_open"));
    assert_eq!(ledger.statistic("timeouts"), refused("timeout"));
    let relayed = ledger.told.iter().filter(|it| it.reason.is_none());
    assert_eq!(
        relayed.count() as u64 + refused("timeout"),
        ledger.received.len() as u64,
        "who was refused was not sent on"
    );
}

#[test]
fn after_an_outage_with_retries_the_books_agree_as_well_case_190() {
    let drill = Drill::start(
        "timeout: 30s, attempt_timeout: 200ms, breaker: {failure_threshold: 20, reset_timeout: 200ms}, retry: {attempts: 3, base: 1ms, max: 5ms, max_retry_after: 500ms}",
    );
    let callers = Callers::start(drill.sidefuse.proxy(), CALLERS, "/crm/x");
    drill.day(&callers);
    let wishes = Arc::clone(&drill.wishes);
    let ledger = drill.close(callers);
    all_agree(&ledger, wishes.load(Ordering::SeqCst));

    assert!(ledger.retries("failed") > 0);
    let posts = ledger.received.iter();
    let posts = posts.filter(|it| it.head.first_line().starts_with("POST"));
    assert!(
        posts
            .filter(|it| it.head.header("x-attempt").is_some())
            .all(|it| it.body == b"{}"),
        "a body goes up whole each time"
    );
    let open = ledger.told.iter();
    let open = open.filter(|it| it.reason.as_deref() == Some("circuit_open"));
    let (rejected, open) = (ledger.statistic("rejected"), open.count() as u64);
    assert!(
        (open..=open + ledger.retries("refused")).contains(&rejected),
        "an opening ends the calls that would go again: {rejected}"
    );
}

#[test]
fn an_upstream_that_always_fails_gets_a_fifth_more_and_the_floor_over_real_connections_case_122() {
    let drill = Drill::start(
        "breaker: {enforcement: off}, timeout: 5s, retry: {attempts: 4, base: 1ms, max: 2ms}",
    );
    drill.becomes(Mood::Down);
    let begin = now();
    let callers = Callers::start(drill.sidefuse.proxy(), CALLERS, "/crm/x");
    drill.until("many calls", |_, _| callers.count(|_| true) >= 1_000);
    let ledger = drill.close(callers);
    let seconds = now().saturating_duration_since(begin).as_secs_f64();
    ledger.callers_and_lines_agree();
    ledger.lines_and_metrics_agree();
    ledger.attempts_agree();
    let (calls, load) = (ledger.told.len() as f64, ledger.received.len() as f64);
    // A fifth, ten a second, and what the budget held in the beginning.
    let most = calls * 1.2 + 10.0 * seconds + 10.0;
    assert!(load <= most, "{load} of {calls} calls in {seconds} s");
    assert!(load > calls, "{load} of {calls} calls");
    assert!(ledger.retries("budget_exhausted") > 0);
}

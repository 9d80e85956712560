//! The application's callers, and what they see.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::cli::client::{Answer, Client};
use crate::time::{Deadline, now, sleep_until};

/// Callers of one route that do the same, over and over.
#[derive(Clone, Debug)]
pub(super) struct Callers {
    /// The route.
    pub(super) route: &'static str,
    /// How many there are.
    pub(super) count: u32,
    /// How each rests after an answer.
    pub(super) rest: Duration,
    /// The method of their calls.
    pub(super) method: Method,
    /// What they ask for.
    pub(super) target: &'static str,
    /// What they send.
    pub(super) body: &'static str,
}

/// All callers at work, until it is dropped. Must live in a `LocalSet`.
#[derive(Debug)]
pub(super) struct Traffic {
    board: Rc<Board>,
    _callers: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Board {
    act: RefCell<Act>,
    changed: Notify,
}

/// What is counted since the act began.
#[derive(Debug, Default)]
struct Act {
    number: u32,
    tallies: BTreeMap<&'static str, Tally>,
    refusals: BTreeMap<&'static str, Refused>,
}

/// The results of the calls that one route's callers began in this act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    waits: BTreeMap<StatusCode, Vec<Duration>>,
    broken: u32,
}

/// What the proxy said to a caller that it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The status.
    pub(super) status: StatusCode,
    /// `Retry-After`, in seconds.
    pub(super) retry_after: String,
    /// `X-Sidefuse-Reason`.
    pub(super) reason: String,
    /// `X-Correlation-ID`.
    pub(super) correlation_id: String,
}

impl Traffic {
    /// Lets them call the proxy at that address.
    pub(super) fn start(proxy: SocketAddr, cast: &[Callers]) -> Self {
        let board = Rc::new(Board::default());
        let mut callers = JoinSet::new();
        for group in cast {
            for index in 0..group.count {
                // Staggered: calls at the same moment would wait for each other on this one thread.
                let delay = group.rest * index / group.count.max(1);
                let (group, board) = (group.clone(), Rc::clone(&board));
                callers.spawn_local(async move {
                    sleep_until(Deadline::after(now(), delay)).await;
                    call(proxy, group, board).await;
                });
            }
        }
        Self {
            board,
            _callers: callers,
        }
    }

    /// Begins a new act: calls that begin from now on are counted from nothing, older ones no more.
    pub(super) fn next_act(&self) {
        let mut act = self.board.act.borrow_mut();
        *act = Act {
            number: act.number + 1,
            ..Act::default()
        };
    }

    /// What callers of that route saw in this act so far.
    pub(super) fn tally(&self, route: &str) -> Tally {
        let act = self.board.act.borrow();
        act.tallies.get(route).cloned().unwrap_or_default()
    }

    /// The first refusal that a caller of that route got in this act; waits for it.
    pub(super) async fn refusal(&self, route: &str) -> Refused {
        loop {
            let changed = self.board.changed.notified();
            if let Some(refused) = self.board.act.borrow().refusals.get(route) {
                return refused.clone();
            }
            changed.await;
        }
    }
}

async fn call(proxy: SocketAddr, callers: Callers, board: Rc<Board>) {
    let mut client = Client::new(proxy);
    loop {
        let (act, begin) = (board.act.borrow().number, now());
        let answer = client
            .call(callers.method.clone(), callers.target, callers.body)
            .await;
        let wait = now().saturating_duration_since(begin);
        board.record(act, callers.route, wait, answer.ok().as_ref());
        sleep_until(Deadline::after(now(), callers.rest)).await;
    }
}

impl Board {
    fn record(&self, number: u32, route: &'static str, wait: Duration, answer: Option<&Answer>) {
        let mut act = self.act.borrow_mut();
        if act.number != number {
            return;
        }
        let tally = act.tallies.entry(route).or_default();
        match answer {
            Some(answer) => tally.waits.entry(answer.status).or_default().push(wait),
            None => tally.broken += 1,
        }
        if let Some(refused) = answer.and_then(Refused::of) {
            act.refusals.entry(route).or_insert(refused);
        }
        drop(act);
        self.changed.notify_waiters();
    }
}

impl Tally {
    /// The median wait of the answered calls; `None` without an answer.
    pub(super) fn median(&self) -> Option<Duration> {
        median(self.waits.values().flatten().copied().collect())
    }

    /// The same for the calls that got that answer.
    pub(super) fn median_of(&self, status: StatusCode) -> Option<Duration> {
        median(self.waits.get(&status)?.clone())
    }

    /// Whether there were answers, and all of them had that status.
    pub(super) fn is_all(&self, status: StatusCode) -> bool {
        self.broken == 0 && self.waits.len() == 1 && self.waits.contains_key(&status)
    }

    /// The answers in words: "5 × 504 Gateway Timeout".
    pub(super) fn answers(&self) -> String {
        let broken = (self.broken > 0).then(|| format!("{} × broken off", self.broken));
        let texts: Vec<String> = self
            .waits
            .iter()
            .map(|(status, waits)| format!("{} × {status}", waits.len()))
            .chain(broken)
            .collect();
        if texts.is_empty() {
            "none yet".to_owned()
        } else {
            texts.join(", ")
        }
    }
}

impl Refused {
    /// `None` for an answer that is not the proxy's own refusal with a time to come back.
    fn of(answer: &Answer) -> Option<Self> {
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        Some(Self {
            status: answer.status,
            retry_after: text(&answer.headers, RETRY_AFTER.as_str())?,
            reason: text(&answer.headers, "x-sidefuse-reason")?,
            correlation_id: text(&answer.headers, "x-correlation-id")?,
        })
    }
}

fn median(mut waits: Vec<Duration>) -> Option<Duration> {
    waits.sort_unstable();
    waits.get(waits.len().checked_sub(1)? / 2).copied()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(status: StatusCode, headers: &[(&'static str, &'static str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        });
        Answer {
            status,
            headers: headers.collect(),
            body: Bytes::new(),
        }
    }

    fn traffic() -> Traffic {
        Traffic::start(([127, 0, 0, 1], 9).into(), &[])
    }

    #[test]
    fn a_call_counts_in_the_act_that_it_began_in_and_in_no_other() {
        let traffic = traffic();
        let ok = answer(StatusCode::OK, &[]);
        let wait = Duration::from_millis(3);
        traffic.board.record(0, "email", wait, Some(&ok));
        assert!(traffic.tally("email").is_all(StatusCode::OK));
        traffic.next_act();
        traffic.board.record(0, "email", wait, Some(&ok));
        assert_eq!(traffic.tally("email"), Tally::default());
        assert!(!traffic.tally("email").is_all(StatusCode::OK));
    }

    #[test]
    fn the_median_is_a_wait_that_somebody_had() {
        let traffic = traffic();
        assert_eq!(traffic.tally("email").median(), None);
        let late = answer(StatusCode::GATEWAY_TIMEOUT, &[]);
        for (wait, expected) in [(9, 9), (1, 1), (5, 5), (7, 5)] {
            let wait = Duration::from_millis(wait);
            traffic.board.record(0, "email", wait, Some(&late));
            let expected = Some(Duration::from_millis(expected));
            let tally = traffic.tally("email");
            assert_eq!(tally.median(), expected);
            assert_eq!(tally.median_of(StatusCode::GATEWAY_TIMEOUT), expected);
            assert_eq!(tally.median_of(StatusCode::OK), None);
        }
    }

    #[test]
    fn answers_are_told_by_status_and_broken_calls_as_such() {
        let traffic = traffic();
        assert_eq!(traffic.tally("email").answers(), "none yet");
        let late = answer(StatusCode::GATEWAY_TIMEOUT, &[]);
        for answer in [Some(&late), None, Some(&late)] {
            traffic.board.record(0, "email", Duration::ZERO, answer);
        }
        let tally = traffic.tally("email");
        assert_eq!(tally.answers(), "2 × 504 Gateway Timeout, 1 × broken off");
        assert!(!tally.is_all(StatusCode::GATEWAY_TIMEOUT));
    }

    #[tokio::test]
    async fn only_a_refusal_of_the_proxy_is_taken_for_one() {
        let traffic = traffic();
        let upstreams = answer(StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", "9")]);
        let own = answer(
            StatusCode::SERVICE_UNAVAILABLE,
            &[
                ("retry-after", "3"),
                ("x-sidefuse-reason", "breaker_open"),
                ("x-correlation-id", "id-1"),
            ],
        );
        for answer in [&upstreams, &own] {
            let wait = Duration::ZERO;
            traffic.board.record(0, "whatsapp", wait, Some(answer));
        }
        let refused = traffic.refusal("whatsapp").await;
        assert_eq!(
            (
                refused.retry_after.as_str(),
                refused.correlation_id.as_str()
            ),
            ("3", "id-1")
        );
    }
}

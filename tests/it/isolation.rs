//! A route's trouble stays its own, also on the host that it shares with another.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::task::spawn_local;

use crate::support::memory::{Script, Stage, on_stage};

const CONFIG: &str = "\
version: 1
routes:
  a: {upstream: http://origin, timeout: 2s, breaker: {failure_threshold: 5, reset_timeout: 60s}, retry: {attempts: 2}}
  b: {upstream: http://origin}
";

/// How long the upstream takes for a call of B.
const ITS_TIME: Duration = Duration::from_millis(5);

/// What the host does with calls of A.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    /// It never answers.
    Hung,
    /// It fails at once.
    Failing,
}

/// B is well, whatever happens to A.
fn host(trouble: Trouble) -> Script {
    Arc::new(move |request| {
        let is_of_a = request.uri().path() == "/of-a";
        Box::pin(async move {
            let mut status = 200;
            match (is_of_a, trouble) {
                (false, _) => sleep_until(Deadline::after(now(), ITS_TIME)).await,
                (true, Trouble::Hung) => std::future::pending().await,
                (true, Trouble::Failing) => status = 500,
            }
            let answer = Response::builder().status(status);
            answer.body(Full::new(Bytes::new())).unwrap()
        })
    })
}

/// Callers of A who never stop.
async fn flood(stage: &Rc<Stage>) {
    for _ in 0..20 {
        let mut caller = stage.caller().await;
        spawn_local(async move {
            loop {
                caller.get("/a/of-a").await;
                sleep_until(Deadline::after(now(), Duration::from_millis(20))).await;
            }
        });
    }
}

#[test]
fn no_call_of_b_takes_longer_while_a_on_the_same_host_is_hung_failing_or_open_case_137() {
    for trouble in [Trouble::Hung, Trouble::Failing] {
        on_stage(CONFIG, host(trouble), async |stage| {
            flood(&stage).await;
            let mut b = stage.caller().await;
            let mut connections = None;
            for call in 0..600 {
                let begun = now();
                let got = b.get("/b/x").await;
                // The clock of the stage stands still while anybody is at work: exactly the upstream's own time.
                assert_eq!((got.status, got.at - begun), (200, ITS_TIME), "call {call}");
                if stage.route("a").breaker.view(now()).rejects.is_some() {
                    let first = *connections.get_or_insert(stage.origin.connections());
                    assert_eq!(
                        stage.origin.connections(),
                        first,
                        "an open breaker connects"
                    );
                }
            }
            assert!(connections.is_some(), "A never opened");
            assert!(stage.route("b").breaker.view(now()).rejects.is_none());
        });
    }
}

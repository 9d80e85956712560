//! A call whose caller leaves, at every point of its way and in every manner: one line, and nothing of it is left.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::Value;
use sidefuse::resilience::{Chance, Label, Outcome, Sample, Scope, Signal, State, Ticket};
use sidefuse::time::{Deadline, now, sleep_until};
use sidefuse::upstream::{Checkout, Pool, Purpose, Wanted};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use super::{pass, settle, the_line};
use crate::support::memory::{Stage, always, on_stage};
use crate::support::raw::at_once;

const GET: &str = "GET /r/x HTTP/1.1\r\nHost: h\r\n\r\n";

/// How a caller's connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// He sends no more, and still reads.
    Fin,
    /// He has closed it.
    Gone,
    /// It is reset.
    Reset,
    /// We cut it, at the end of a drain.
    Cut,
}

/// Where a call is then.
struct At {
    place: &'static str,
    /// Of the route.
    settings: &'static str,
    call: &'static str,
    /// What the origin says to it, and how much of the body; nothing where there is no head.
    head: &'static [&'static str],
    body: usize,
}

impl At {
    const fn silent(place: &'static str, settings: &'static str) -> Self {
        Self {
            place,
            settings,
            call: GET,
            head: &[],
            body: 0,
        }
    }

    const fn answered(place: &'static str, head: &'static [&'static str], body: usize) -> Self {
        Self {
            head,
            body,
            ..Self::silent(place, "preserve_host: false")
        }
    }

    fn is_tunnel(&self) -> bool {
        self.place == "as a tunnel"
    }
}

const EVERYWHERE: [At; 11] = [
    At::silent(
        "in the bulkhead's queue",
        "limits: {concurrency: {max: 1, queue: 9, queue_timeout: 1h}}",
    ),
    At::silent("in a pause", "throttle: {wait: 1h, max: 1h}"),
    At::silent("in the pool's queue", "preserve_host: false"),
    At::silent("while it connects", "preserve_host: false"),
    At {
        call: "POST /r/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhel",
        ..At::silent("in its upload", "preserve_host: false")
    },
    At::silent("before the headers", "preserve_host: false"),
    At {
        settings: "classify: [{status: any, json: {/ok: false}, as: failure}]",
        ..At::answered(
            "while we look into the body",
            &[
                "HTTP/1.1 200 OK",
                "content-type: application/json",
                "content-length: 99",
            ],
            9,
        )
    },
    At::answered("in the body", &["HTTP/1.1 200 OK", "content-length: 99"], 9),
    At::answered(
        "with a body that he does not read",
        &["HTTP/1.1 200 OK", "content-length: 9999999"],
        999_999,
    ),
    At {
        settings: "retry: {attempts: 3, max_retry_after: 1h}",
        ..At::answered(
            "in a back-off",
            &["HTTP/1.1 503 X", "retry-after: 1800", "content-length: 0"],
            0,
        )
    },
    At {
        call: "GET /r/x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ..At::answered(
            "as a tunnel",
            &[
                "HTTP/1.1 101 X",
                "connection: upgrade",
                "upgrade: websocket",
            ],
            9,
        )
    },
];

/// A caller's connection that can be reset.
struct Line {
    stream: DuplexStream,
    is_reset: Arc<AtomicBool>,
}

impl Line {
    fn broken(&self) -> io::Result<()> {
        if self.is_reset.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.broken()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.broken()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.broken()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What stands in the call's way, for as long as it is kept.
async fn hold_up(stage: &Stage, place: &str) -> (Option<Checkout>, Option<Ticket>) {
    let route = stage.route("r");
    match place {
        "in the bulkhead's queue" => {
            let bulkhead = route.limits.bulkhead.as_ref().unwrap();
            (None, Some(bulkhead.enter().unwrap()))
        }
        "in a pause" => {
            let throttle = &route.limits.throttle;
            let signal = Signal {
                scope: Scope::Route,
                pause: Some(Duration::from_secs(1_800)),
            };
            let wishes = throttle.admit(None, now()).unwrap();
            throttle.settle(wishes, Outcome::Throttled, Some(signal), now());
            (None, None)
        }
        "in the pool's queue" => {
            let wanted = Wanted {
                start: now(),
                deadline: Deadline::after(now(), Duration::from_secs(9)),
                chance: Chance::WHOLE,
                purpose: Purpose::Call,
                avoid: None,
                recall: None,
                held: None,
            };
            let other = Pool::new(Arc::clone(&route.upstream), 1, 2);
            (other.checkout(wanted).await.ok(), None)
        }
        "while it connects" => {
            stage.origin.becomes_a_black_hole();
            (None, None)
        }
        _ => (None, None),
    }
}

async fn ends(stage: &Rc<Stage>, at: &At, end: End) {
    let route = stage.route("r");
    let mut speech = vec![(Duration::from_secs(7_200), Vec::new())];
    if !at.head.is_empty() {
        speech.splice(..0, at_once(at.head, &vec![b'x'; at.body]));
    }
    stage.origin.says(speech);
    // Half-open, so that the call is its probe.
    let fails = route.breaker.admit(now()).unwrap();
    fails.finish(Sample::failure(Label::Named("timeout")), now());
    pass(1).await;
    assert_eq!(route.breaker.in_force(now()).0, State::HalfOpen);
    let held_up = hold_up(stage, at.place).await;

    let (mut caller, far) = tokio::io::duplex(64 * 1024);
    let is_reset = Arc::<AtomicBool>::default();
    let line = Line {
        stream: far,
        is_reset: Arc::clone(&is_reset),
    };
    let serving = stage.serve(line);
    caller.write_all(at.call.as_bytes()).await.unwrap();
    pass(1).await;
    assert_eq!(serving.is_finished(), at.is_tunnel(), "{}", at.place);
    let mut kept = None;
    match end {
        End::Fin => {
            caller.shutdown().await.unwrap();
            kept = Some(caller);
        }
        End::Gone => drop(caller),
        End::Reset => {
            is_reset.store(true, Ordering::SeqCst);
            drop(caller);
        }
        End::Cut => {
            stage.cut();
            serving.abort();
        }
    }
    settle().await;

    let told = format!("{end:?} {}", at.place);
    let line = the_line(stage);
    drop((held_up, kept));
    settle().await;
    let reason = match end {
        // How both sides end it is theirs to know.
        _ if at.is_tunnel() => Value::Null,
        End::Cut => "draining".into(),
        End::Fin | End::Gone | End::Reset => "client_gone".into(),
    };
    assert_eq!(line["reason"], reason, "{told}: {line}");
    assert_eq!(stage.connections(), 0, "{told}");
    let pool = route.upstream.statistics();
    assert_eq!((pool.using, pool.waiting), (0, 0), "{told}");
    if let Some(bulkhead) = &route.limits.bulkhead {
        assert_eq!(
            (bulkhead.view().in_use, bulkhead.view().waiting),
            (0, 0),
            "{told}"
        );
    }
    assert_eq!(route.limits.throttle.view(now()).waiting, 0, "{told}");
    let view = route.breaker.view(now());
    assert_eq!(view.probes.map_or(0, |probes| probes.out), 0, "{told}");
    // Whatever its call came to, the next one may go.
    sleep_until(Deadline::after(now(), Duration::from_secs(1))).await;
    assert!(route.breaker.admit(now()).is_ok(), "{told}");
}

#[test]
fn rule_3_a_probe_whose_caller_leaves_is_one_line_and_no_slot_wherever_it_is_and_however_case_188()
{
    for at in &EVERYWHERE {
        for end in [End::Fin, End::Gone, End::Reset, End::Cut] {
            // One half of a tunnel may close, and it is no part of the connection any more.
            if at.is_tunnel() && end != End::Reset {
                continue;
            }
            let config = format!(
                "version: 1\nroutes: {{r: {{upstream: {{url: http://origin, connect_timeout: 1h, pool: {{max: 1, acquire_timeout: 1h}}}}, timeout: 2h, idle_timeout: 1h, breaker: {{failure_threshold: 1, success_threshold: 1, reset_timeout: 1s, half_open_timeout: 1h}}, {}}}}}\n",
                at.settings
            );
            on_stage(&config, always(200), async |stage| {
                ends(&stage, at, end).await
            });
        }
    }
}

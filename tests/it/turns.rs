//! Many callers at one moment are let in by turns: nobody is forgotten, whatever happens meanwhile.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sidefuse::net::Phase;
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::{spawn_local, yield_now};
use tokio::time::advance;

use crate::support::memory::{Stage, always, on_stage};

const CONFIG: &str = "\
version: 1
routes: {r: {upstream: {url: http://origin, pool: {max: 2000}}}}
";
const GET: &[u8] = b"GET /r/x HTTP/1.1\r\nHost: x\r\n\r\n";
const CALLERS: usize = 500;

async fn pass(seconds: u64) {
    sleep_until(Deadline::after(now(), Duration::from_secs(seconds))).await;
}

fn pipes(stage: &Stage) -> Vec<DuplexStream> {
    (0..CALLERS).map(|_| stage.pipe()).collect()
}

async fn call(pipes: &mut [DuplexStream]) {
    for pipe in pipes {
        pipe.write_all(GET).await.unwrap();
    }
}

fn begun(stage: &Stage) -> usize {
    stage.worker.load().begun.load(Ordering::Relaxed)
}

/// Calls; and waits until some of the calls have been let in, and some have not.
async fn call_and_wait(stage: &Stage, pipes: &mut [DuplexStream]) {
    let before = begun(stage);
    call(pipes).await;
    while begun(stage) == before {
        yield_now().await;
    }
    let in_by_now = begun(stage) - before;
    assert!(in_by_now < CALLERS / 2, "{in_by_now}");
}

/// The head of the next answer.
async fn head(pipe: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"{}") {
        assert_ne!(pipe.read_buf(&mut text).await.unwrap(), 0);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_crowd_is_answered_and_the_first_answers_come_before_the_last_calls_begin_also_after_a_rest() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipes = pipes(&stage);
        for round in 0..3 {
            let before = begun(&stage);
            call(&mut pipes).await;
            let begun_by_then = Rc::<RefCell<Vec<usize>>>::default();
            let mut readers = Vec::new();
            for mut pipe in pipes {
                let (stage, by_then) = (Rc::clone(&stage), Rc::clone(&begun_by_then));
                readers.push(spawn_local(async move {
                    assert!(head(&mut pipe).await.starts_with("HTTP/1.1 200"));
                    by_then.borrow_mut().push(begun(&stage) - before);
                    pipe
                }));
            }
            pipes = Vec::new();
            for reader in readers {
                pipes.push(reader.await.unwrap());
            }
            let by_then = begun_by_then.borrow()[0];
            assert!(by_then < CALLERS / 2, "{round}: {by_then}");
            // All of them rest.
            pass(5).await;
        }
        drop(pipes);
        pass(1).await;
        assert_eq!(stage.connections(), 0);
        assert_eq!(stage.lines().len(), 3 * CALLERS);
    });
}

#[test]
fn callers_who_leave_while_they_wait_keep_nobody_from_an_answer() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipes = pipes(&stage);
        call_and_wait(&stage, &mut pipes).await;
        let mut number = 0;
        pipes.retain(|_| {
            number += 1;
            number % 3 > 0
        });
        for pipe in &mut pipes {
            assert!(head(pipe).await.starts_with("HTTP/1.1 200"));
        }
        assert_eq!(stage.connections(), pipes.len());
        drop(pipes);
        pass(1).await;
        assert_eq!(stage.connections(), 0);
        assert_eq!(stage.lines().len(), begun(&stage), "one line each");
    });
}

#[test]
fn callers_who_wait_when_a_drain_begins_are_answered_and_their_connections_closed() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipes = pipes(&stage);
        call_and_wait(&stage, &mut pipes).await;
        stage.worker.shared().phases.advance(Phase::Draining);
        for pipe in &mut pipes {
            assert!(head(pipe).await.starts_with("HTTP/1.1 200"));
        }
        // Those who were told nothing yet are told with their next answer.
        pass(1).await;
        for mut pipe in pipes {
            let mut rest = Vec::new();
            let _ = pipe.write_all(GET).await;
            let _ = pipe.read_to_end(&mut rest).await;
        }
        pass(1).await;
        assert_eq!(stage.connections(), 0);
        assert_eq!(stage.lines().len(), begun(&stage), "one line each");
    });
}

#[test]
fn callers_who_wait_when_the_time_to_drain_is_over_are_refused() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipes = pipes(&stage);
        call_and_wait(&stage, &mut pipes).await;
        stage.worker.shared().phases.advance(Phase::Closing);
        let mut refused = 0;
        for mut pipe in pipes {
            let mut text = String::new();
            pipe.read_to_string(&mut text).await.unwrap();
            refused += usize::from(text.starts_with("HTTP/1.1 503"));
            assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        }
        assert!(refused > CALLERS / 2, "{refused}");
        pass(1).await;
        assert_eq!(stage.connections(), 0);
        assert_eq!(stage.lines().len(), CALLERS);
    });
}

#[test]
fn callers_who_wait_when_their_connections_have_been_idle_for_too_long_are_answered() {
    on_stage(CONFIG, always(200), async |stage| {
        let mut pipes = pipes(&stage);
        call(&mut pipes).await;
        for pipe in &mut pipes {
            head(pipe).await;
        }
        // They are looked after every quarter of a second.
        sleep_until(Deadline::after(now(), Duration::from_millis(74_900))).await;
        call_and_wait(&stage, &mut pipes).await;
        advance(Duration::from_millis(300)).await;
        for pipe in &mut pipes {
            assert!(head(pipe).await.starts_with("HTTP/1.1 200"));
        }
        assert_eq!(stage.lines().len(), 2 * CALLERS);
    });
}

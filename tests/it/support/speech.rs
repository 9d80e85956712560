//! What a process says on its two streams, collected by threads.

use super::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// What came out of one end of a process.
#[derive(Debug, Default)]
pub(super) struct Said {
    speech: Mutex<Speech>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Speech {
    pub(super) lines: Vec<String>,
    pub(super) ended: bool,
}

impl Said {
    pub(super) fn now(&self) -> MutexGuard<'_, Speech> {
        self.speech.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait(&self, done: impl Fn(&Speech) -> bool) -> MutexGuard<'_, Speech> {
        let waiting = self
            .changed
            .wait_timeout_while(self.now(), PATIENCE, |said| !done(said));
        waiting.unwrap().0
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Speech)) {
        change(&mut self.now());
        self.changed.notify_all();
    }
}

impl Speech {
    pub(super) fn json(&self) -> impl Iterator<Item = Value> {
        self.lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
    }
}

/// Listens to an end until it closes.
pub(super) fn listen(end: impl Read + Send + 'static, said: Arc<Said>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(end).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            said.change(|said| said.lines.push(line));
        }
        said.change(|said| said.ended = true);
    })
}

//! Callers that take whatever they get and keep a record of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::client::Client;
use crate::support::gate::let_pass;

/// How long a caller thinks before the next call. Nothing is claimed about it: without it refusals alone would be most of the drill.
const PAUSE: Duration = Duration::from_millis(3);

/// What one call came to, as its caller saw it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) status: u16,
    pub(super) reason: Option<String>,
}

/// Callers at work, each on a connection of its own.
pub(super) struct Callers {
    stopped: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Callers {
    /// So many callers call `target` until they are stopped; every third call is a POST.
    pub(super) fn start(address: SocketAddr, count: usize, target: &'static str) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::new(Mutex::new(Vec::new()));
        let threads = (0..count)
            .map(|caller| {
                let (stopped, told) = (Arc::clone(&stopped), Arc::clone(&told));
                thread::spawn(move || {
                    let mut client = Client::connect(address);
                    for number in 0.. {
                        if stopped.load(Ordering::SeqCst) {
                            return;
                        }
                        let id = format!("{caller}-{number}");
                        let is_post = number % 3 == 2;
                        let (method, body) = if is_post { ("POST", "{}") } else { ("GET", "") };
                        let headers = [("X-Correlation-ID", &*id)];
                        let answer = client.request(method, target, &headers, body);
                        assert_eq!(answer.header("x-correlation-id"), Some(&*id));
                        let reason = answer.header("x-sidefuse-reason").map(str::to_owned);
                        told.lock().unwrap().push(Told {
                            status: answer.status(),
                            reason,
                            id,
                        });
                        let_pass(PAUSE);
                    }
                })
            })
            .collect();
        Self {
            stopped,
            told,
            threads,
        }
    }

    /// How many calls came to this so far.
    pub(super) fn count(&self, is: impl Fn(&Told) -> bool) -> usize {
        self.told.lock().unwrap().iter().filter(|it| is(it)).count()
    }

    /// Stops the callers between two calls and returns what each call came to.
    pub(super) fn stop(self) -> Vec<Told> {
        self.stopped.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a caller whose calls are answered");
        }
        let mut told = self.told.lock().unwrap();
        std::mem::take(&mut *told)
    }
}

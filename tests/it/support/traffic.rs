//! Clients that keep calling and take nothing but success for an answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use super::PATIENCE;
use super::client::Client;

/// Keep-alive clients at work. A call that fails makes [`Traffic::stop`] fail.
#[derive(Debug)]
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    answered: AtomicUsize,
    lock: Mutex<()>,
    progress: Condvar,
}

impl Traffic {
    /// So many clients call `target` until they are stopped; each expects 200. A connection that is closed in order is replaced.
    pub(crate) fn start(address: SocketAddr, clients: usize, target: &'static str) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = (0..clients)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.call(address, target))
            })
            .collect();
        Self { shared, clients }
    }

    /// Waits for that many more answers.
    pub(crate) fn wait_for_more(&self, count: usize) {
        let wanted = self.shared.answered.load(Ordering::SeqCst) + count;
        let short = |_: &mut ()| self.shared.answered.load(Ordering::SeqCst) < wanted;
        let lock = self.shared.lock.lock().unwrap();
        let waited = self
            .shared
            .progress
            .wait_timeout_while(lock, PATIENCE, short)
            .unwrap();
        assert!(!waited.1.timed_out(), "the clients get no more answers");
    }

    /// Stops the clients between two calls and returns how many calls succeeded, which is how many there were.
    pub(crate) fn stop(self) -> usize {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().expect("a client whose calls all succeed");
        }
        self.shared.answered.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn call(&self, address: SocketAddr, target: &str) {
        let mut client = Client::connect(address);
        while !self.stopped.load(Ordering::SeqCst) {
            let response = client.get(target);
            assert_eq!(response.status(), 200, "{}", response.text());
            self.answered.fetch_add(1, Ordering::SeqCst);
            drop(self.lock.lock().unwrap());
            self.progress.notify_all();
            if response.header("connection") == Some("close") {
                client = Client::connect(address);
            }
        }
    }
}

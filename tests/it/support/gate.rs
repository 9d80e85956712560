//! A point in a script that is passed when the test says so.

use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// Closed at first; everybody who waits passes once it is opened, and it stays open. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed one.
    pub(crate) fn closed() -> Self {
        Self::default()
    }

    /// Lets everybody pass, now and later.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Blocks until it is open.
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self
            .0
            .1
            .wait_timeout_while(open, PATIENCE, |open| !*open)
            .unwrap();
        assert!(*open, "a gate was never opened");
    }
}

/// Lets that much time pass, where a claim needs a configured time to be over. Nothing is claimed about how much more it is.
pub(crate) fn let_pass(time: std::time::Duration) {
    let never = Mutex::new(());
    let guard = never.lock().unwrap();
    let _ = Condvar::new().wait_timeout_while(guard, time, |()| true);
}

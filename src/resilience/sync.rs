//! Locks, and the points at which a test may let another thread go first.

#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, poisoned or not: no step under our locks leaves a half-done state, and a panic there should not stop all
/// traffic.
#[cfg(not(test))]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A point at which a test may switch threads.
#[cfg(not(test))]
pub(super) const fn point() {}

#[cfg(test)]
pub(super) use interleaving::{lock, point};

/// The same under test: within [`interleaving::explore`] every lock and every point is a place where threads may take turns.
#[cfg(test)]
pub(super) mod interleaving {
    use std::cell::Cell;
    use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

    thread_local! {
        static EXPLORING: Cell<bool> = const { Cell::new(false) };
    }

    pub(in crate::resilience) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        if !EXPLORING.get() {
            return mutex.lock().unwrap_or_else(PoisonError::into_inner);
        }
        loop {
            point();
            match mutex.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                // The holder is another thread of the test, which runs when this one yields.
                Err(TryLockError::WouldBlock) => {}
            }
        }
    }

    pub(in crate::resilience) fn point() {
        if EXPLORING.get() {
            shuttle::thread::yield_now();
        }
    }

    /// Runs `test` under `orders` different orders of its threads' steps.
    pub(in crate::resilience) fn explore(orders: usize, test: impl Fn() + Send + Sync + 'static) {
        // The threads of one run share an operating system's thread, and with it this flag.
        EXPLORING.set(true);
        shuttle::check_random(test, orders);
        EXPLORING.set(false);
    }

    /// Runs this on several threads of the test, to their ends.
    pub(in crate::resilience) fn on_threads(
        threads: u64,
        act: impl Fn(u64) + Send + Sync + 'static,
    ) {
        let act = std::sync::Arc::new(act);
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let act = std::sync::Arc::clone(&act);
                shuttle::thread::spawn(move || act(thread))
            })
            .collect();
        for thread in running {
            assert!(thread.join().is_ok(), "a thread of the test panicked");
        }
    }
}

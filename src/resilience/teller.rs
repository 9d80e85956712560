//! One short lock around a machine, and an observer that is called outside of it: the base of [`Breaker`](super::Breaker) and
//! [`Throttle`](super::Throttle).
//!
//! Invariants: the observer gets each piece of news exactly once and in order, never under the lock, from one of the threads
//! that use the machine. So it may use the machine itself, and a call may return shortly before its news was reported (another
//! thread is reporting).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::resilience::line::Wake;
use crate::resilience::sync::{lock, point};

/// A machine with news for an observer.
pub(super) trait Telling {
    /// The type of its news.
    type News;

    /// Takes the oldest news that was not taken yet.
    fn next_news(&mut self) -> Option<Arc<Self::News>>;

    /// Whether there is one.
    fn has_news(&self) -> bool;

    /// The number of the present state if it lets every call pass without asking; `None` if the machine must be asked.
    fn all_pass(&self) -> Option<u64>;

    /// The calls to wake as soon as the lock is free.
    fn roused(&mut self) -> Vec<Wake> {
        Vec::new()
    }
}

/// The observer that gets each piece of news.
pub(super) type Ear<N> = Box<dyn Fn(&N) + Send + Sync>;

/// A machine that threads share, with its observer.
pub(super) struct Teller<M: Telling> {
    cell: Mutex<Cell<M>>,
    /// One more than the number of the state while every call passes without the lock; 0 when the machine must be asked. A
    /// thread that reads it just before a change counts as asking before the change, and its result belongs to the earlier
    /// state.
    all_pass: AtomicU64,
    ear: Ear<M::News>,
}

struct Cell<M> {
    machine: M,
    /// Whether a thread is reporting; it also reports what others add meanwhile.
    is_telling: bool,
}

// === impl Teller ===

impl<M: Telling> Teller<M> {
    pub(super) fn new(machine: M, ear: Ear<M::News>) -> Self {
        Self {
            all_pass: AtomicU64::new(passing(&machine)),
            cell: Mutex::new(Cell {
                machine,
                is_telling: false,
            }),
            ear,
        }
    }

    /// The number of the state that lets every call pass, read without the lock.
    pub(super) fn all_pass(&self) -> Option<u64> {
        point();
        self.all_pass.load(Ordering::Acquire).checked_sub(1)
    }

    /// Runs `act` under the lock, then wakes calls and reports news outside of it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut M) -> T) -> T {
        let mut cell = self.lock();
        let answer = act(&mut cell.machine);
        let passing = passing(&cell.machine);
        if self.all_pass.load(Ordering::Relaxed) != passing {
            self.all_pass.store(passing, Ordering::Release);
        }
        let roused = cell.machine.roused();
        let must_tell = cell.machine.has_news() && !cell.is_telling;
        cell.is_telling |= must_tell;
        drop(cell);
        for wake in roused {
            wake();
        }
        if must_tell {
            self.tell();
        }
        answer
    }

    /// Runs `act` under the lock; only for changes without news that neither let more calls pass nor make others wait.
    pub(super) fn look<T>(&self, act: impl FnOnce(&mut M) -> T) -> T {
        act(&mut self.lock().machine)
    }

    /// Whether all news is reported and `holds` is true of the machine.
    pub(super) fn is_silent_and(&self, holds: impl FnOnce(&M) -> bool) -> bool {
        let cell = self.lock();
        !cell.is_telling && !cell.machine.has_news() && holds(&cell.machine)
    }

    fn tell(&self) {
        let mut turn = Turn {
            teller: self,
            has_ended: false,
        };
        while let Some(news) = turn.next() {
            (self.ear)(&news);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cell<M>> {
        lock(&self.cell)
    }
}

/// What [`Teller::all_pass`] says of a machine.
fn passing(machine: &impl Telling) -> u64 {
    machine.all_pass().map_or(0, |number| number + 1)
}

/// The turn to report.
struct Turn<'a, M: Telling> {
    teller: &'a Teller<M>,
    has_ended: bool,
}

impl<M: Telling> Turn<'_, M> {
    /// The next piece of news. Without one the turn ends under the same lock, so that none is left unreported.
    fn next(&mut self) -> Option<Arc<M::News>> {
        let mut cell = self.teller.lock();
        let next = cell.machine.next_news();
        cell.is_telling = next.is_some();
        self.has_ended = next.is_none();
        next
    }
}

impl<M: Telling> Drop for Turn<'_, M> {
    fn drop(&mut self) {
        // A panic of the observer must not keep the turn forever.
        if !self.has_ended {
            self.teller.lock().is_telling = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::resilience::sync::interleaving::{explore, on_threads};

    /// Tells each number that it was given, and is open to all below 100.
    #[derive(Default)]
    struct Numbers {
        given: u64,
        untold: VecDeque<u64>,
    }

    impl Telling for Numbers {
        type News = u64;

        fn next_news(&mut self) -> Option<Arc<u64>> {
            self.untold.pop_front().map(Arc::new)
        }

        fn has_news(&self) -> bool {
            !self.untold.is_empty()
        }

        fn all_pass(&self) -> Option<u64> {
            (self.given < 100).then_some(self.given)
        }
    }

    impl Numbers {
        fn give(&mut self) {
            self.given += 1;
            self.untold.push_back(self.given);
        }
    }

    type Told = Arc<Mutex<Vec<u64>>>;

    fn teller() -> (Arc<Teller<Numbers>>, Told) {
        let told = Told::default();
        let ear = Arc::clone(&told);
        let tell = Box::new(move |news: &u64| ear.lock().unwrap().push(*news));
        (Arc::new(Teller::new(Numbers::default(), tell)), told)
    }

    #[test]
    fn in_any_order_of_threads_each_news_is_told_once_and_in_order() {
        explore(300, || {
            let (teller, told) = teller();
            let shared = Arc::clone(&teller);
            on_threads(3, move |_| {
                for _ in 0..2 {
                    shared.with(Numbers::give);
                }
            });
            assert_eq!(*told.lock().unwrap(), [1, 2, 3, 4, 5, 6]);
            assert!(teller.is_silent_and(|numbers| numbers.given == 6));
            assert_eq!(teller.all_pass(), Some(6));
        });
    }

    #[test]
    fn a_panic_of_the_observer_keeps_no_later_news_from_being_told() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let teller = Teller::new(
            Numbers::default(),
            Box::new(move |news: &u64| {
                assert!(*news != 1, "a defect of the observer");
                count.fetch_add(1, Ordering::Relaxed);
            }),
        );
        let panicked = catch_unwind(AssertUnwindSafe(|| teller.with(Numbers::give)));
        assert!(panicked.is_err());
        teller.with(Numbers::give);
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_poisoned_lock_stops_nobody() {
        let (teller, told) = teller();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            teller.look(|_| panic!("a defect under the lock"));
        }));
        assert!(panicked.is_err() && teller.cell.is_poisoned());
        (0..100).for_each(|_| teller.with(Numbers::give));
        assert_eq!(told.lock().unwrap().len(), 100);
        assert_eq!(teller.all_pass(), None);
    }
}

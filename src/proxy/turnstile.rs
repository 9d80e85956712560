//! Lets callers in by turns of the event loop.
//!
//! Where many call at the same moment, a worker that began all their calls before it saw the first answer would have the state of all of
//! them in use at once, which no cache holds. So only so many calls begin in one turn; the other callers wait in their order, unread, while
//! the answers that have come meanwhile are carried on. (Work in cohorts: Larus and Parkes, "Using Cohort Scheduling to Enhance Server
//! Performance", 2002.)

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// So many callers are let in per turn: their calls fit the second cache of a CPU, and the share of each in asking the system what has
/// come is small.
const PER_TURN: usize = 32;

/// A worker's. Holds nobody back while fewer than [`PER_TURN`] callers come in one turn.
#[derive(Debug)]
pub(super) struct Turnstile {
    room: Cell<usize>,
    queue: RefCell<VecDeque<(Waker, Rc<Place>)>>,
    /// A task will make room in the next turn.
    is_turning: Cell<bool>,
}

/// Where one caller's connection stands.
#[derive(Debug, Default)]
pub(super) struct Place(Cell<Standing>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Away,
    Waiting,
    Called,
}

impl Turnstile {
    /// One that has room.
    #[must_use]
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            room: Cell::new(PER_TURN),
            queue: RefCell::default(),
            is_turning: Cell::new(false),
        })
    }

    /// Lets the caller at `place` pass, or has it wait for a later turn. Must be called within a `LocalSet` or a local runtime.
    pub(super) fn poll_pass(self: &Rc<Self>, place: &Rc<Place>, cx: &Context<'_>) -> Poll<()> {
        match place.0.get() {
            Standing::Called => {
                place.0.set(Standing::Away);
                return Poll::Ready(());
            }
            Standing::Waiting => return Poll::Pending,
            Standing::Away => {}
        }
        let room = self.room.get();
        if room > 0 {
            self.room.set(room - 1);
            if room == 1 {
                self.turn();
            }
            return Poll::Ready(());
        }
        place.0.set(Standing::Waiting);
        let entry = (cx.waker().clone(), Rc::clone(place));
        self.queue.borrow_mut().push_back(entry);
        Poll::Pending
    }

    /// Makes room in the next turn, and in those after it as long as callers wait.
    fn turn(self: &Rc<Self>) {
        if self.is_turning.replace(true) {
            return;
        }
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                // Over once the system was asked what has come.
                tokio::task::yield_now().await;
                this.open();
                if this.room.get() > 0 {
                    break;
                }
            }
            this.is_turning.set(false);
        });
    }

    fn open(&self) {
        let mut room = PER_TURN;
        while room > 0 {
            let Some((waker, place)) = self.queue.borrow_mut().pop_front() else {
                break;
            };
            let is_gone = Rc::strong_count(&place) == 1;
            if !is_gone {
                place.0.set(Standing::Called);
                waker.wake();
                room -= 1;
            }
        }
        self.room.set(room);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    /// Callers that come at once, each of which notes its number when it is let in.
    fn crowd(turnstile: &Rc<Turnstile>, count: usize) -> Rc<RefCell<Vec<usize>>> {
        let passed = Rc::<RefCell<Vec<usize>>>::default();
        for number in 0..count {
            let (turnstile, passed) = (Rc::clone(turnstile), Rc::clone(&passed));
            spawn_local(async move {
                let place = Rc::<Place>::default();
                poll_fn(|cx| turnstile.poll_pass(&place, cx)).await;
                passed.borrow_mut().push(number);
            });
        }
        passed
    }

    #[tokio::test]
    async fn callers_are_let_in_by_turns_and_in_their_order() {
        let local = LocalSet::new();
        let test = async {
            let turnstile = Turnstile::new();
            let count = 3 * PER_TURN + 5;
            let passed = crowd(&turnstile, count);
            let mut seen = Vec::new();
            while passed.borrow().len() < count {
                yield_now().await;
                let now = passed.borrow().len();
                if seen.last() != Some(&now) {
                    seen.push(now);
                }
            }
            assert!(seen.len() > 3, "{seen:?}");
            assert_eq!(*passed.borrow(), (0..count).collect::<Vec<_>>());
        };
        local.run_until(test).await;
    }

    #[tokio::test]
    async fn a_caller_that_is_gone_takes_nobodys_place() {
        let local = LocalSet::new();
        let test = async {
            let turnstile = Turnstile::new();
            let passed = crowd(&turnstile, PER_TURN);
            yield_now().await;
            let cx = Context::from_waker(Waker::noop());
            for _ in 0..2 * PER_TURN {
                let gone = Rc::<Place>::default();
                turnstile.room.set(0);
                assert!(turnstile.poll_pass(&gone, &cx).is_pending());
            }
            assert!(passed.borrow().len() <= PER_TURN);
            turnstile.open();
            assert_eq!(turnstile.room.get(), PER_TURN);
            assert!(turnstile.queue.borrow().is_empty());
        };
        local.run_until(test).await;
    }

    #[tokio::test]
    async fn room_that_was_used_up_is_there_again_in_a_later_turn() {
        let local = LocalSet::new();
        let test = async {
            let turnstile = Turnstile::new();
            for _ in 0..10 {
                let passed = crowd(&turnstile, PER_TURN);
                while passed.borrow().len() < PER_TURN || turnstile.room.get() == 0 {
                    yield_now().await;
                }
            }
            assert_eq!(turnstile.room.get(), PER_TURN);
        };
        local.run_until(test).await;
    }
}

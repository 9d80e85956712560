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

/// So many callers are let in per turn: few enough that their calls fit the caches of a CPU with their bodies, and many enough that the
/// share of each in asking the system what has come is small.
const PER_TURN: usize = 8;

/// A worker's. Makes room for [`PER_TURN`] callers, and anew one turn after the last of it was taken: who comes in between waits, at
/// least until the system was asked what else has come.
pub(super) struct Turnstile {
    /// While there is none, a task will make some in the next turn.
    room: Cell<usize>,
    /// Nobody waits while there is room.
    queue: RefCell<VecDeque<Rc<Entrant>>>,
}

/// A caller's connection, as the turnstile sees it. To leave the queue, drop it.
#[derive(Default)]
pub(super) struct Entrant(Cell<Standing>);

#[derive(Default)]
enum Standing {
    #[default]
    Away,
    /// In the queue.
    Waiting(Waker),
    /// Let in by a turn, and yet to come.
    Called,
}

impl Turnstile {
    /// One that has room.
    #[must_use]
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            room: Cell::new(PER_TURN),
            queue: RefCell::default(),
        })
    }

    /// Lets the caller pass, or has it wait for a later turn. Must be called within a `LocalSet` or a local runtime.
    pub(super) fn poll_pass(self: &Rc<Self>, entrant: &Rc<Entrant>, cx: &Context<'_>) -> Poll<()> {
        match entrant.0.take() {
            Standing::Called => return Poll::Ready(()),
            Standing::Waiting(mut waker) => {
                waker.clone_from(cx.waker());
                entrant.0.set(Standing::Waiting(waker));
                return Poll::Pending;
            }
            Standing::Away => {}
        }
        let Some(left) = self.room.get().checked_sub(1) else {
            entrant.0.set(Standing::Waiting(cx.waker().clone()));
            self.queue.borrow_mut().push_back(Rc::clone(entrant));
            return Poll::Pending;
        };
        self.room.set(left);
        if left == 0 {
            self.turn();
        }
        Poll::Ready(())
    }

    /// Makes room in the next turn, and in those after it as long as all of it is taken by callers who wait.
    fn turn(self: &Rc<Self>) {
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while this.room.get() == 0 {
                // Over once the system was asked what has come.
                tokio::task::yield_now().await;
                this.open();
            }
        });
    }

    fn open(&self) {
        let mut room = PER_TURN;
        while room > 0 {
            let Some(entrant) = self.queue.borrow_mut().pop_front() else {
                break;
            };
            let is_gone = Rc::strong_count(&entrant) == 1;
            if is_gone {
                continue;
            }
            if let Standing::Waiting(waker) = entrant.0.replace(Standing::Called) {
                waker.wake();
            }
            room -= 1;
        }
        self.room.set(room);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    /// Callers that come at once, each of which notes its number when it is let in.
    fn crowd(turnstile: &Rc<Turnstile>, count: usize) -> Rc<RefCell<Vec<usize>>> {
        let passed = Rc::<RefCell<Vec<usize>>>::default();
        for number in 0..count {
            let (turnstile, passed) = (Rc::clone(turnstile), Rc::clone(&passed));
            spawn_local(async move {
                let entrant = Rc::default();
                poll_fn(|cx| turnstile.poll_pass(&entrant, cx)).await;
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

    #[tokio::test]
    async fn what_comes_meanwhile_is_seen_in_the_next_turn() {
        let local = LocalSet::new();
        let test = async {
            let turnstile = Turnstile::new();
            let passed = crowd(&turnstile, 6 * PER_TURN);
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let so_far = Rc::clone(&passed);
            let reading = spawn_local(async move {
                near.read_u8().await.unwrap();
                so_far.borrow().len()
            });
            while passed.borrow().len() < 2 * PER_TURN {
                yield_now().await;
            }
            let before = passed.borrow().len();
            far.write_u8(0).await.unwrap();
            let by_then = reading.await.unwrap();
            assert!(by_then <= before + PER_TURN, "{before}, then {by_then}");
        };
        local.run_until(test).await;
    }

    /// What happens to a turnstile.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Come(usize),
        /// One of those who wait, or are called, leaves or is polled although nobody woke it.
        Leave(prop::sample::Index),
        Stir(prop::sample::Index),
        /// The called ones are polled.
        Pass,
        Turn,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => (1..2 * PER_TURN).prop_map(Step::Come),
            3 => any::<prop::sample::Index>().prop_map(Step::Leave),
            3 => any::<prop::sample::Index>().prop_map(Step::Stir),
            2 => Just(Step::Pass),
            2 => Just(Step::Turn),
        ];
        prop::collection::vec(step, 0..60)
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Caller {
        entrant: Rc<Entrant>,
        flag: Arc<Flag>,
    }

    impl Caller {
        /// Each time another task has the connection.
        fn passes(&mut self, turnstile: &Rc<Turnstile>) -> bool {
            self.flag = Arc::default();
            let waker = Waker::from(Arc::clone(&self.flag));
            let passed = turnstile.poll_pass(&self.entrant, &Context::from_waker(&waker));
            passed.is_ready()
        }

        fn is_woken(&self) -> bool {
            self.flag.0.load(Ordering::Relaxed)
        }
    }

    /// What is to be true of a turnstile: the callers that it let come and has not let in, in their order, and the room that it has.
    struct Model {
        turnstile: Rc<Turnstile>,
        waiting: Vec<Caller>,
        called: Vec<Caller>,
        room: usize,
    }

    impl Model {
        fn new() -> Self {
            Self {
                turnstile: Turnstile::new(),
                waiting: Vec::new(),
                called: Vec::new(),
                room: PER_TURN,
            }
        }

        async fn step(&mut self, step: Step) {
            let outside = self.waiting.len() + self.called.len();
            match step {
                Step::Come(count) => (0..count).for_each(|_| self.come()),
                Step::Leave(who) if outside > 0 => drop(self.take(who.index(outside))),
                Step::Stir(who) if outside > 0 => self.stir(who.index(outside)),
                Step::Leave(_) | Step::Stir(_) => {}
                Step::Pass => {
                    for mut caller in self.called.drain(..) {
                        assert!(caller.passes(&self.turnstile));
                    }
                }
                Step::Turn => self.turn().await,
            }
            assert_eq!(self.turnstile.room.get(), self.room);
            let tasks = Rc::strong_count(&self.turnstile) - 1;
            assert_eq!(tasks, usize::from(self.room == 0), "who makes room");
        }

        fn come(&mut self) {
            let mut caller = Caller::default();
            let has_room = self.room > 0;
            assert_eq!(caller.passes(&self.turnstile), has_room);
            if has_room {
                self.room -= 1;
            } else {
                self.waiting.push(caller);
            }
        }

        fn take(&mut self, who: usize) -> Caller {
            match who.checked_sub(self.called.len()) {
                Some(who) => self.waiting.remove(who),
                None => self.called.remove(who),
            }
        }

        fn stir(&mut self, who: usize) {
            match who.checked_sub(self.called.len()) {
                Some(who) => assert!(!self.waiting[who].passes(&self.turnstile)),
                None => assert!(self.called.remove(who).passes(&self.turnstile)),
            }
        }

        /// The first of those who wait are let in, as many as there is room for; without room somebody makes it.
        async fn turn(&mut self) {
            if self.room > 0 {
                yield_now().await;
                return;
            }
            while Rc::strong_count(&self.turnstile) > 1
                && self.turnstile.room.get() == 0
                && !self.waiting.iter().any(Caller::is_woken)
            {
                yield_now().await;
            }
            let count = self.waiting.len().min(PER_TURN);
            let called = self.waiting.drain(..count);
            self.called.extend(called);
            assert!(self.called.iter().all(Caller::is_woken));
            assert!(!self.waiting.iter().any(Caller::is_woken));
            self.room = PER_TURN - count;
        }
    }

    proptest! {
        #[test]
        fn whoever_waits_is_let_in_in_its_turn_whoever_comes_leaves_or_is_stirred_meanwhile(steps in steps()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let mut model = Model::new();
                for step in steps {
                    model.step(step).await;
                }
                while model.room == 0 {
                    model.step(Step::Turn).await;
                }
                assert!(model.waiting.is_empty());
            });
        }
    }
}

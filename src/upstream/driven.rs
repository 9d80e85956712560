//! A connection of the HTTP library's, driven by the call that it carries.
//!
//! The library has each connection run as a task of its own. A call then goes from task to task and back: four turns of the event loop
//! instead of two, and with many calls at a time each turn finds its memory cold. So the call itself drives the connection that it has,
//! and the connection's own task does so at all other times: while it rests, to hear of its end; after a call that was given up; and
//! while an upload outlasts the beginning of its answer, even if only bytes that are handed over remain to be written: a call that waits
//! for its caller to take the answer does not drive, and the rest of the request must not wait for that.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How many times in a row a connection that has more to do is polled before other tasks get their turn.
const ROUNDS: usize = 16;

/// A connection, driven by a call or by its own task.
pub(super) struct Driven {
    /// `None` once it has ended.
    connection: RefCell<Option<Pin<Box<Connection>>>>,
    signal: Arc<Signal>,
    /// Wakes the connection when its socket is ready.
    works: Waker,
    /// Wakes the call that waits for the answer.
    waits: Waker,
    /// Whether a call drives it, instead of its own task.
    is_lent: Cell<bool>,
    /// Wakes its own task.
    home: RefCell<Waker>,
}

/// Tells the current driver that there is something to do.
struct Signal {
    /// The connection is being driven at this moment.
    is_busy: AtomicBool,
    /// The connection has something to do.
    is_set: AtomicBool,
    /// The waker of the current driver; not used while `is_busy`.
    driver: Mutex<Waker>,
}

/// The waker that the connection is polled with.
struct Works(Arc<Signal>);

/// The waker that the answer is polled with. A call that drives looks for its answer after each round anyway.
struct Waits(Arc<Signal>);

/// The library's connection. Its result is dropped: the call under way gets the same error from its own half, and without a call nothing
/// needs it.
type Connection = dyn Future<Output = hyper::Result<()>>;

impl Driven {
    /// Its own task drives it at first.
    pub(super) fn new(connection: impl Future<Output = hyper::Result<()>> + 'static) -> Rc<Self> {
        let signal = Arc::new(Signal {
            is_busy: AtomicBool::new(false),
            is_set: AtomicBool::new(false),
            driver: Mutex::new(Waker::noop().clone()),
        });
        Rc::new(Self {
            connection: RefCell::new(Some(Box::pin(connection))),
            works: Waker::from(Arc::new(Works(Arc::clone(&signal)))),
            waits: Waker::from(Arc::new(Waits(Arc::clone(&signal)))),
            signal,
            is_lent: Cell::new(false),
            home: RefCell::new(Waker::noop().clone()),
        })
    }

    /// From now on the call that asked drives it.
    pub(super) fn lend(&self) {
        self.is_lent.set(true);
    }

    /// From now on its own task drives it again.
    pub(super) fn give_back(&self) {
        if self.is_lent.replace(false) {
            let home = self.home.borrow();
            self.signal.wakes(&home);
            if self.signal.is_set() {
                home.wake_by_ref();
            }
        }
    }

    /// The same; what the connection has to do is done first, so that its task finds it at rest.
    pub(super) fn give_back_at_rest(&self) {
        if self.is_lent.replace(false) {
            self.look();
        }
    }

    /// Drives it once on behalf of its own task.
    pub(super) fn look(&self) {
        let home = self.home.borrow();
        let _ended = self.drive(&mut Context::from_waker(&home));
    }

    /// The body of its own task: drives it until it ends, except while a call does.
    pub(super) async fn at_home(&self) {
        poll_fn(|cx| {
            let mut home = self.home.borrow_mut();
            if !home.will_wake(cx.waker()) {
                home.clone_from(cx.waker());
            }
            drop(home);
            if self.is_lent.get() && self.connection.borrow().is_some() {
                return Poll::Pending;
            }
            self.drive(cx)
        })
        .await;
    }

    /// Polls for something that the connection brings about; drives the connection meanwhile if a call has it.
    pub(super) fn poll_for<T>(
        &self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self.is_lent.get() {
            return wanted(cx);
        }
        let mut polled = self.quietly(&mut wanted);
        for _ in 0..ROUNDS {
            if polled.is_ready() {
                return polled;
            }
            let _ended = self.drive(cx);
            polled = self.quietly(&mut wanted);
            if !self.signal.is_set() {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        polled
    }

    /// Does something with the other half of the connection and wakes no driver: the connection acts on it when it is driven next.
    pub(super) fn quietly<T>(&self, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let _busy = self.signal.busy();
        act(&mut Context::from_waker(&self.waits))
    }

    fn drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut connection = self.connection.borrow_mut();
        let Some(running) = connection.as_mut() else {
            return Poll::Ready(());
        };
        self.signal.wakes(cx.waker());
        for _ in 0..ROUNDS {
            self.signal.is_set.store(false, Ordering::Relaxed);
            let busy = self.signal.busy();
            let polled = running.as_mut().poll(&mut Context::from_waker(&self.works));
            drop(busy);
            if polled.is_ready() {
                *connection = None;
                self.home.borrow().wake_by_ref();
                return Poll::Ready(());
            }
            if !self.signal.is_set() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Signal {
    /// Makes that waker the driver's.
    fn wakes(&self, driver: &Waker) {
        let mut current = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.will_wake(driver) {
            current.clone_from(driver);
        }
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        if !self.is_busy.load(Ordering::SeqCst) {
            let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
            driver.wake_by_ref();
        }
    }

    fn busy(&self) -> Busy<'_> {
        Busy {
            signal: self,
            before: self.is_busy.swap(true, Ordering::Relaxed),
        }
    }
}

impl Wake for Works {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // On different threads, too, one of the two is seen: the end of `is_busy` here, or `is_set` by the driver.
        self.0.is_set.store(true, Ordering::SeqCst);
        self.0.wake();
    }
}

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

/// No driver is woken while it lives. Ends with a panic as well.
struct Busy<'a> {
    signal: &'a Signal,
    before: bool,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.signal.is_busy.store(self.before, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A driver, with the number of times that it was woken.
    struct Driver {
        count: Arc<Count>,
        waker: Waker,
    }

    impl Driver {
        fn new() -> Self {
            let count = Arc::<Count>::default();
            let waker = Waker::from(Arc::clone(&count));
            Self { count, waker }
        }

        fn woken(&self) -> usize {
            self.count.0.load(Ordering::Relaxed)
        }

        /// One turn of the connection's own task; whether it is over.
        fn at_home(&self, home: &mut Pin<Box<dyn Future<Output = ()> + '_>>) -> bool {
            let mut cx = Context::from_waker(&self.waker);
            home.as_mut().poll(&mut cx).is_ready()
        }

        /// One turn of a call that waits for `wanted`.
        fn call<T>(&self, driven: &Driven, wanted: impl FnMut() -> Poll<T>) -> Poll<T> {
            let mut wanted = wanted;
            driven.poll_for(&mut Context::from_waker(&self.waker), |_| wanted())
        }
    }

    /// A connection that is told by its test what to do, and tells when it was polled and how to wake it.
    #[derive(Default)]
    struct Told {
        polls: Cell<usize>,
        waker: RefCell<Option<Waker>>,
        /// So often in a row it has more to do at once.
        more: Cell<usize>,
        is_over: Cell<bool>,
    }

    impl Told {
        fn driven() -> (Rc<Self>, Rc<Driven>) {
            let told = Rc::<Self>::default();
            let inner = Rc::clone(&told);
            let driven = Driven::new(poll_fn(move |cx| {
                inner.polls.set(inner.polls.get() + 1);
                inner.waker.replace(Some(cx.waker().clone()));
                if inner.is_over.get() {
                    return Poll::Ready(Ok(()));
                }
                if inner.more.get() > 0 {
                    inner.more.set(inner.more.get() - 1);
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }));
            (told, driven)
        }

        /// As the system does when there is something to read.
        fn stir(&self) {
            self.waker.borrow().as_ref().unwrap().wake_by_ref();
        }
    }

    #[test]
    fn who_has_it_is_woken_for_it_and_drives_it() {
        let (told, driven) = Told::driven();
        let (task, call) = (Driver::new(), Driver::new());
        let mut home: Pin<Box<dyn Future<Output = ()>>> = Box::pin(driven.at_home());
        assert!(!task.at_home(&mut home));
        told.stir();
        assert_eq!((told.polls.get(), task.woken(), call.woken()), (1, 1, 0));
        driven.lend();
        assert!(call.call(&driven, || Poll::<()>::Pending).is_pending());
        assert!(!task.at_home(&mut home));
        assert_eq!(told.polls.get(), 2, "its own task leaves it alone");
        told.stir();
        assert_eq!((task.woken(), call.woken()), (1, 1));
        driven.give_back();
        assert_eq!(task.woken(), 2, "what was still to do is told");
        assert!(!task.at_home(&mut home));
        told.stir();
        assert_eq!((told.polls.get(), task.woken(), call.woken()), (3, 3, 1));
    }

    #[test]
    fn what_it_has_to_do_while_it_is_driven_is_done_at_once_and_wakes_nobody() {
        let (told, driven) = Told::driven();
        let call = Driver::new();
        driven.lend();
        told.more.set(3);
        assert!(call.call(&driven, || Poll::<()>::Pending).is_pending());
        assert_eq!((told.polls.get(), call.woken()), (4, 0));
        let polls = &told.polls;
        let seen = call.call(&driven, || match polls.get() {
            5 => Poll::Ready("here"),
            _ => Poll::Pending,
        });
        assert_eq!(seen, Poll::Ready("here"));
        driven.give_back_at_rest();
        assert_eq!((told.polls.get(), call.woken()), (6, 0));
        told.is_over.set(true);
        driven.look();
        assert!(driven.connection.borrow().is_none());
    }

    #[test]
    fn what_the_other_half_asks_for_is_done_when_it_is_driven_next() {
        let (told, driven) = Told::driven();
        let (task, call) = (Driver::new(), Driver::new());
        let mut home: Pin<Box<dyn Future<Output = ()>>> = Box::pin(driven.at_home());
        assert!(!task.at_home(&mut home));
        driven.lend();
        driven.quietly(|_| told.stir());
        assert_eq!((told.polls.get(), task.woken(), call.woken()), (1, 0, 0));
        assert!(call.call(&driven, || Poll::<()>::Pending).is_pending());
        assert_eq!(told.polls.get(), 2);
        driven.quietly(|_| told.stir());
        driven.give_back();
        assert_eq!(
            task.woken(),
            1,
            "a call that leaves then leaves it to the task"
        );
    }

    #[test]
    fn one_that_always_has_more_to_do_lets_others_have_their_turn() {
        let (told, driven) = Told::driven();
        let call = Driver::new();
        driven.lend();
        told.more.set(usize::MAX);
        assert!(call.call(&driven, || Poll::<()>::Pending).is_pending());
        assert!(told.polls.get() <= ROUNDS * ROUNDS && call.woken() > 0);
    }

    #[test]
    fn its_end_is_told_to_its_own_task_whoever_has_it() {
        let (told, driven) = Told::driven();
        let (task, call) = (Driver::new(), Driver::new());
        let mut home: Pin<Box<dyn Future<Output = ()>>> = Box::pin(driven.at_home());
        assert!(!task.at_home(&mut home));
        driven.lend();
        told.is_over.set(true);
        assert!(call.call(&driven, || Poll::<()>::Pending).is_pending());
        assert_eq!(task.woken(), 1);
        assert!(task.at_home(&mut home));
        assert_eq!(told.polls.get(), 2);
    }

    #[test]
    fn a_panic_of_the_connection_leaves_it_able_to_be_woken() {
        let driven = Driven::new(poll_fn(|_| panic!("a defect")));
        let call = Driver::new();
        driven.lend();
        let driving = std::panic::AssertUnwindSafe(|| call.call(&driven, || Poll::<()>::Pending));
        assert!(std::panic::catch_unwind(driving).is_err());
        driven.works.wake_by_ref();
        assert_eq!(call.woken(), 1);
    }
}

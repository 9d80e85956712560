//! How many connections an upstream may have, exact over all workers, and the queue when all are taken.
//!
//! A [`Slot`] is the right to one connection, open or being opened. When all are taken, callers queue first come, first served, over
//! all workers. A connection that comes back on the worker of the first in the queue is handed to it; on another worker it is closed
//! and its slot passed on, since connections do not cross threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// Wakes one worker to close an unused connection that another worker waits for.
pub type Shed = Arc<Notify>;

/// The slots of one upstream.
#[derive(Debug)]
pub struct Slots {
    max: usize,
    queue: Mutex<Queue>,
    used: AtomicUsize,
    waiting: AtomicUsize,
    sheds: Arc<[Shed]>,
}

#[derive(Debug, Default)]
struct Queue {
    next_ticket: u64,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    worker: usize,
    grant: oneshot::Sender<Grant>,
}

/// What a waiter gets.
#[derive(Debug)]
pub enum Grant {
    /// The right to open a connection.
    Slot(Slot),
    /// A connection of its own worker, left for it under its ticket.
    Handed,
}

/// The right to one connection; dropping it passes it on.
#[derive(Debug)]
pub struct Slot {
    /// `None` once it has been passed on.
    slots: Option<Arc<Slots>>,
}

/// A place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub struct Place {
    slots: Arc<Slots>,
    ticket: u64,
    granted: oneshot::Receiver<Grant>,
}

impl Slots {
    /// `max` slots. `sheds` has one entry per worker.
    #[must_use]
    pub fn new(max: usize, sheds: Arc<[Shed]>) -> Arc<Self> {
        Arc::new(Self {
            max,
            queue: Mutex::default(),
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            sheds,
        })
    }

    /// Slots taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Callers in the queue now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes a slot if one is free and nobody waits for it.
    #[must_use]
    pub fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let queue = self.lock();
        (queue.waiters.is_empty() && self.take_free()).then(|| Slot::of(self))
    }

    /// Takes a slot only if fewer than `enough` are taken: for connections that are opened ahead.
    #[must_use]
    pub fn try_take_below(self: &Arc<Self>, enough: usize) -> Option<Slot> {
        let queue = self.lock();
        let is_wanted = queue.waiters.is_empty() && self.used() < enough;
        (is_wanted && self.take_free()).then(|| Slot::of(self))
    }

    /// Queues up for `worker`, and asks the other workers to give up a connection they do not use.
    #[must_use]
    pub fn wait(self: &Arc<Self>, worker: usize) -> Place {
        let (grant, granted) = oneshot::channel();
        let mut queue = self.lock();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        if queue.waiters.is_empty() && self.take_free() {
            // A slot came free since the caller looked. Sending cannot fail: the receiver is held here.
            let _ = grant.send(Grant::Slot(Slot::of(self)));
        } else {
            queue.waiters.push_back(Waiter {
                ticket,
                worker,
                grant,
            });
            self.waiting.store(queue.waiters.len(), Ordering::Relaxed);
            for (index, shed) in self.sheds.iter().enumerate() {
                if index != worker {
                    shed.notify_one();
                }
            }
        }
        drop(queue);
        Place {
            slots: Arc::clone(self),
            ticket,
            granted,
        }
    }

    /// Called by `worker` when one of its connections is free: the ticket of the first in the queue, if that call is on the
    /// same worker.
    ///
    /// The caller must leave the connection under that ticket before it yields. `None` with callers waiting means: close it.
    #[must_use]
    pub fn hand_over(&self, worker: usize) -> Option<u64> {
        let mut queue = self.lock();
        while queue
            .waiters
            .front()
            .is_some_and(|first| first.worker == worker)
        {
            let Some(first) = queue.waiters.pop_front() else {
                break;
            };
            self.waiting.store(queue.waiters.len(), Ordering::Relaxed);
            if first.grant.send(Grant::Handed).is_ok() {
                return Some(first.ticket);
            }
        }
        None
    }

    fn take_free(&self) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        if used < self.max {
            self.used.store(used + 1, Ordering::Relaxed);
        }
        used < self.max
    }

    /// `used` and `waiting` are written under this lock only; they are atomics so that they can be read without it.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn of(slots: &Arc<Slots>) -> Self {
        Self {
            slots: Some(Arc::clone(slots)),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(slots) = self.slots.take() else {
            return;
        };
        let mut queue = slots.lock();
        while let Some(first) = queue.waiters.pop_front() {
            slots.waiting.store(queue.waiters.len(), Ordering::Relaxed);
            match first.grant.send(Grant::Slot(Self::of(&slots))) {
                Ok(()) => return,
                // The receiver is just leaving the queue. Dropping the returned slot here would lock again: disarm it.
                Err(Grant::Slot(mut slot)) => slot.slots = None,
                Err(Grant::Handed) => {}
            }
        }
        slots.used.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    /// The ticket under which a handed connection is left.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Waits for the turn. `None` cannot happen while the slots live: a waiter is only removed with a grant.
    pub async fn turn(mut self) -> Option<Grant> {
        (&mut self.granted).await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.slots.lock();
        if let Some(index) = queue
            .waiters
            .iter()
            .position(|waiter| waiter.ticket == self.ticket)
        {
            queue.waiters.remove(index);
            self.slots
                .waiting
                .store(queue.waiters.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(max: usize) -> Arc<Slots> {
        Slots::new(max, Arc::from([Shed::default(), Shed::default()]))
    }

    #[test]
    fn no_more_slots_are_taken_than_there_are() {
        let slots = slots(2);
        let taken = (slots.try_take(), slots.try_take());
        assert!(slots.try_take().is_none());
        drop(taken);
        assert_eq!(slots.used(), 0);
        assert!(slots.try_take().is_some());
    }

    #[test]
    fn connections_opened_ahead_stop_at_what_is_enough_whoever_uses_the_others() {
        let slots = slots(8);
        let _used = slots.try_take();
        let _ahead = slots.try_take_below(2);
        assert!(slots.try_take_below(2).is_none());
        assert!(slots.try_take().is_some());
    }

    #[tokio::test]
    async fn waiters_get_slots_in_the_order_they_came() {
        let slots = slots(1);
        let first = slots.try_take();
        let (second, third) = (slots.wait(0), slots.wait(1));
        assert_eq!(slots.waiting(), 2);
        drop(first);
        let second = second.turn().await;
        assert!(matches!(second, Some(Grant::Slot(_))));
        assert_eq!((slots.used(), slots.waiting()), (1, 1));
        drop(second);
        assert!(matches!(third.turn().await, Some(Grant::Slot(_))));
        assert_eq!((slots.used(), slots.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn a_waiter_that_leaves_loses_nobody_a_slot() {
        let slots = slots(1);
        let first = slots.try_take();
        let (leaves, granted_then_leaves, stays) = (slots.wait(0), slots.wait(0), slots.wait(0));
        drop(leaves);
        drop(first);
        drop(granted_then_leaves);
        assert!(matches!(stays.turn().await, Some(Grant::Slot(_))));
        assert_eq!((slots.used(), slots.waiting()), (0, 0));
    }

    #[test]
    fn a_connection_is_handed_over_only_on_the_worker_of_the_first_in_the_queue() {
        let slots = slots(1);
        let _slot = slots.try_take();
        let first = slots.wait(1);
        let second = slots.wait(0);
        assert_eq!(slots.hand_over(0), None);
        assert_eq!(slots.hand_over(1), Some(first.ticket()));
        assert_eq!(slots.hand_over(0), Some(second.ticket()));
        assert_eq!(slots.hand_over(0), None);
    }

    #[tokio::test]
    async fn who_waits_wakes_the_other_workers_to_give_up_unused_connections() {
        let sheds: Arc<[Shed]> = Arc::from([Shed::default(), Shed::default()]);
        let slots = Slots::new(1, Arc::clone(&sheds));
        let _slot = slots.try_take();
        let _place = slots.wait(0);
        sheds[1].notified().await;
    }
}

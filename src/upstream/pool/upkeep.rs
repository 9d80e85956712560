//! What a pool does with its unused connections.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::shelf::Shelf;
use super::{Berth, Opened, Pool, Wanted};
use crate::resilience::Chance;
use crate::time::{Deadline, now};
use crate::upstream::Purpose;
use crate::upstream::http1::Http1;

impl Pool {
    /// Closes connections that are too old or idle for too long, and opens those that are missing to `min`.
    pub fn maintain(self: &Rc<Self>, now: Instant) {
        let idle_timeout = self.upstream.plan().pool.idle_timeout;
        for shelf in &*self.shelves() {
            let mut idle = shelf.idle.borrow_mut();
            let before = idle.len();
            idle.retain(|connection| connection.is_usable(now));
            let is_over =
                |oldest: &Http1| now.saturating_duration_since(oldest.idle_since()) >= idle_timeout;
            while self.living() > self.min && idle.front().is_some_and(|oldest| is_over(oldest)) {
                idle.pop_front();
            }
            let kept = idle.len();
            drop(idle);
            self.is_no_longer_available(before - kept);
            shelf.sharing.tidy(now);
        }
        self.fill();
    }

    /// Closes unused connections, the oldest first, while callers of other workers wait for a slot.
    pub fn shed(&self) {
        let shelves = self.shelves();
        while self.upstream.slots.waiting() > 0 {
            let used = shelves
                .iter()
                .filter_map(|shelf| Some((shelf.oldest()?, shelf)));
            let oldest = used.min_by_key(|(since, _)| *since);
            match oldest {
                Some((_, shelf)) => {
                    let connection = shelf.idle.borrow_mut().pop_front();
                    self.is_no_longer_available(1);
                    drop(connection);
                }
                None if shelves.iter().any(|shelf| shelf.sharing.close_unused()) => {}
                None if shelves
                    .iter()
                    .any(|shelf| shelf.sharing.give_way(&self.upstream.slots, now())) => {}
                None => return,
            }
        }
    }

    /// Counts that many unused connections less.
    pub(super) fn is_no_longer_available(&self, count: usize) {
        let available = &self.upstream.available;
        available.fetch_sub(count, Ordering::Relaxed);
    }

    /// How many HTTP/1.1 connections this worker has, in use or not.
    fn living(&self) -> usize {
        Rc::strong_count(&self.living) - 1
    }

    /// Opens the connections that are missing to `min`, each to the endpoint that has the fewest, in tasks of their own. A
    /// failure is tried again at the next upkeep.
    fn fill(self: &Rc<Self>) {
        let enough = self.upstream.plan().pool.min;
        for _ in self.living() + self.opening_ahead.get()..self.min {
            let shelves = self.shelves();
            let in_service = shelves
                .iter()
                .filter(|shelf| shelf.is_in_service() && !shelf.sharing.is_spoken());
            let Some(shelf) = in_service.min_by_key(|shelf| shelf.endpoint.connections()) else {
                return;
            };
            let Some(slot) = self.upstream.slots.try_take_below(enough) else {
                return;
            };
            self.opening_ahead.set(self.opening_ahead.get() + 1);
            let (pool, shelf) = (Rc::clone(self), Rc::clone(shelf));
            // Counted at once, so that the next one goes elsewhere.
            let berth = Berth::at(&shelf, slot);
            tokio::task::spawn_local(async move {
                pool.open_ahead(&shelf, berth).await;
                pool.opening_ahead.set(pool.opening_ahead.get() - 1);
            });
        }
    }

    async fn open_ahead(&self, shelf: &Rc<Shelf>, berth: Berth) {
        let start = now();
        let wanted = Wanted {
            start,
            deadline: Deadline::after(start, self.upstream.plan().connect_timeout),
            chance: Chance::WHOLE,
            purpose: Purpose::Call,
            avoid: None,
            recall: None,
            held: None,
        };
        if let Ok(Opened::Http1(mut connection)) = self.open_to(shelf, berth, start, &wanted).await
        {
            connection.has_served(now());
            self.put(connection, shelf);
        }
    }
}

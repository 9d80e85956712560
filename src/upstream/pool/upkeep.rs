//! What a pool does with the connections that nobody uses.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Checkout, Pool};
use crate::time::{Deadline, now};
use crate::upstream::Purpose;

impl Pool {
    /// Closes what is too old, idle for too long or wanted elsewhere, and opens what `min` misses.
    pub fn maintain(self: &Rc<Self>, now: Instant) {
        let plan = &self.upstream.plan().pool;
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|connection| connection.is_usable(now));
        while self.living() > self.min
            && idle.front().is_some_and(|oldest| {
                now.saturating_duration_since(oldest.idle_since()) >= plan.idle_timeout
            })
        {
            idle.pop_front();
        }
        let kept = idle.len();
        drop(idle);
        self.upstream
            .available
            .fetch_sub(before - kept, Ordering::Relaxed);
        self.sharing.forget_unusable(now);
        self.fill();
    }

    /// Closes unused connections, the oldest first, while callers of other workers wait for a slot.
    pub fn shed(&self) {
        while self.upstream.slots.waiting() > 0 {
            let Some(oldest) = self.idle.borrow_mut().pop_front() else {
                return;
            };
            self.upstream.available.fetch_sub(1, Ordering::Relaxed);
            drop(oldest);
        }
    }

    /// HTTP/1.1 connections of this worker, in use or not.
    fn living(&self) -> usize {
        Rc::strong_count(&self.living) - 1
    }

    /// Opens what `min` misses, without anybody waiting for it. A failure is tried again at the next look.
    fn fill(self: &Rc<Self>) {
        if self.sharing.is_spoken() {
            return;
        }
        let enough = self.upstream.plan().pool.min;
        for _ in self.living() + self.opening_ahead.get()..self.min {
            let Some(slot) = self.upstream.slots.try_take_below(enough) else {
                return;
            };
            self.opening_ahead.set(self.opening_ahead.get() + 1);
            let pool = Rc::clone(self);
            tokio::task::spawn_local(async move {
                let deadline = Deadline::after(now(), pool.upstream.plan().connect_timeout);
                if let Ok(Checkout { lease, .. }) =
                    pool.open(slot, deadline, Purpose::Call, false).await
                {
                    lease.keep(now());
                }
                pool.opening_ahead.set(pool.opening_ahead.get() - 1);
            });
        }
    }
}

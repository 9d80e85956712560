//! The wait for a connection while all are in use.

use std::rc::Rc;
use std::time::Instant;

use super::{Checkout, Pool};
use crate::failure::Failure;
use crate::time::{Deadline, now};
use crate::upstream::Purpose;
use crate::upstream::http1::Http1;
use crate::upstream::slots::Grant;

/// A wait in the queue: a connection that was handed over to a caller who left is not lost.
struct Turn<'a> {
    pool: &'a Rc<Pool>,
    ticket: u64,
}

impl Pool {
    /// Waits in the queue for a slot, or for a connection that another call is done with.
    pub(super) async fn queue(
        self: &Rc<Self>,
        start: Instant,
        deadline: Deadline,
        purpose: Purpose,
    ) -> Result<Checkout, Failure> {
        let place = self.upstream.slots.wait(self.worker);
        let turn = Turn {
            pool: self,
            ticket: place.ticket(),
        };
        let patience = deadline.min(Deadline::after(
            start,
            self.upstream.plan().pool.acquire_timeout,
        ));
        match crate::time::timeout_at(patience, place.turn()).await {
            // What is opened now would come too late for this caller; the slot goes to the next.
            Ok(Some(Grant::Slot(_))) if patience.has_passed(now()) => Err(Failure::Overloaded),
            Ok(Some(Grant::Slot(slot))) => self.open(slot, deadline, purpose, true).await,
            Ok(Some(Grant::Handed)) => {
                let Some(mut connection) = turn.collect() else {
                    return Err(Failure::Internal);
                };
                // It has just answered another call, so there is no need to doubt it beyond its own word.
                if connection.settle(now()).await {
                    Ok(self.lend(connection, true))
                } else {
                    self.open(connection.into_slot(), deadline, purpose, true)
                        .await
                }
            }
            Ok(None) => Err(Failure::Internal),
            Err(crate::time::Elapsed) => Err(Failure::Overloaded),
        }
    }
}

impl Turn<'_> {
    fn collect(&self) -> Option<Http1> {
        self.pool.handed.borrow_mut().remove(&self.ticket)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.collect() {
            self.pool.put(connection);
        }
    }
}

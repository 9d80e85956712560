//! What a call does while all connections are in use: it takes what is free elsewhere, or waits.

use std::rc::Rc;

use super::choice::Choice;
use super::shelf::{Shelf, Stay};
use super::{Checkout, Handed, Pool, Unconnected, Wanted};
use crate::failure::Failure;
use crate::resilience::Visit;
use crate::time::{Deadline, now};
use crate::upstream::Purpose;
use crate::upstream::slots::{Grant, Slot};

/// A place in the queue. Dropping it puts back a connection that was handed over to a call that is gone.
struct Turn<'a> {
    pool: &'a Rc<Pool>,
    ticket: u64,
}

impl Pool {
    /// Gets a connection while all slots are taken: an unused one to another endpoint, or a new one in place of an unused one
    /// that this call cannot take; else the call queues up.
    pub(super) async fn make_do(
        self: &Rc<Self>,
        stay: Stay,
        choice: &Choice,
        wanted: &Wanted<'_>,
    ) -> Result<Checkout, Unconnected> {
        for (shelf, is_fit) in choice.others(&stay, wanted) {
            if !is_fit || wanted.purpose == Purpose::Tunnel {
                if let Some(slot) = self.give_up_one(shelf) {
                    return self.open(slot, stay, wanted, None).await;
                }
                continue;
            }
            if wanted.purpose == Purpose::Call
                && let Some(connection) = shelf.sharing.current(&self.upstream.slots, wanted.start)
            {
                let stay = Stay::begin(self, shelf, Visit::Ordinary);
                return Ok(Checkout::http2(connection, stay, None));
            }
            if let Some(connection) = self.reuse(shelf, wanted.start).await {
                let stay = Stay::begin(self, shelf, Visit::Ordinary);
                return Ok(Checkout::http1(connection, stay, None));
            }
        }
        self.queue(stay, choice, wanted).await
    }

    /// Closes an unused connection and keeps its slot.
    pub(super) fn give_up_one(&self, shelf: &Shelf) -> Option<Slot> {
        let oldest = shelf.idle.borrow_mut().pop_front()?;
        self.is_no_longer_available(1);
        Some(oldest.into_slot())
    }

    /// Waits in the queue for a slot, or for a connection that another call is done with, wherever it leads.
    async fn queue(
        self: &Rc<Self>,
        stay: Stay,
        choice: &Choice,
        wanted: &Wanted<'_>,
    ) -> Result<Checkout, Unconnected> {
        let place = self.upstream.slots.wait(self.worker);
        let turn = Turn {
            pool: self,
            ticket: place.ticket(),
        };
        let acquire_timeout = self.upstream.plan().pool.acquire_timeout;
        let patience = Deadline::after(wanted.start, acquire_timeout).min(wanted.deadline);
        let begin = now();
        let granted = wanted.wait(patience, place.turn()).await;
        let now = now();
        let queued = now.saturating_duration_since(begin);
        match granted {
            // A connection opened now would be too late for this call; the slot goes to the next.
            Ok(Some(Grant::Slot(_))) if patience.has_passed(now) => {
                Err(Unconnected::waited(Failure::Overloaded, queued))
            }
            Ok(Some(Grant::Slot(slot))) => {
                let stay = self.choose_again(stay, choice, wanted);
                self.open(slot, stay, wanted, Some(queued)).await
            }
            Ok(Some(Grant::Handed)) => {
                let Some((mut connection, shelf)) = turn.collect() else {
                    return Err(Unconnected::from(
                        &stay.shelf,
                        Failure::Internal,
                        Some(queued),
                    ));
                };
                // It has just answered another call, so it is not polled first.
                if wanted.purpose != Purpose::Tunnel && connection.settle(now).await {
                    let stay = if Rc::ptr_eq(&shelf, &stay.shelf) {
                        stay
                    } else {
                        Stay::begin(self, &shelf, Visit::Ordinary)
                    };
                    Ok(Checkout::http1(connection, stay, Some(queued)))
                } else {
                    let stay = self.choose_again(stay, choice, wanted);
                    self.open(connection.into_slot(), stay, wanted, Some(queued))
                        .await
                }
            }
            Ok(None) => Err(Unconnected::from(
                &stay.shelf,
                Failure::Internal,
                Some(queued),
            )),
            Err(vain) => Err(Unconnected::waited(vain.failure(), queued)),
        }
    }

    /// Chooses another endpoint if this one was ejected while the call waited.
    fn choose_again(self: &Rc<Self>, stay: Stay, choice: &Choice, wanted: &Wanted<'_>) -> Stay {
        if stay.is_trial() || stay.shelf.is_in_service() {
            return stay;
        }
        choice.make(self, wanted, now()).unwrap_or(stay)
    }
}

impl Turn<'_> {
    fn collect(&self) -> Option<Handed> {
        self.pool.handed.borrow_mut().remove(&self.ticket)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((connection, shelf)) = self.collect() {
            self.pool.put(connection, &shelf);
        }
    }
}

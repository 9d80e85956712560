//! How a tunnel gets its stream.

use std::rc::Rc;

use super::choice::Choice;
use super::shelf::Stay;
use super::{Checkout, Pool, Unconnected, Wanted};

impl Pool {
    /// Gets a stream for a tunnel, which is always a new one: what is there already has a protocol. At `max` it takes the place of an unused
    /// connection, else it queues up with the calls.
    pub(super) async fn dig(
        self: &Rc<Self>,
        stay: Stay,
        choice: &Choice,
        wanted: &Wanted<'_>,
    ) -> Result<Checkout, Unconnected> {
        let slots = &self.upstream.slots;
        let mut slot = slots.try_take();
        if slot.is_none() {
            slot = self.give_up_one(&stay.shelf);
        }
        if slot.is_none() && stay.shelf.sharing.close_unused() {
            slot = slots.try_take();
        }
        match slot {
            Some(slot) => self.open(slot, stay, wanted, None).await,
            None => self.make_do(stay, choice, wanted).await,
        }
    }
}

//! Which endpoint a call goes to.

use std::rc::Rc;
use std::time::Instant;

use super::shelf::{Shelf, Stay};
use super::{Pool, Wanted};
use crate::resilience::Visit;
use crate::upstream::balance::{Load, pick};
use crate::upstream::endpoint::Endpoint;

/// The shelves of a pool as they were when a call came, and those that have failed it.
pub(super) struct Choice {
    pub(super) shelves: Rc<[Rc<Shelf>]>,
    tried: u64,
    tries: u32,
}

impl Choice {
    pub(super) fn new(shelves: Rc<[Rc<Shelf>]>) -> Self {
        Self {
            shelves,
            tried: 0,
            tries: 0,
        }
    }

    /// How many endpoints have failed the call.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Excludes this endpoint: the call could not be sent to it.
    pub(super) fn rule_out(&mut self, endpoint: Option<&Endpoint>) {
        let id = endpoint.map(Endpoint::id);
        let mut shelves = self.shelves.iter();
        self.tries += 1;
        if let Some(place) = shelves.position(|shelf| Some(shelf.endpoint.id()) == id) {
            self.tried |= 1 << place;
        }
    }

    /// The other endpoints than that one, each with whether the call may go there.
    pub(super) fn others(
        &self,
        stay: &Stay,
        wanted: &Wanted<'_>,
    ) -> impl Iterator<Item = (&Rc<Shelf>, bool)> + use<'_> {
        let here = Rc::clone(&stay.shelf);
        let avoid = wanted.avoid;
        let shelves = self.shelves.iter().enumerate();
        shelves
            .filter(move |(_, shelf)| !Rc::ptr_eq(shelf, &here))
            .map(move |(place, shelf)| {
                let is_fit = self.tried >> place & 1 == 0
                    && shelf.is_in_service()
                    && Some(shelf.endpoint.id()) != avoid;
                (shelf, is_fit)
            })
    }

    /// An endpoint that has not been tried: one whose trial is due, else one of two drawn at random; `None` when there is none left.
    ///
    /// An ejected endpoint whose trial is due goes first, else it might never come back. A call that has failed once is not
    /// used for a trial.
    pub(super) fn make(&self, pool: &Rc<Pool>, wanted: &Wanted<'_>, now: Instant) -> Option<Stay> {
        if let [only] = &*self.shelves {
            return (self.tries == 0).then(|| Stay::begin(pool, only, Visit::Ordinary));
        }
        let all = u64::MAX >> (64 - self.shelves.len().clamp(1, 64));
        let mut fit = all & !self.tried;
        if pool.upstream.endpoints().has_ejected() {
            let may_try = wanted.avoid.is_none() && self.tried == 0;
            for (place, shelf) in self.shelves.iter().enumerate() {
                if !shelf.endpoint.is_out() {
                    continue;
                }
                fit &= !(1 << place);
                if may_try
                    && let Some(visit) = shelf.endpoint.eject_with(|ejector| ejector.visit(now))
                {
                    return Some(Stay::begin(pool, shelf, visit));
                }
            }
        }
        let avoided = wanted.avoid.and_then(|avoid| {
            let mut shelves = self.shelves.iter();
            shelves.position(|shelf| shelf.endpoint.id() == avoid)
        });
        if let Some(place) = avoided
            && fit & !(1 << place) != 0
        {
            fit &= !(1 << place);
        }
        if fit == 0 && self.tried == 0 {
            // At most half are ejected, but another worker may be changing that at this moment.
            fit = all;
        }
        let load = |place: usize| match self.shelves.get(place) {
            Some(shelf) => shelf.endpoint.load(now),
            None => Load::UNKNOWN,
        };
        let place = pick(fit, fastrand::u64(..), load)?;
        let shelf = self.shelves.get(place)?;
        Some(Stay::begin(pool, shelf, Visit::Ordinary))
    }
}

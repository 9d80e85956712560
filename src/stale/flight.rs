//! One call for many: a call that is the same as one under way waits for that one's answer instead of being made.
//!
//! The first is the leader, the others follow. A leader that is dropped without a result is replaced by one of its followers,
//! so a caller that leaves harms no other. A failure is shared, so that a slow upstream does not get all calls at once when the
//! leader gives up. An answer that says that the upstream fails goes to its caller alone, and another makes the call for those
//! that have time left to wait.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::asked::Asked;
use super::kept::Kept;
use super::print::Print;
use super::store::Store;
use crate::failure::Failure;

/// The calls of a route that are under way and shared.
pub(super) type Flights = HashMap<Print, watch::Receiver<Option<Landed>>>;

/// The result of a shared call.
#[derive(Clone, Debug)]
pub enum Landed {
    /// An answer for all that it fits.
    Answer(Arc<Kept>),
    /// It failed because of the upstream.
    Failed(Failure),
    /// Its answer is for its caller alone: the others make the call themselves.
    Alone,
    /// It has no result: another of them makes it.
    Again,
    /// Its caller's time was over: another of them makes it, if one has enough time of its own.
    Late,
    /// Its answer is a failure: another of them makes it, for as long as they have time to wait.
    Unfit,
}

/// A caller's part in a shared call.
#[derive(Debug)]
pub enum Place {
    /// It makes the call.
    Lead(Lead),
    /// It waits for the leader's result.
    Follow(Follow),
}

/// The right to make a call for all that wait for its answer. Dropped without a result, it means [`Landed::Again`].
#[derive(Debug)]
#[must_use = "dropped, it lets another make the call"]
pub struct Lead {
    store: Arc<Store>,
    print: Print,
    sender: watch::Sender<Option<Landed>>,
}

/// Waits for a shared call.
#[derive(Debug)]
pub struct Follow(watch::Receiver<Option<Landed>>);

impl Store {
    /// Joins the call: as its leader if it is not under way.
    #[must_use]
    pub fn join(self: &Arc<Self>, asked: &Asked) -> Place {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&asked.print) {
            return Place::Follow(Follow(flight.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(asked.print, receiver);
        Place::Lead(Lead {
            store: Arc::clone(self),
            print: asked.print,
            sender,
        })
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// Whether any call waits.
    #[must_use]
    pub fn has_followers(&self) -> bool {
        // The store holds one receiver itself.
        self.sender.receiver_count() > 1
    }

    /// Gives the result to all that wait. Later calls are made anew.
    pub fn landed(self, landed: Landed) {
        self.end(landed);
    }

    fn end(&self, landed: Landed) {
        if self.sender.borrow().is_some() {
            return;
        }
        self.store.flights().remove(&self.print);
        self.sender.send_replace(Some(landed));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.end(Landed::Again);
    }
}

impl Follow {
    /// Waits for the result of the call.
    pub async fn landed(mut self) -> Landed {
        match self.0.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Landed::Again),
            Err(_) => Landed::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::{get, plan};
    use super::*;

    #[tokio::test]
    async fn the_first_leads_the_others_follow_and_who_comes_later_leads_again() {
        let store = Store::new(plan());
        let asked = get(&store, "/a", &[]);
        let Place::Lead(lead) = store.join(&asked) else {
            panic!("the first leads")
        };
        assert!(!lead.has_followers());
        let Place::Follow(follow) = store.join(&asked) else {
            panic!("the second follows")
        };
        assert!(matches!(
            store.join(&get(&store, "/b", &[])),
            Place::Lead(_)
        ));
        assert!(lead.has_followers());
        lead.landed(Landed::Failed(Failure::Timeout));
        assert!(matches!(
            follow.landed().await,
            Landed::Failed(Failure::Timeout)
        ));
        assert!(matches!(store.join(&asked), Place::Lead(_)));
    }

    #[tokio::test]
    async fn a_leader_that_is_gone_lets_another_lead() {
        let store = Store::new(plan());
        let asked = get(&store, "/a", &[]);
        let lead = store.join(&asked);
        let Place::Follow(follow) = store.join(&asked) else {
            panic!("the second follows")
        };
        drop(lead);
        assert!(matches!(follow.landed().await, Landed::Again));
        assert!(matches!(store.join(&asked), Place::Lead(_)));
        assert!(store.flights().is_empty(), "nothing is left of them");
    }

    #[tokio::test]
    async fn callers_with_other_credentials_never_follow_one_another() {
        let store = Store::new(plan());
        let _first = store.join(&get(&store, "/a", &[("authorization", "a")]));
        let other = get(&store, "/a", &[("authorization", "b")]);
        assert!(matches!(store.join(&other), Place::Lead(_)));
    }
}

//! Operators' orders to a breaker.

use std::sync::Arc;
use std::time::Instant;

use crate::resilience::breaker::machine::Machine;
use crate::resilience::breaker::roll::Change;
use crate::resilience::breaker::state::{Mode, Phase};
use crate::resilience::breaker::transition::{Cause, Evidence};
use crate::resilience::breaker::view::Statistics;
use crate::resilience::breaker::window::Window;

/// An operator's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Hold it open: reject every call, under every enforcement, until another order or `until`.
    Open {
        /// When the hold ends by itself.
        until: Option<Instant>,
    },
    /// Close it once: state closed, counters zero, any hold dropped; from then on it decides by itself.
    Close,
    /// Hold it closed: let every call pass until another order or `until`.
    HoldClosed {
        /// When the hold ends by itself.
        until: Option<Instant>,
    },
    /// As [`Order::Close`], and the statistics become zero too.
    Clear,
    /// Drop the hold; the automatic state, which went on being computed, is in force again.
    Auto,
    /// As [`Order::Auto`], but only if the hold in force is of the same author.
    Withdraw,
    /// Give the hold in force another end, if it is of the same author.
    Renew {
        /// When the hold ends by itself.
        until: Option<Instant>,
    },
}

/// An order with its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForceRequest {
    /// What to do.
    pub order: Order,
    /// Who orders it.
    pub by: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// [`Mode::ForcedOpen`] or [`Mode::ForcedClosed`].
    pub mode: Mode,
    /// When it began.
    pub since: Instant,
    /// When it ends by itself; `None` holds until another order.
    pub until: Option<Instant>,
    /// Who ordered it.
    pub by: Box<str>,
    /// Why, in the operator's words.
    pub reason: Option<Box<str>>,
}

/// The author of a forced transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Who ordered it.
    pub by: Box<str>,
    /// Why, in the operator's words.
    pub reason: Option<Box<str>>,
    /// When the hold ends by itself, if this began one; for the end of a hold, when it ended.
    pub until: Option<Instant>,
}

impl Machine {
    /// Carries out an operator's order. Says whether anything changed: repeating an order changes nothing.
    pub fn force(&mut self, request: ForceRequest, now: Instant) -> bool {
        self.roll(now);
        let before = self.present();
        let ForceRequest { order, by, reason } = request;
        let author = Author {
            by: by.into(),
            reason: reason.map(Into::into),
            until: None,
        };
        let (changed, until) = match order {
            Order::Open { until } => self.take_hold(Mode::ForcedOpen, until, &author),
            Order::HoldClosed { until } => self.take_hold(Mode::ForcedClosed, until, &author),
            Order::Close => (self.close_by_order(), None),
            Order::Clear => (self.clear(), None),
            Order::Auto => (self.hold.take().is_some(), None),
            Order::Withdraw => {
                let withdrawn = self.hold.take_if(|hold| hold.by == author.by);
                (withdrawn.is_some(), None)
            }
            Order::Renew { until } => (self.renew(until, &author), until),
        };
        let evidence = Evidence::none(self.window.counts(self.latest));
        let author = Some(Author { until, ..author });
        let change = Change::new(self.latest, Cause::Forced, evidence);
        self.note(before, Change { author, ..change });
        // A hold until an instant that has passed ends at once.
        self.roll(now);
        changed
    }

    /// Takes over the hold; says whether it differs from the one before, and when it ends.
    fn take_hold(
        &mut self,
        mode: Mode,
        until: Option<Instant>,
        author: &Author,
    ) -> (bool, Option<Instant>) {
        let until = until.map(|until| until.max(self.latest));
        let since = match &self.hold {
            Some(hold)
                if hold.mode == mode && hold.until == until && hold.reason == author.reason =>
            {
                return (false, until);
            }
            Some(hold) if hold.mode == mode => hold.since,
            Some(_) | None => self.latest,
        };
        let Author {
            by,
            reason,
            until: _,
        } = author.clone();
        self.hold = Some(Arc::new(Hold {
            mode,
            since,
            until,
            by,
            reason,
        }));
        (true, until)
    }

    /// Gives the author's hold another end; says whether that changed it.
    fn renew(&mut self, until: Option<Instant>, author: &Author) -> bool {
        let until = until.map(|until| until.max(self.latest));
        match &mut self.hold {
            Some(hold) if hold.by == author.by && hold.until != until => {
                Arc::make_mut(hold).until = until;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Drops the hold, closes, and makes the counters zero; says whether that changed anything.
    fn close_by_order(&mut self) -> bool {
        let Statistics {
            consecutive_failures,
            consecutive_successes,
            ..
        } = self.statistics;
        let counted = consecutive_failures > 0
            || consecutive_successes > 0
            || self.window.counts(self.latest).calls > 0;
        let changed = self.hold.take().is_some()
            || self.phase != Phase::Closed
            || self.openings > 0
            || self.ramp.is_some()
            || counted;
        // Calls in flight began before the order: they must not undo it.
        self.generation += 1;
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.phase_since = self.latest;
        }
        self.openings = 0;
        self.ramp = None;
        self.statistics.consecutive_failures = 0;
        self.statistics.consecutive_successes = 0;
        self.run = None;
        self.recent = None;
        self.window = Window::new(self.spec.keys().window, self.latest);
        changed
    }

    fn clear(&mut self) -> bool {
        let closed = self.close_by_order();
        let counted = self.statistics != Statistics::default() || self.last_failure.is_some();
        self.statistics = Statistics::default();
        self.rejected_before = 0;
        self.last_failure = None;
        closed || counted
    }
}

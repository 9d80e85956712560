//! `overrides` of the configuration: holds that stand in the file instead of being ordered.
//!
//! An override is an order, given once: when it appears in the configuration or changes there. From then on it is one order
//! among those of operators, of which the latest counts: an operator may drop or replace the hold, and a reload with the same
//! override does not give it again. Removing an override ends the hold that it made, and no other.

use crate::config::plan::{Forced, OverridePlan};
use crate::resilience::{Breaker, ForceRequest, Order};
use crate::time::Moment;

/// The author of such holds; operators have other names.
const AUTHOR: &str = "config";

/// What a breaker's override was before, compared with what it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// There was none.
    None,
    /// The one that it is now.
    Same,
    /// Another one than it is now, if there is one now.
    Another,
}

impl Before {
    /// Compares the two.
    pub(super) fn of(before: Option<&OverridePlan>, after: Option<&OverridePlan>) -> Self {
        match before {
            None => Self::None,
            Some(_) if before == after => Self::Same,
            Some(_) => Self::Another,
        }
    }
}

/// What a breaker's override was, and what it is.
pub(super) struct Turn<'a> {
    pub(super) before: Before,
    pub(super) after: Option<&'a OverridePlan>,
}

/// Gives the breaker the order that follows from the change. An override ends by the wall clock, a hold by the monotonic one, which jumps
/// of the wall clock do not move; so every reload measures anew how long the hold is.
pub(super) fn overrule(breaker: &Breaker, turn: &Turn<'_>, moment: Moment) {
    let Some((order, reason)) = order(turn, moment) else {
        return;
    };
    let request = ForceRequest {
        order,
        by: AUTHOR.to_owned(),
        reason,
    };
    breaker.force(request, moment.now);
}

fn order(turn: &Turn<'_>, moment: Moment) -> Option<(Order, Option<String>)> {
    let end = (turn.before != Before::None).then_some((Order::Withdraw, None));
    let Some(plan) = turn.after else {
        return end;
    };
    let until = plan.until.map(|until| moment.instant(until));
    if until == Some(None) {
        return end;
    }
    let until = until.flatten();
    if turn.before == Before::Same {
        return Some((Order::Renew { until }, None));
    }
    let order = match plan.force {
        Forced::Open => Order::Open { until },
        Forced::Closed => Order::HoldClosed { until },
    };
    Some((order, plan.reason.clone()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use super::*;
    use crate::resilience::{BreakerKeys, BreakerSpec, Mode};

    const HOUR: Duration = Duration::from_secs(3600);

    /// A breaker whose override changes, on clocks of its own.
    struct Bed {
        breaker: Arc<Breaker>,
        wall: SystemTime,
        now: Instant,
        before: Option<OverridePlan>,
    }

    impl Bed {
        fn new() -> Self {
            let spec = BreakerSpec::try_new(BreakerKeys::default()).unwrap();
            let now = crate::time::now();
            Self {
                breaker: Breaker::new(spec, 0, now, Box::new(|_| {})),
                wall: SystemTime::UNIX_EPOCH + HOUR * 500_000,
                now,
                before: None,
            }
        }

        fn load(&mut self, plan: Option<OverridePlan>) -> (Mode, Option<Duration>) {
            let turn = Turn {
                before: Before::of(self.before.as_ref(), plan.as_ref()),
                after: plan.as_ref(),
            };
            let moment = Moment {
                wall: self.wall,
                now: self.now,
            };
            overrule(&self.breaker, &turn, moment);
            self.before = plan;
            self.held()
        }

        fn held(&self) -> (Mode, Option<Duration>) {
            let view = self.breaker.view(self.now);
            let until = view.hold.and_then(|hold| hold.until);
            (view.standing.mode, until.map(|until| until - self.now))
        }

        fn operator(&self, order: Order) {
            let by = "operator".to_owned();
            let request = ForceRequest {
                order,
                by,
                reason: None,
            };
            self.breaker.force(request, self.now);
        }

        fn pass(&mut self, time: Duration) {
            self.wall += time;
            self.now += time;
        }

        fn plan(&self, force: Forced, lasting: Option<Duration>) -> Option<OverridePlan> {
            Some(OverridePlan {
                force,
                until: lasting.map(|lasting| self.wall + lasting),
                reason: Some("INC-1234".to_owned()),
            })
        }
    }

    const AUTO: (Mode, Option<Duration>) = (Mode::Auto, None);
    const OPEN: (Mode, Option<Duration>) = (Mode::ForcedOpen, None);
    const CLOSED: (Mode, Option<Duration>) = (Mode::ForcedClosed, None);

    #[test]
    fn an_override_holds_and_its_end_or_its_removal_lets_go() {
        let mut bed = Bed::new();
        let open = bed.plan(Forced::Open, None);
        assert_eq!(bed.load(open), OPEN);
        let hold = bed.breaker.view(bed.now).hold.unwrap();
        assert_eq!(
            (&*hold.by, hold.reason.as_deref()),
            ("config", Some("INC-1234"))
        );
        assert_eq!(bed.load(None), AUTO);

        let closed = bed.plan(Forced::Closed, Some(HOUR));
        assert_eq!(bed.load(closed), (Mode::ForcedClosed, Some(HOUR)));
        bed.pass(HOUR);
        assert_eq!(bed.held(), AUTO);
    }

    #[test]
    fn the_same_override_again_is_no_new_order() {
        let mut bed = Bed::new();
        let open = bed.plan(Forced::Open, None);
        bed.load(open.clone());
        bed.operator(Order::Auto);
        assert_eq!(bed.load(open.clone()), AUTO, "the operator dropped it");
        bed.operator(Order::HoldClosed { until: None });
        assert_eq!(
            bed.load(open),
            CLOSED,
            "the operator's order is the later one"
        );
    }

    #[test]
    fn a_changed_override_goes_before_an_older_order_whoever_gave_it() {
        let mut bed = Bed::new();
        bed.operator(Order::Open { until: None });
        let closed = bed.plan(Forced::Closed, None);
        assert_eq!(bed.load(closed), CLOSED);
        let open = bed.plan(Forced::Open, None);
        assert_eq!(bed.load(open), OPEN);
    }

    #[test]
    fn an_override_that_goes_leaves_an_operators_hold_alone() {
        let mut bed = Bed::new();
        let closed = bed.plan(Forced::Closed, None);
        bed.load(closed);
        bed.operator(Order::Open { until: None });
        assert_eq!(bed.load(None), OPEN);
    }

    #[test]
    fn an_override_that_is_over_does_nothing_and_ends_what_it_was_before() {
        let mut bed = Bed::new();
        let over = bed.plan(Forced::Open, Some(Duration::ZERO));
        assert_eq!(bed.load(over.clone()), AUTO);
        let open = bed.plan(Forced::Open, None);
        bed.load(open);
        assert_eq!(bed.load(over), AUTO);
    }

    #[test]
    fn rule_7_a_jump_of_the_wall_clock_trips_nothing_and_a_reload_measures_the_end_anew() {
        let mut bed = Bed::new();
        let open = bed.plan(Forced::Open, Some(HOUR * 3));
        bed.load(open.clone());
        bed.wall += HOUR;
        assert_eq!(bed.held(), (Mode::ForcedOpen, Some(HOUR * 3)));
        assert_eq!(bed.load(open.clone()), (Mode::ForcedOpen, Some(HOUR * 2)));
        bed.wall -= HOUR * 9;
        assert_eq!(bed.load(open.clone()), (Mode::ForcedOpen, Some(HOUR * 11)));
        bed.wall += HOUR * 20;
        assert_eq!(bed.load(open), AUTO);
    }
}

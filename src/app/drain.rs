//! How the process ends: it goes on serving until its callers are done, or until its time is over.
//!
//! The application beside us still calls out while it shuts down, so connections are accepted to the last. Every answer closes its
//! connection. We are done when nothing has been in flight for a while; at the deadline what is in flight gets a last second, and new
//! calls are refused.

use std::time::Duration;

use crate::net::Phase;
use crate::proxy::Shared;
use crate::time::{Deadline, now, sleep_until};

/// How often we look.
const LOOK: Duration = Duration::from_millis(50);

/// Without callers' connections, quiet for so long means done.
const QUIET: Duration = Duration::from_secs(1);

/// With connections kept open somebody may still call: quiet for so long means done.
const QUIET_WITH_CONNECTIONS: Duration = Duration::from_secs(3);

/// What calls in flight get after the deadline.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Waits until the callers are done, for `drain` at the most. Says whether nothing was cut off.
pub(super) async fn drain(shared: &Shared, drain: Duration) -> bool {
    shared.phases.advance(Phase::Draining);
    let is_done = quiet(shared, Deadline::after(now(), drain)).await;
    shared.phases.advance(Phase::Closing);
    if is_done {
        return true;
    }
    let last_call = Deadline::after(now(), LAST_CALL);
    while shared.activity().0 > 0 && !last_call.has_passed(now()) {
        sleep_until(Deadline::after(now(), LOOK)).await;
    }
    shared.activity().0 == 0
}

async fn quiet(shared: &Shared, deadline: Deadline) -> bool {
    let mut begun = shared.activity().1;
    let mut since = now();
    loop {
        let now = now();
        let (in_flight, begun_now) = shared.activity();
        if in_flight > 0 || begun_now != begun {
            begun = begun_now;
            since = now;
        }
        let enough = if shared.connections() == 0 {
            QUIET
        } else {
            QUIET_WITH_CONNECTIONS
        };
        if now.saturating_duration_since(since) >= enough {
            return true;
        }
        if deadline.has_passed(now) {
            return in_flight == 0;
        }
        sleep_until(Deadline::after(now, LOOK).min(deadline)).await;
    }
}

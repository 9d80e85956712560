//! Ends of holds.
//!
//! Time moves a breaker when somebody asks. A hold that ends while no call comes and nobody looks must end all the same: its line in the
//! log is what people wait for, and the state file is written for it.

use std::convert::Infallible;
use std::time::Duration;

use crate::proxy::Shared;
use crate::time::{Deadline, now, sleep_until};

/// How often holds are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Ends the holds whose time has come, for as long as the program lives.
pub(super) async fn end_holds(shared: &Shared) -> Infallible {
    loop {
        let now = now();
        for route in &shared.snapshot.load().routes {
            route.end_holds(now);
        }
        sleep_until(Deadline::after(now, EVERY)).await;
    }
}

//! `sidefuse demo`: the real proxy, three stand-in services and their callers, on loopback and in one process.
//!
//! Everything shown was observed: the states come from the admin port, the waits from the callers, the lines from the log. A
//! step that does not happen in time ends the demo with exit code 1. Nothing is left behind, however it ends.

mod cast;
mod configuration;
mod error;
mod folder;
mod journal;
mod operator;
mod origin;
mod script;
mod sidecar;
mod stage;
mod traffic;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;

use self::error::Stop;
use self::stage::Stage;
use super::complain;
use crate::text::chain;
use crate::time::{Deadline, now, timeout_at};

/// The longest time of the demo, which takes about eleven seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Shows a breaker trip and recover.
pub(super) fn demo() -> ExitCode {
    match perform() {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if stop.exit_code() != 0 {
                complain(&format!("demo: {}", chain(&stop)));
            }
            ExitCode::from(stop.exit_code())
        }
    }
}

fn perform() -> Result<(), Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::Setup("a runtime", error))?;
    LocalSet::new().block_on(&runtime, async {
        // Before the proxy installs its own handlers: a signal must end the demo, whatever the proxy does.
        let mut signals = Signals::install().map_err(|error| Stop::Setup("signals", error))?;
        let mut stage = Stage::stdout();
        let play = timeout_at(Deadline::after(now(), LIMIT), script::play(&mut stage));
        tokio::select! {
            played = Box::pin(play) => played.unwrap_or(Err(Stop::Late { what: "the end", limit: LIMIT })),
            number = signals.any() => Err(Stop::Signal(number)),
        }
    })
}

/// The signals that end the demo at once. SIGHUP is one of them: its terminal is gone.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one and gives its number.
    async fn any(&mut self) -> u8 {
        tokio::select! {
            _ = self.hangup.recv() => 1,
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

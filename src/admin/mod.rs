//! The operators' port and the read-only health listener.
//!
//! ```text
//! accept ─ a place among 4 to 64 ─ 10 s per step ─ desk
//!   └─ Host ─ endpoint ─ method ─ right ─ origin and content type ─ answer ─ headers
//! ```
//!
//! A request reads one clock once; whatever it shows of a breaker comes from one view at that instant, so the gauge, the JSON and
//! the `Retry-After` of a refusal agree. No answer carries a secret: tokens are held as digests only, and what a configuration
//! says is shown as `sidefuse config` shows it, masked.
//!
//! # Who may
//! | listener | probes | read | change |
//! |---|---|---|---|
//! | unix socket | all | all | all: the file mode decided already |
//! | TCP, no token | all | loopback only | loopback only |
//! | TCP, operator token | all | loopback: all, else operator | operator |
//! | TCP, reader token | all | reader | nobody |
//! | TCP, both | all | reader or operator | operator |
//! | health | all | `/metrics`: all | nothing |

mod access;
mod api;
mod beside;
mod breakers;
mod config;
mod context;
mod endpoint;
mod explain;
mod guard;
mod health;
mod kept;
mod limits;
mod metrics;
mod obey;
mod orders;
mod reply;
mod serve;
#[cfg(test)]
mod tests;
mod token;
mod upstream;
mod watchers;

pub use context::{ConfigStatus, Context, LastError, ReloadReport, ReloadRequest};
pub use serve::{Listener, serve, serve_health, serve_one};

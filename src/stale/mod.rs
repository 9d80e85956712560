//! Answers kept for an outage: the last good one to each GET of a route; and one call shared by all callers that make it at the
//! same time.
//!
//! `print` says which calls are the same, `asked` what a call may be used for, `cache_control` which answers may be kept and
//! for how long, `store` keeps them within a budget, `collector` takes them from the answers that pass, `flight` lets one call
//! answer many. An answer is never given to a caller whose request differs in a header that may identify the caller, unless the
//! operator says that it makes no difference.

mod asked;
mod cache_control;
mod collector;
mod flight;
mod kept;
mod print;
mod store;

pub use asked::{Asked, Call};
pub use collector::Collector;
pub use flight::{Follow, Landed, Lead, Place};
pub use kept::Kept;
pub use store::Store;

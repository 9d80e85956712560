//! Limits of our own: how many calls are in flight at once, and how many start per second.
//!
//! | file | what it holds |
//! |---|---|
//! | `concurrency` | the [`Bulkhead`]: calls out at once, with a bounded line |
//! | `rate` | the [`RateLimit`]: token buckets, one for all or one per key |
//!
//! What they refuse never reached an upstream and says nothing about it, so breakers do not count it.

mod concurrency;
mod rate;
#[cfg(test)]
mod tests;

pub use concurrency::{Bulkhead, BulkheadSpec, BulkheadView, Full, QueuePlace, Ticket};
pub use rate::{RateLimit, RateSpec};

//! What the limits promise.

mod concurrency;
mod interleavings;
mod orders;
mod rate;

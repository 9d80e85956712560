//! What the limits promise.

mod concurrency;
mod interleavings;
mod rate;

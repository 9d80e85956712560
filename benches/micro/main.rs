//! What single pieces of the request path cost: `cargo bench --bench micro -- NAME`.
//!
//! A file per noun. Nothing here asserts a time; Machines are noisy, so compare within one run.

#![expect(
    clippy::expect_used,
    reason = "what cannot be set up cannot be measured"
)]

mod balance;
mod breaker;
mod classify;
mod config;
mod correlation;
mod keyed;
mod limits;
mod line;
mod retry;
mod router;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    balance::benches,
    breaker::benches,
    classify::benches,
    config::benches,
    correlation::benches,
    keyed::benches,
    limits::benches,
    line::benches,
    retry::benches,
    router::benches
);
criterion_main!(benches);

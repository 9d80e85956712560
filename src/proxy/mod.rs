//! The data path: what happens to one request, from the accepted connection to the end of its answer.
//!
//! Begin with [`http`]'s `relay`.

pub mod http;
mod turnstile;
pub mod worker;

pub use worker::{Shared, Worker};

//! The admin port from outside: bytes in, bytes out.

mod audit;
mod breakers;
mod config;
mod docs;
mod health;
mod keys;
mod limits;
mod support;
mod who;

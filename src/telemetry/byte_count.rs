//! The bytes of a request's body, counted where they pass and read where the exchange ends.

use std::cell::Cell;
use std::rc::Rc;

/// Counts the bytes of a request body, which lives apart from its exchange.
#[derive(Clone, Debug, Default)]
pub struct ByteCount(Rc<Cell<u64>>);

impl ByteCount {
    /// Adds that many.
    pub fn add(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_add(bytes));
    }

    /// How many there were so far.
    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}

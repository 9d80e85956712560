//! A line of waiting calls, first come, first served.

use std::collections::VecDeque;
use std::sync::Arc;

/// Wakes a waiting call, which then asks again. Called outside of every lock; it may be called without need, but never too
/// seldom.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How many places are kept allocated while no call waits.
const KEPT: usize = 16;

/// A line of waiting calls, each with what it waits for.
pub(super) struct Line<T> {
    next: u64,
    waiters: VecDeque<Waiter<T>>,
}

/// A waiting call.
pub(super) struct Waiter<T> {
    number: u64,
    /// What it waits for.
    pub(super) tag: T,
    /// Wakes it.
    pub(super) wake: Wake,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            next: 0,
            waiters: VecDeque::new(),
        }
    }
}

impl<T> Line<T> {
    /// Joins at the end. The number is the right to be asked for, and to leave.
    pub(super) fn join(&mut self, tag: T, wake: Wake) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiters.push_back(Waiter { number, tag, wake });
        number
    }

    /// How many stand before it; `None` when it is not (or no longer) in the line.
    pub(super) fn position(&self, number: u64) -> Option<usize> {
        // Numbers only grow from front to back.
        let place = self
            .waiters
            .binary_search_by_key(&number, |waiter| waiter.number);
        place.ok()
    }

    /// Leaves the line, wherever it stands, without a gap.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let place = self.position(number);
        if let Some(place) = place {
            self.waiters.remove(place);
        }
        if self.waiters.is_empty() && self.waiters.capacity() > KEPT {
            // Frees the memory of a line that was long once.
            self.waiters = VecDeque::new();
        }
        place.is_some()
    }

    /// The one at that place.
    pub(super) fn at(&self, place: usize) -> Option<&Waiter<T>> {
        self.waiters.get(place)
    }

    /// All, from the front.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter<T>> {
        self.waiters.iter()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_leaves_no_hole() {
        let mut line = Line::default();
        let wake: Wake = Arc::new(|| {});
        let [a, b, c] = ["a", "b", "c"].map(|tag| line.join(tag, Arc::clone(&wake)));
        assert_eq!([a, b, c].map(|it| line.position(it)), [0, 1, 2].map(Some));
        assert!(line.leave(b) && !line.leave(b));
        assert_eq!((line.position(b), line.position(c)), (None, Some(1)));
        assert!(line.leave(a) && line.leave(c));
        assert_eq!(line.len(), 0);
    }
}

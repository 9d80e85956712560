//! An upstream's wish for a pause.

use std::time::Duration;

/// The calls that a wish for a pause concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every call of the route.
    #[default]
    Route,
    /// The calls of one key.
    Key,
}

/// An upstream's wish for a pause, as its answer told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signal {
    /// The calls that it concerns.
    pub scope: Scope,
    /// How long it wishes to be left alone; `None` when it did not say.
    pub pause: Option<Duration>,
}

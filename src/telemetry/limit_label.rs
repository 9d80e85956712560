//! The limits that a call can wait for, as a label.

/// The `limit` label: what a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitLabel {
    /// A place under the concurrency limit.
    Concurrency,
    /// The end of a pause that the upstream asked for.
    Throttle,
}

impl LimitLabel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Concurrency, Self::Throttle];

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Throttle => "throttle",
        }
    }
}

//! How a write of the state file ended.

/// The `result` label of a write of the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// It is on the disk.
    Written,
    /// The system refused it; the file is what it was before.
    Failed,
}

impl WriteResult {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Written, Self::Failed];

    /// The word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Failed => "failed",
        }
    }
}

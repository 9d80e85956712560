//! The plan of the state file.

use std::path::PathBuf;
use std::time::Duration;

/// The state file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePlan {
    /// The file; its directory existed when the configuration was loaded.
    pub file: PathBuf,
    /// An older file is ignored at the start.
    pub max_age: Duration,
}

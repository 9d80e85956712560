//! What outlives the process, as a plan.

use std::path::PathBuf;
use std::time::Duration;

/// Where the state of the breakers outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePlan {
    /// The file; its directory existed when the configuration was loaded.
    pub file: PathBuf,
    /// What is older is passed over at the start.
    pub max_age: Duration,
}

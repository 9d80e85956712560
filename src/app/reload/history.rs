//! What was loaded so far.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::retired::Retired;
use super::seen::Known;

/// The configuration in force, and the last one that was refused.
pub(in crate::app) struct History {
    pub(super) in_force: Known,
    /// What was read last and has errors: while it stays the same, it is not checked again.
    pub(super) refused: Option<Known>,
    pub(super) retired: Retired,
}

impl History {
    /// Begins with the configuration of the start.
    pub(in crate::app) fn new(in_force: Known) -> Self {
        Self {
            in_force,
            refused: None,
            retired: Retired::default(),
        }
    }

    /// All files that determine the next configuration: the file itself and those that it names.
    pub(in crate::app) fn files(&self, configuration: &Path) -> BTreeSet<PathBuf> {
        let named = [&self.in_force].into_iter().chain(&self.refused);
        let named = named.flat_map(Known::files).map(Path::to_owned);
        named.chain([configuration.to_owned()]).collect()
    }
}

//! What was loaded so far.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::retired::Retired;
use super::seen::Known;

/// What was loaded so far, as far as it matters.
pub(in crate::app) struct History {
    pub(super) in_force: Known,
    /// What was looked at last and has errors: as long as it stays so, checking it again would find the same.
    pub(super) refused: Option<Known>,
    pub(super) retired: Retired,
}

impl History {
    /// Begins with what came into force at the start.
    pub(in crate::app) fn new(in_force: Known) -> Self {
        Self {
            in_force,
            refused: None,
            retired: Retired::default(),
        }
    }

    /// All files that have a say in what comes into force next: the configuration itself and those that it names.
    pub(in crate::app) fn files(&self, configuration: &Path) -> BTreeSet<PathBuf> {
        let named = [&self.in_force].into_iter().chain(&self.refused);
        let named = named.flat_map(Known::files).map(Path::to_owned);
        named.chain([configuration.to_owned()]).collect()
    }
}

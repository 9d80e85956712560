//! What a configuration was made of, kept so that somebody can ask later where a value comes from.

use std::collections::BTreeMap;
use std::fmt;

/// The text of a configuration that was found good, with what the environment said then. The answer to where its values come from
/// is made from this when it is asked for: nothing is kept for each route.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    pub(super) origin: String,
    pub(super) text: String,
    variables: BTreeMap<String, Option<String>>,
}

impl Source {
    /// `origin` is the name of the file, `variables` what was looked up.
    pub(crate) fn new(
        origin: &str,
        text: &str,
        variables: BTreeMap<String, Option<String>>,
    ) -> Self {
        Self {
            origin: origin.to_owned(),
            text: text.to_owned(),
            variables,
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.origin
    }

    /// What a variable of the environment said.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned().flatten()
    }
}

/// Without text and values: they may be secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

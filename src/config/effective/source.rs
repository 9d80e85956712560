//! The source of a configuration, kept to answer later where a value comes from.

use std::collections::BTreeMap;
use std::fmt;

/// The text of a valid configuration, with the variables of the environment as they were. The origins of its values are
/// computed from this on request, so nothing is kept per route.
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

    /// The value of a variable of the environment.
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

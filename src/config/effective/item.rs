//! A value in force.

use super::origin::Origin;

/// A value in force, fit to be shown, with its origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) what: What,
    pub(super) origin: Origin,
    /// The variables of the environment that its text refers to.
    pub(super) variables: Vec<Variable>,
    /// Whether it is shown as one value, even if it holds others.
    pub(super) is_whole: bool,
}

/// The value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A text, secrets masked, references as they are written.
    Text(String, Style),
    /// Null, where that has a meaning.
    Null,
    /// A list.
    List(Vec<Item>),
    /// A mapping.
    Mapping(Vec<(String, Item)>),
    /// Not a value, but words for what counts.
    Said(&'static str),
}

/// How a text must be written to mean the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// In any way.
    Any,
    /// A number or a flag.
    Number,
    /// With quotes, else it might be a number.
    Quoted,
    /// Without quotes, since its reference may stand for a number.
    Bare,
}

/// A variable that a text refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Whether it is set; else the reference's default counts.
    pub(super) is_set: bool,
}

impl Item {
    /// A value that refers to nothing.
    pub(super) const fn new(what: What, origin: Origin) -> Self {
        Self {
            what,
            origin,
            variables: Vec::new(),
            is_whole: false,
        }
    }

    /// The same, shown as one value, without room for comments.
    pub(super) fn whole(mut self) -> Self {
        if let What::Mapping(entries) = &mut self.what {
            entries.retain(|(_, item)| !matches!(item.what, What::Said(_)));
        }
        self.is_whole = true;
        self
    }

    /// The variables that it and the values in it refer to.
    pub(super) fn all_variables(&self) -> Vec<&Variable> {
        let inner: Vec<&Self> = match &self.what {
            What::List(items) => items.iter().collect(),
            What::Mapping(entries) => entries.iter().map(|(_, item)| item).collect(),
            What::Text(..) | What::Null | What::Said(_) => Vec::new(),
        };
        let inner = inner.into_iter().flat_map(Self::all_variables);
        self.variables.iter().chain(inner).collect()
    }

    /// Whether it holds others under names.
    pub(super) const fn is_mapping(&self) -> bool {
        matches!(self.what, What::Mapping(_))
    }

    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        match &self.what {
            What::Mapping(entries) => entries
                .iter()
                .all(|(_, item)| matches!(item.what, What::Said(_)) || item.is_empty()),
            What::Text(..) | What::Null | What::List(_) | What::Said(_) => false,
        }
    }
}

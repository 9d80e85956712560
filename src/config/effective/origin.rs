//! The origin of a value: which of the merged layers has it.

use std::borrow::Cow;
use std::fmt;

use crate::config::tree::{Node, Span, Value};

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Written in its own place in the file.
    File(Span),
    /// Written under `defaults`.
    Defaults(Span),
    /// Written under a preset of the file.
    Preset(String, Span),
    /// From a built-in preset.
    BuiltInPreset(&'static str),
    /// The default.
    BuiltIn,
    /// A variable of the environment, which counts if nothing is written.
    Environment(&'static str),
    /// Written under `overrides`.
    Override(Span),
}

impl Origin {
    /// The origin in words; `file` is the name of the file.
    pub(super) fn show(&self, file: &str) -> String {
        let place = |span: &Span| Place(file, *span);
        match self {
            Self::File(span) => place(span).to_string(),
            Self::Defaults(span) => format!("defaults ({})", place(span)),
            Self::Preset(name, span) => format!("preset {name} ({})", place(span)),
            Self::BuiltInPreset(name) => format!("built-in preset {name}"),
            Self::BuiltIn => "built-in".to_owned(),
            Self::Environment(name) => format!("environment {name}"),
            Self::Override(span) => format!("override ({})", place(span)),
        }
    }
}

/// `config.yaml:14:7`
struct Place<'a>(&'a str, Span);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, Span { line, column, .. }) = self;
        write!(f, "{file}:{line}:{column}")
    }
}

/// A layer of a route's settings.
pub(super) struct Layer<'n> {
    pub(super) whose: Whose,
    pub(super) settings: Cow<'n, Node>,
}

/// The source of a layer's settings.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    Route,
    Preset(String),
    BuiltInPreset(&'static str),
    Defaults,
    BuiltIn,
    Override,
}

/// A step from a mapping or list to what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// Some item of a list.
    Item,
}

/// The origin of `node`, which stands at `path` after all layers, given from the top, were merged.
pub(super) fn origin(layers: &[Layer<'_>], path: &[Step], node: &Node) -> Origin {
    let holder = layers
        .iter()
        .find(|layer| holds(&layer.settings, path, node));
    let span = node.span;
    match holder.map(|layer| &layer.whose) {
        Some(Whose::Preset(name)) => Origin::Preset(name.clone(), span),
        Some(Whose::BuiltInPreset(name)) => Origin::BuiltInPreset(name),
        Some(Whose::Defaults) => Origin::Defaults(span),
        Some(Whose::Override) => Origin::Override(span),
        Some(Whose::Route | Whose::BuiltIn) | None if span.is_in_file() => Origin::File(span),
        Some(Whose::Route | Whose::BuiltIn) | None => Origin::BuiltIn,
    }
}

fn holds(layer: &Node, path: &[Step], node: &Node) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return is_same(layer, node);
    };
    match (step, &layer.value) {
        (Step::Key(key), Value::Mapping(entries)) => entries
            .iter()
            .find(|entry| entry.key.text.eq_ignore_ascii_case(key))
            .is_some_and(|entry| holds(&entry.node, rest, node)),
        (Step::Item, Value::Sequence(items)) => items.iter().any(|item| holds(item, rest, node)),
        (Step::Key(_) | Step::Item, _) => false,
    }
}

/// Nodes of the file are the same if their places are; built-in ones if their contents are.
fn is_same(a: &Node, b: &Node) -> bool {
    if a.span.is_in_file() {
        a.span == b.span
    } else {
        a == b
    }
}

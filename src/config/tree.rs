//! The file as a tree in which every node and every key knows its place.

use super::excerpt::show;

/// A place in the configuration file. Line 0 means that the node is not from the file but built in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// In characters; at least 1 in a file.
    pub(crate) width: usize,
}

impl Span {
    /// The place of what is built in.
    pub(crate) const BUILT_IN: Self = Self {
        line: 0,
        column: 0,
        width: 0,
    };

    /// Whether it is a place in the file.
    pub(crate) const fn is_in_file(self) -> bool {
        self.line > 0
    }

    /// This place, or `other` when it is not in the file.
    pub(crate) const fn or(self, other: Self) -> Self {
        if self.is_in_file() { self } else { other }
    }
}

/// A node with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing: `~`, `null`, or no text at all.
    Null,
    /// Text. Its reader decides on the type, so `15s`, `25%`, `on` and `007` stay as written.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of the file, its keys unique.
    Mapping(Vec<Entry>),
    /// Something that was reported already; readers skip it silently.
    Unusable,
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    /// The text, references replaced.
    pub(crate) text: String,
    /// The text with its references, if it had any: what messages show in place of values from the environment.
    pub(crate) reference: Option<String>,
    /// Whether it is written without quotes, so that it may be a number or a flag where the type is open.
    pub(crate) is_plain: bool,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) node: Node,
}

/// A key with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Scalar {
    /// A text without references.
    pub(crate) fn literal(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            reference: None,
            is_plain: true,
        }
    }

    /// The text as messages show it: with its references, never with their values.
    pub(crate) fn shown(&self) -> String {
        show(self.reference.as_deref().unwrap_or(&self.text))
    }
}

impl Node {
    /// A mapping of built-in settings.
    pub(crate) fn built_in<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::built_in_mapping(entries)
    }

    /// A mapping of built-in settings, however many.
    pub(crate) fn built_in_mapping<'k>(entries: impl IntoIterator<Item = (&'k str, Self)>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, node)| Entry {
                key: Key {
                    text: key.to_owned(),
                    span: Span::BUILT_IN,
                },
                node,
            })
            .collect();
        Self {
            span: Span::BUILT_IN,
            value: Value::Mapping(entries),
        }
    }

    /// A built-in text.
    pub(crate) fn built_in_text(text: &str) -> Self {
        Self {
            span: Span::BUILT_IN,
            value: Value::Scalar(Scalar::literal(text)),
        }
    }

    /// A built-in list.
    pub(crate) const fn built_in_list(items: Vec<Self>) -> Self {
        Self {
            span: Span::BUILT_IN,
            value: Value::Sequence(items),
        }
    }

    /// A built-in key without a value.
    pub(crate) const fn built_in_null() -> Self {
        Self {
            span: Span::BUILT_IN,
            value: Value::Null,
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::Sequence(_) | Value::Unusable => &[],
        }
    }

    /// The entry of that key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key.text == key)
    }

    /// Its kind, for a message.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null | Value::Unusable => "nothing",
            Value::Scalar(_) => "text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// How many nodes it is made of, keys and itself included.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Value::Null | Value::Scalar(_) | Value::Unusable => 1,
            Value::Sequence(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Mapping(entries) => {
                1 + entries
                    .iter()
                    .map(|entry| 1 + entry.node.size())
                    .sum::<usize>()
            }
        }
    }

    /// How much text it holds, keys included.
    pub(crate) fn text_bytes(&self) -> usize {
        match &self.value {
            Value::Null | Value::Unusable => 0,
            Value::Scalar(scalar) => scalar.text.len(),
            Value::Sequence(items) => items.iter().map(Self::text_bytes).sum(),
            Value::Mapping(entries) => entries
                .iter()
                .map(|entry| entry.key.text.len() + entry.node.text_bytes())
                .sum(),
        }
    }

    /// The deepest nesting of lists and mappings.
    pub(crate) fn depth(&self) -> usize {
        match &self.value {
            Value::Null | Value::Scalar(_) | Value::Unusable => 0,
            Value::Sequence(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Mapping(entries) => {
                1 + entries
                    .iter()
                    .map(|entry| entry.node.depth())
                    .max()
                    .unwrap_or(0)
            }
        }
    }
}

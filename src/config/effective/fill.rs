//! Adds to what is written what counts without being written: every key that counts in its place, in the order of the
//! documentation.

use std::cell::Cell;

use super::item::{Item, Style, Variable, What};
use super::origin::{Layer, Origin, Step, origin};
use super::secret::{self, MASK};
use crate::config::compile::laid;
use crate::config::confidential::may_be_secret_name;
use crate::config::expand::{Env, Piece, name_of, pieces};
use crate::config::keys::{Beside, CANDIDATE, Follows, Form, Key, Kind, Section, Shown, Unwritten};
use crate::config::tree::{Entry, Node, Scalar, Span, Value};

/// Adds the values of keys that are not written.
pub(super) struct Filler<'a> {
    pub(super) env: Env<'a>,
    /// The layers that were merged, from the top.
    pub(super) layers: &'a [Layer<'a>],
}

/// A place in the tree.
struct At<'a> {
    path: Vec<Step>,
    beside: Beside<'a>,
    /// The name that the value stands under, in a mapping of free names.
    name: Option<&'a str>,
}

impl At<'_> {
    fn below(&self, step: Step) -> Vec<Step> {
        let mut path = self.path.clone();
        path.push(step);
        path
    }
}

impl Filler<'_> {
    /// The values in force of the keys of `section` where `entries` are written, except those that `skipped` names.
    pub(super) fn mapping(
        &self,
        section: &'static Section,
        entries: &[Entry],
        skipped: &[&str],
    ) -> Vec<(String, Item)> {
        let beside = Beside {
            section,
            written: entries,
            outer: None,
            is_from_outside: &Cell::new(false),
        };
        self.keys(&beside, &[], skipped)
    }

    /// The name of a preset without its settings.
    pub(super) fn name_alone(&self, written: &Node) -> Item {
        let extends = written.entry("extends").map(|Entry { node, .. }| {
            let what = match &node.value {
                Value::Scalar(scalar) => What::Text(secret::text(scalar), Style::Any),
                Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Unusable => {
                    What::Null
                }
            };
            (
                "extends".to_owned(),
                Item::new(what, Origin::File(node.span)),
            )
        });
        let entries = extends.into_iter().collect();
        Item::new(What::Mapping(entries), Origin::File(written.span))
    }

    fn keys(&self, beside: &Beside<'_>, path: &[Step], skipped: &[&str]) -> Vec<(String, Item)> {
        let keys = beside.section.keys();
        keys.filter(|key| !skipped.contains(&key.name))
            .filter_map(|key| {
                let mut path = path.to_vec();
                path.push(Step::Key(key.name.to_owned()));
                let at = At {
                    path,
                    beside: *beside,
                    name: None,
                };
                let item = self.key(key, &at)?;
                Some((key.name.to_owned(), item))
            })
            .collect()
    }

    fn key(&self, key: &'static Key, at: &At<'_>) -> Option<Item> {
        let beside = at.beside;
        let is_chosen = beside.section.choices().contains(&key.name);
        let written = beside
            .written
            .iter()
            .find(|entry| entry.key.text == key.name);
        let Some(Entry { node, .. }) = written else {
            return if is_chosen {
                None
            } else {
                self.standard(key, at)
            };
        };
        let item = self.value(&key.kind, node, at)?;
        // Keys of a choice are shown only if they are written.
        let is_shown = is_chosen || !item.is_empty() || matches!(key.kind, Kind::Json);
        is_shown.then_some(item)
    }

    /// The value in force of a key that is not written.
    fn standard(&self, key: &'static Key, at: &At<'_>) -> Option<Item> {
        if let Some((other, values)) = key.beside {
            let text = at.beside.text(other)?;
            if !values.is_empty() && !values.contains(&text) {
                return None;
            }
        }
        match key.follows {
            Some(Follows::Rule(rule)) => {
                at.beside.is_from_outside.set(false);
                let value = rule(&at.beside)?;
                // The words do not cover a value that comes from the environment.
                if !at.beside.is_from_outside.get() {
                    return self.value(&key.kind, &value, at);
                }
            }
            Some(Follows::Variable {
                name,
                is_good,
                otherwise,
            }) => {
                let said = (self.env)(name).map(|text| key.kind.folded(text));
                let said = said.filter(|text| is_good(text));
                let origin = match said {
                    Some(_) => Origin::Environment(name),
                    None => Origin::BuiltIn,
                };
                let text = said.unwrap_or_else(|| otherwise.to_owned());
                return Some(Item::new(What::Text(text, style(&key.kind)), origin));
            }
            None => {}
        }
        match key.unwritten {
            Unwritten::Value(text) => self.value(&key.kind, &Node::built_in_text(text), at),
            Unwritten::Said(words) => Some(Item::new(What::Said(words), Origin::BuiltIn)),
            Unwritten::Refused => None,
            Unwritten::Nothing => {
                let (Kind::Section(_) | Kind::Or(_, Kind::Section(_))) = key.kind else {
                    return None;
                };
                let item = self.value(&key.kind, &Node::built_in([]), at)?;
                (!item.is_empty()).then_some(item)
            }
        }
    }

    fn value(&self, kind: &'static Kind, node: &Node, at: &At<'_>) -> Option<Item> {
        let item = |what| Item::new(what, self.origin(&at.path, node));
        match (kind, &node.value) {
            (_, Value::Unusable) => None,
            (Kind::Json, _) => Some(self.json(node, at).whole()),
            (Kind::Maybe(_), Value::Null) => Some(item(What::Null)),
            (Kind::Or(word, _), Value::Scalar(scalar)) if scalar.text == *word => {
                Some(self.text(kind, scalar, node, at))
            }
            (Kind::Either(one, other), value) => {
                let is_other = matches!(value, Value::Mapping(_));
                self.value(if is_other { other } else { one }, node, at)
            }
            (Kind::OneOrMore(kind, _), Value::Sequence(items)) => {
                Some(item(What::List(self.items(kind, items, at))))
            }
            (Kind::Maybe(kind) | Kind::Or(_, kind) | Kind::OneOrMore(kind, _), _) => {
                self.value(kind, node, at)
            }
            (Kind::List(kind, ..), Value::Sequence(items)) => {
                let items = self.items(kind, items, at).into_iter();
                Some(item(What::List(items.map(Item::whole).collect())))
            }
            (Kind::Section(section) | Kind::Short(section, _), Value::Mapping(_) | Value::Null) => {
                let beside = Beside {
                    section,
                    written: node.entries(),
                    outer: Some(&at.beside),
                    is_from_outside: at.beside.is_from_outside,
                };
                Some(item(What::Mapping(self.keys(&beside, &at.path, &[]))))
            }
            (Kind::Named(_, kind, _), Value::Mapping(entries)) => {
                Some(item(What::Mapping(self.named(kind, entries, at))))
            }
            (_, Value::Scalar(scalar)) => Some(self.text(kind, scalar, node, at)),
            // Null, or what the walk would have refused.
            (_, Value::Null | Value::Sequence(_) | Value::Mapping(_)) => None,
        }
    }

    fn items(&self, kind: &'static Kind, items: &[Node], at: &At<'_>) -> Vec<Item> {
        let at = At {
            path: at.below(Step::Item),
            beside: at.beside,
            name: None,
        };
        let is_word = |item: &&Node| match (kind, &item.value) {
            // Without rules below, the word `inherited` stands for nothing.
            (Kind::Or(word, Kind::Section(_)), Value::Scalar(scalar)) => scalar.text == *word,
            _ => false,
        };
        let items = items.iter().filter(|item| !is_word(item));
        items
            .filter_map(|item| self.value(kind, item, &at))
            .collect()
    }

    fn named(&self, kind: &'static Kind, entries: &[Entry], at: &At<'_>) -> Vec<(String, Item)> {
        let is_candidate = kind
            .section()
            .is_some_and(|section| section.name == CANDIDATE.name);
        entries
            .iter()
            .filter_map(|Entry { key, node }| {
                let inner = At {
                    path: at.below(Step::Key(key.text.clone())),
                    beside: at.beside,
                    name: Some(&key.text),
                };
                let is_off = matches!(&node.value, Value::Scalar(_));
                let item = if is_candidate && !is_off {
                    let breaker = at.beside.written.iter();
                    let mut breaker = breaker.filter(|entry| entry.key.text == "breaker");
                    let settings = laid(breaker.next().map(|entry| &entry.node), node);
                    self.value(kind, &settings, &inner)?
                } else {
                    self.value(kind, node, &inner)?
                };
                Some((key.text.clone(), item))
            })
            .collect()
    }

    fn text(&self, kind: &'static Kind, scalar: &Scalar, node: &Node, at: &At<'_>) -> Item {
        let text = if let Kind::Text(form) = kind {
            shown(form, scalar, node.span, at)
        } else {
            secret::text(scalar)
        };
        Item {
            what: What::Text(text, style(kind)),
            origin: self.origin(&at.path, node),
            variables: self.variables(scalar),
            is_whole: false,
        }
    }

    /// JSON as it is written.
    fn json(&self, node: &Node, at: &At<'_>) -> Item {
        let origin = self.origin(&at.path, node);
        let below = |step, name| At {
            path: at.below(step),
            beside: at.beside,
            name,
        };
        let what = match &node.value {
            Value::Null | Value::Unusable => What::Null,
            Value::Scalar(scalar) => {
                let is_hidden = at.name.is_some_and(may_be_secret_name);
                let style = match (&scalar.reference, scalar.is_plain) {
                    _ if is_hidden => Style::Quoted,
                    (Some(_), true) => Style::Bare,
                    (None, true) => Style::Number,
                    (_, false) => Style::Quoted,
                };
                let text = if is_hidden {
                    secret::secret(scalar)
                } else {
                    secret::text(scalar)
                };
                return Item {
                    what: What::Text(text, style),
                    origin,
                    variables: self.variables(scalar),
                    is_whole: false,
                };
            }
            Value::Sequence(items) => {
                let at = below(Step::Item, at.name);
                What::List(items.iter().map(|item| self.json(item, &at)).collect())
            }
            Value::Mapping(entries) => What::Mapping(
                entries
                    .iter()
                    .map(|Entry { key, node }| {
                        let at = below(Step::Key(key.text.clone()), Some(&key.text));
                        (key.text.clone(), self.json(node, &at))
                    })
                    .collect(),
            ),
        };
        Item::new(what, origin)
    }

    /// A candidate inherits from the route's breaker.
    fn origin(&self, path: &[Step], node: &Node) -> Origin {
        let found = origin(self.layers, path, node);
        let [Step::Key(shadow), Step::Key(_), rest @ ..] = path else {
            return found;
        };
        let is_from_here = !matches!(found, Origin::File(_) | Origin::BuiltIn);
        if shadow != "shadow" || is_from_here {
            return found;
        }
        let breaker: Vec<Step> = [Step::Key("breaker".to_owned())]
            .into_iter()
            .chain(rest.iter().cloned())
            .collect();
        origin(self.layers, &breaker, node)
    }

    fn variables(&self, scalar: &Scalar) -> Vec<Variable> {
        let Some(text) = &scalar.reference else {
            return Vec::new();
        };
        let mut variables: Vec<Variable> = Vec::new();
        for piece in pieces(text) {
            let Piece::Reference(inner) = piece else {
                continue;
            };
            let (name, operator) = name_of(inner);
            let said = (self.env)(name);
            let variable = Variable {
                name: name.to_owned(),
                is_set: said.is_some_and(|text| operator.is_empty() || !text.is_empty()),
            };
            if !variables.contains(&variable) {
                variables.push(variable);
            }
        }
        variables
    }
}

fn shown(form: &Form, scalar: &Scalar, span: Span, at: &At<'_>) -> String {
    let shown = match form.shown {
        Shown::Plain => return secret::text(scalar),
        Shown::PathWithQuery => return secret::query(scalar),
        Shown::HeaderValue => secret::header(at.name, scalar),
    };
    let is_match = matches!(at.path.first(), Some(Step::Key(key)) if key == "match");
    if is_match && shown.contains(MASK) {
        // Distinct for each place: two routes never match by the same masked value.
        format!("{shown} of {}:{}", span.line, span.column)
    } else {
        shown
    }
}

/// The style of a value: numbers and flags need no quotes.
fn style(kind: &Kind) -> Style {
    match kind {
        Kind::Flag | Kind::Number(..) | Kind::Decimal(..) => Style::Number,
        Kind::Or(_, kind) => style(kind),
        Kind::Time(..)
        | Kind::Size(..)
        | Kind::Share
        | Kind::Word(_)
        | Kind::Text(_)
        | Kind::List(..)
        | Kind::OneOrMore(..)
        | Kind::Section(_)
        | Kind::Short(..)
        | Kind::Named(..)
        | Kind::Either(..)
        | Kind::Maybe(_)
        | Kind::Json => Style::Any,
    }
}

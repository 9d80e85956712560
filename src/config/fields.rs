//! Reads a mapping so that no key can be forgotten: each is taken by a reader, or reported.

use super::excerpt::show;
use super::expand::Env;
use super::keys::{Follows, Key, NOTHING, Section, Typed, Unwritten};
use super::problem::{Code, Problem, Problems};
use super::refusal::UNRENDERED;
use super::short::setting_of;
use super::tree::{Entry, Node, Scalar, Span, Value};
use super::units::Invalid;
use super::unknown::unknown;

/// The keys of one mapping while they are being read.
pub(crate) struct Fields<'n, 'p> {
    /// Where the mapping stands.
    pub(crate) span: Span,
    /// Where problems go.
    pub(crate) problems: &'p mut Problems,
    section: &'static Section,
    left: Vec<&'n Entry>,
}

/// Reads the mapping `node`, which has the keys of `section`, then reports those that `read` did not take. Anything else than a
/// mapping, null included, is reported and read as if it were empty.
pub(crate) fn mapping<'n, T>(
    section: &'static Section,
    name: &str,
    node: Option<&'n Node>,
    problems: &mut Problems,
    read: impl FnOnce(&mut Fields<'n, '_>) -> T,
) -> T {
    let mut span = node.map_or(Span::BUILT_IN, |node| node.span);
    if let Some(node) = node {
        match &node.value {
            Value::Null | Value::Mapping(_) | Value::Unusable => {}
            Value::Scalar(_) | Value::Sequence(_) => {
                let mut wrong = wrong_kind(name, node, "a mapping (`key: value`)");
                if lacks_space(node) {
                    wrong = wrong.hint(SPACE);
                } else if let Some(setting) = setting_of(section, node) {
                    wrong = wrong.hint(format!("write `{{{setting}}}`"));
                }
                let allowed: Vec<_> = section.names().collect();
                problems.push(if allowed.is_empty() {
                    wrong
                } else {
                    wrong.help(format!("it has keys: {}", allowed.join(", ")))
                });
                // Its missing keys are no problems of their own.
                span = Span::BUILT_IN;
            }
        }
    }
    let left = node.map(Node::entries).unwrap_or_default().iter().collect();
    let mut fields = Fields {
        span,
        problems,
        section,
        left,
    };
    let read = read(&mut fields);
    fields.finish();
    read
}

/// The hint if [`lacks_space`].
pub(crate) const SPACE: &str = "write a space after each `:`";

/// Whether it is a text only because its colon has no space behind it: `timeout:5s`.
pub(crate) fn lacks_space(node: &Node) -> bool {
    let Value::Scalar(text) = &node.value else {
        return false;
    };
    let shown = text.shown();
    let colon = shown.find(':').map(|at| &shown[at..]);
    text.is_plain && colon.is_some_and(|rest| !rest.starts_with("://"))
}

fn is_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    text.bytes().all(is_plain)
}

fn wrong_kind(name: &str, node: &Node, expected: &str) -> Problem {
    Problem::error(
        Code::WrongKind,
        node.span,
        format!("`{name}` must be {expected}, not {}", node.kind()),
    )
}

impl<'n> Fields<'n, '_> {
    /// The description of a key. A missing one is a defect of ours, which every test of the walk would find.
    fn describe(&self, key: &str) -> Option<&'static Key> {
        let described = self.section.key(key);
        debug_assert!(described.is_some(), "`{key}` is not described");
        described
    }

    /// Takes a key of a fixed name.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.describe(key)?;
        let at = self.left.iter().position(|entry| entry.key.text == key)?;
        Some(self.left.remove(at))
    }

    /// Where a key is written.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.left
            .iter()
            .find(|entry| entry.key.text == key)
            .map(|entry| entry.key.span)
    }

    /// The value of a key that is not taken yet.
    pub(crate) fn node(&self, key: &str) -> Option<&'n Node> {
        let entry = self.left.iter().find(|entry| entry.key.text == key)?;
        Some(&entry.node)
    }

    /// The entries that are not taken yet.
    pub(crate) fn entries(&self) -> Vec<&'n Entry> {
        self.left.clone()
    }

    /// Whether a key is written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|entry| entry.key.text == key)
    }

    /// The written keys of the mapping's choice, in the order of the documentation.
    pub(crate) fn chosen(&self) -> Vec<&'static str> {
        let choices = self.section.choices().iter().copied();
        choices.filter(|key| self.has(key)).collect()
    }

    /// Takes a key that says `off` where it could hold a mapping; says whether it did.
    pub(crate) fn is_off(&mut self, key: &str) -> bool {
        let off = |entry: &&Entry| matches!(&entry.node.value, Value::Scalar(scalar) if scalar.text == "off");
        let at = self
            .left
            .iter()
            .position(|entry| entry.key.text == key && off(entry));
        at.map(|at| self.left.remove(at)).is_some()
    }

    /// Refuses a key that has no meaning in this place.
    pub(crate) fn refuse(&mut self, key: &'static str, why: &str) {
        let Some(at) = self.left.iter().position(|entry| entry.key.text == key) else {
            return;
        };
        let span = self.left.remove(at).key.span;
        self.problems.push(Problem::error(
            Code::Misplaced,
            span,
            format!("`{key}` {why}"),
        ));
    }

    /// Reads a mapping within this one.
    pub(crate) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'n, '_>) -> T,
    ) -> T {
        let section = self.inner(key);
        let node = self.take(key).map(|entry| &entry.node);
        mapping(section, key, node, self.problems, read)
    }

    /// The section of the mapping under that key.
    pub(crate) fn inner(&self, key: &str) -> &'static Section {
        let section = self.describe(key).and_then(|key| key.kind.section());
        debug_assert!(section.is_some(), "`{key}` holds no mapping");
        section.unwrap_or(&NOTHING)
    }

    /// Takes a mapping whose keys are names: its entries, and where it stands.
    pub(crate) fn named(&mut self, key: &'static str) -> (Vec<&'n Entry>, Span) {
        let Some(Entry { node, .. }) = self.take(key) else {
            return (Vec::new(), Span::BUILT_IN);
        };
        if let Value::Scalar(_) | Value::Sequence(_) = &node.value {
            let wrong = wrong_kind(key, node, "a mapping (`key: value`)");
            self.problems.push(match node.value {
                Value::Sequence(_) => wrong.hint("write `name: …` for each in place of `- …`"),
                Value::Null | Value::Scalar(_) | Value::Mapping(_) | Value::Unusable => wrong,
            });
        }
        (node.entries().iter().collect(), node.span)
    }

    /// Reads a text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<(&'n Scalar, Span)> {
        let entry = self.take(key)?;
        scalar(key, &entry.node, self.problems)
    }

    /// Reads a value as it is described.
    pub(crate) fn read<T: Typed>(&mut self, key: &'static str) -> Option<T> {
        let kind = self.describe(key)?.kind;
        self.parse(key, |text| T::read(&kind, text))
    }

    /// The default of the key.
    pub(crate) fn standard<T: Typed>(&self, key: &str) -> Option<T> {
        let Key {
            kind, unwritten, ..
        } = self.describe(key)?;
        let Unwritten::Value(text) = unwritten else {
            debug_assert!(false, "`{key}` has no value that counts without it");
            return None;
        };
        let value = T::read(kind, text);
        debug_assert!(value.is_ok(), "`{key}` cannot be `{text}`");
        value.ok()
    }

    /// Reads a value as it is described, or takes the key's default.
    pub(crate) fn setting<T: Typed + Default>(&mut self, key: &'static str) -> T {
        match self.read(key) {
            Some(value) => value,
            None => self.standard(key).unwrap_or_default(),
        }
    }

    /// The same with words of its own for what to do about some texts that it cannot hold.
    pub(crate) fn setting_with<T: Typed + Default>(
        &mut self,
        key: &'static str,
        hint: impl Fn(&str) -> Option<&'static str>,
    ) -> T {
        let Some(Key { kind, .. }) = self.describe(key) else {
            return T::default();
        };
        let read = |text: &str| {
            T::read(kind, text).map_err(|invalid| match hint(text) {
                Some(hint) => invalid.hint(hint),
                None => invalid,
            })
        };
        match self.parse(key, read) {
            Some(value) => value,
            None => self.standard(key).unwrap_or_default(),
        }
    }

    /// Reads a text by `parse`, or the key's default.
    pub(crate) fn parse_setting<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let unwritten = self.describe(key)?.unwritten;
        self.parse(key, &parse).or_else(|| {
            let Unwritten::Value(text) = unwritten else {
                return None;
            };
            let value = parse(text);
            debug_assert!(value.is_ok(), "`{key}` cannot be `{text}`");
            value.ok()
        })
    }

    /// Reads a text by `parse`.
    pub(crate) fn parse<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let node = &self.take(key)?.node;
        value(key, node, self.problems, parse)
    }

    /// Reads a value of some type, or takes it from the key's variable of the environment; an empty one counts as unset. The
    /// variable belongs to the application, too, so an invalid value is only a warning.
    pub(crate) fn parse_or_variable<T>(
        &mut self,
        key: &'static str,
        env: Env<'_>,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        if self.has(key) {
            return self.parse(key, parse);
        }
        let described = self.describe(key)?;
        let Some(Follows::Variable {
            name: variable,
            otherwise,
            ..
        }) = described.follows
        else {
            debug_assert!(false, "no variable says `{key}`");
            return None;
        };
        let standard = || parse(otherwise).ok();
        let said = env(variable).map(|text| described.kind.folded(text));
        let Some(text) = said.filter(|text| !text.is_empty()) else {
            return standard();
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(Invalid { code, what, .. }) => {
                let message =
                    format!("the environment variable `{variable}` {what}; it is passed over");
                let problem = Problem::warning(code, Span::BUILT_IN, message);
                self.problems
                    .push(problem.hint(format!("a `{key}` in the file goes before it")));
                standard()
            }
        }
    }

    /// Reads a list of values of some type.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, Invalid>,
    ) -> Option<Vec<T>> {
        let node = &self.take(key)?.node;
        match &node.value {
            Value::Sequence(items) => Some(
                items
                    .iter()
                    .filter_map(|item| value(key, item, self.problems, &mut parse))
                    .collect(),
            ),
            Value::Unusable => None,
            Value::Null | Value::Scalar(_) | Value::Mapping(_) => {
                let one = match &node.value {
                    // A text that is no plain word may hold a secret.
                    Value::Scalar(one) if is_word(&one.shown()) => one.shown(),
                    Value::Null
                    | Value::Scalar(_)
                    | Value::Sequence(_)
                    | Value::Mapping(_)
                    | Value::Unusable => "a, b".to_owned(),
                };
                self.problems
                    .push(wrong_kind(key, node, "a list").hint(format!("write `[{one}]`")));
                None
            }
        }
    }

    fn finish(self) {
        for entry in self.left {
            self.problems.push(unknown(entry, self.section));
        }
    }
}

/// Reads the text that `node` must be.
pub(crate) fn scalar<'n>(
    key: &str,
    node: &'n Node,
    problems: &mut Problems,
) -> Option<(&'n Scalar, Span)> {
    match &node.value {
        Value::Scalar(scalar) => Some((scalar, node.span)),
        Value::Unusable => None,
        Value::Null => {
            let nothing = format!("`{}` has no value", show(key));
            let problem = Problem::error(Code::NoValue, node.span, nothing);
            problems.push(problem.hint("write one, or leave the key out"));
            None
        }
        Value::Sequence(_) | Value::Mapping(_) => {
            problems.push(wrong_kind(&show(key), node, "a single value"));
            None
        }
    }
}

/// Reads a value of some type. A hint that might repeat a value from the environment shows the reference instead.
pub(crate) fn value<T>(
    key: &str,
    node: &Node,
    problems: &mut Problems,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Option<T> {
    let (scalar, span) = scalar(key, node, problems)?;
    match parse(&scalar.text) {
        Ok(value) => Some(value),
        Err(Invalid { code, what, hint }) => {
            let problem = Problem::error(code, span, format!("`{}` {what}", show(key)));
            problems.push(match (&scalar.reference, hint) {
                (Some(_), _) => problem.hint(format!("the value comes from `{}`", scalar.shown())),
                (None, _) if scalar.text.contains("{{") => problem.hint(UNRENDERED),
                (None, Some(hint)) => problem.hint(hint),
                (None, None) => problem,
            });
            None
        }
    }
}

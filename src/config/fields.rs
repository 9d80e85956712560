//! Reading a mapping so that no key can be forgotten: each is taken by somebody, or reported.

use super::excerpt::show;
use super::expand::Env;
use super::problem::{Code, Problem, Problems};
use super::suggest::nearest;
use super::tree::{Entry, Node, Scalar, Span, Value};
use super::units::Invalid;

/// Keys that people look for in the wrong place, with where they are.
const ELSEWHERE: [(&str, &str); 15] = [
    ("connect_timeout", "upstream"),
    ("endpoints", "upstream"),
    ("pool", "upstream"),
    ("also_hosts", "upstream"),
    ("failure_threshold", "breaker"),
    ("failure_ratio", "breaker"),
    ("success_threshold", "breaker"),
    ("reset_timeout", "breaker"),
    ("min_calls", "breaker"),
    ("window", "breaker"),
    ("ramp", "breaker"),
    ("max_keys", "breaker"),
    ("user_id_header", "logs"),
    ("operator_token_file", "admin"),
    ("drain", "shutdown"),
];

/// The keys of one mapping while they are being read.
pub(crate) struct Fields<'n, 'p> {
    /// Where the mapping stands.
    pub(crate) span: Span,
    /// Where problems go.
    pub(crate) problems: &'p mut Problems,
    left: Vec<&'n Entry>,
    known: Vec<&'static str>,
}

/// Reads the mapping `node`, then reports the keys that `read` did not take. Something else than a mapping is reported as
/// well, and read as if it were empty; so is nothing.
pub(crate) fn mapping<'n, T>(
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
                problems.push(wrong_kind(name, node, "a mapping (`key: value`)"));
                // What it does not hold is no problem of its own.
                span = Span::BUILT_IN;
            }
        }
    }
    let left = node.map(Node::entries).unwrap_or_default().iter().collect();
    let mut fields = Fields {
        span,
        problems,
        left,
        known: Vec::new(),
    };
    let read = read(&mut fields);
    fields.finish();
    read
}

fn wrong_kind(name: &str, node: &Node, expected: &str) -> Problem {
    Problem::error(
        Code::WrongKind,
        node.span,
        format!("`{name}` must be {expected}, not {}", node.kind()),
    )
}

impl<'n> Fields<'n, '_> {
    /// Names the keys that are allowed here in the order of the documentation, in whatever order they are then read.
    pub(crate) fn order(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }

    /// Takes a key of a fixed name.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.may_have(key);
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

    /// What is written under a key that nobody took yet.
    pub(crate) fn node(&self, key: &str) -> Option<&'n Node> {
        let entry = self.left.iter().find(|entry| entry.key.text == key)?;
        Some(&entry.node)
    }

    /// The entries that nobody took yet.
    pub(crate) fn entries(&self) -> Vec<&'n Entry> {
        self.left.clone()
    }

    /// Names a key that is allowed here.
    pub(crate) fn may_have(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|entry| entry.key.text == key)
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

    /// Takes all keys that are left: for mappings whose keys are names.
    pub(crate) fn take_all(&mut self) -> Vec<&'n Entry> {
        std::mem::take(&mut self.left)
    }

    /// Refuses keys whose meaning is not built yet.
    pub(crate) fn not_yet(&mut self, keys: &[&'static str]) {
        let (refused, left) = self
            .left
            .iter()
            .partition(|entry| keys.contains(&entry.key.text.as_str()));
        self.left = left;
        let refused: Vec<&Entry> = refused;
        for Entry { key, .. } in refused {
            self.problems.push(
                Problem::error(
                    Code::NotSupported,
                    key.span,
                    format!("`{}` is not supported yet", key.text),
                )
                .hint("remove it: this version would ignore it"),
            );
        }
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
        let node = self.take(key).map(|entry| &entry.node);
        mapping(key, node, self.problems, read)
    }

    /// Reads a text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<(&'n Scalar, Span)> {
        let entry = self.take(key)?;
        scalar(key, &entry.node, self.problems)
    }

    /// Reads a value of some type.
    pub(crate) fn parse<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let node = &self.take(key)?.node;
        value(key, node, self.problems, parse)
    }

    /// Reads a value of some type, or else takes what a variable of the environment says; an empty one says nothing. The variable
    /// belongs to the application too, so one that means nothing here is a warning only.
    pub(crate) fn parse_or_variable<T>(
        &mut self,
        key: &'static str,
        (variable, env): (&str, Env<'_>),
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        if self.has(key) {
            return self.parse(key, parse);
        }
        self.may_have(key);
        let text = env(variable).filter(|text| !text.is_empty())?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(Invalid { code, what, .. }) => {
                let message =
                    format!("the environment variable `{variable}` {what}; it is passed over");
                let problem = Problem::warning(code, Span::BUILT_IN, message);
                self.problems
                    .push(problem.hint(format!("a `{key}` in the file goes before it")));
                None
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
                self.problems
                    .push(wrong_kind(key, node, "a list").hint("write `[a, b]`"));
                None
            }
        }
    }

    fn finish(self) {
        for Entry { key, .. } in self.left {
            let mut problem = Problem::error(
                Code::UnknownKey,
                key.span,
                format!("unknown key `{}`", show(&key.text)),
            );
            if let Some(meant) = nearest(&key.text, self.known.iter().copied()) {
                problem = problem.hint(format!("did you mean `{meant}`?"));
            } else if let Some((key, home)) = ELSEWHERE.iter().find(|(name, _)| *name == key.text) {
                problem = problem.hint(format!("`{key}` belongs under `{home}`"));
            } else if key.text == "<<" {
                problem =
                    problem.hint("share settings with `defaults` or with `presets` and `extends`");
            }
            if !self.known.is_empty() {
                problem = problem.help(format!("allowed here: {}", self.known.join(", ")));
            }
            self.problems.push(problem);
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
            problems.push(Problem::error(
                Code::NoValue,
                node.span,
                format!("`{}` has no value", show(key)),
            ));
            None
        }
        Value::Sequence(_) | Value::Mapping(_) => {
            problems.push(wrong_kind(&show(key), node, "a single value"));
            None
        }
    }
}

/// Reads a value of some type. A hint that might repeat a value from the environment gives way to the reference.
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
                (None, Some(hint)) => problem.hint(hint),
                (None, None) => problem,
            });
            None
        }
    }
}

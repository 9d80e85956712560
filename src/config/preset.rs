//! Presets: named bundles of route settings, built in or from the file, and the merging of a route's layers.

use super::excerpt::show;
use super::graph;
use super::keys::{Kind, Laid, ROUTE, Section};
use super::problem::{Code, Problem, Problems};
use super::tree::{Entry, Key, Node, Scalar, Span, Value};

/// The preset of a route that names none.
pub(crate) const DEFAULT: &str = "external-api";

/// Stands in a list of rules for the rules of the layer below.
pub(crate) const INHERITED: &str = "inherited";

/// The most presets that extend one another.
const MAX_CHAIN: usize = 16;

/// The numbers of a built-in preset.
struct BuiltIn {
    name: &'static str,
    failure_threshold: &'static str,
    timeout: &'static str,
    reset_timeout: &'static str,
    pool: Option<[(&'static str, &'static str); 5]>,
    /// Whether it is for Meta's Graph API: codes in the body, and our own refusals in the same form.
    speaks_graph: bool,
}

const BUILT_IN: [BuiltIn; 5] = [
    BuiltIn {
        name: "database",
        failure_threshold: "5",
        timeout: "10s",
        reset_timeout: "30s",
        pool: Some([
            ("max", "20"),
            ("min", "5"),
            ("acquire_timeout", "30s"),
            ("idle_timeout", "10s"),
            ("evict_every", "1s"),
        ]),
        speaks_graph: false,
    },
    BuiltIn {
        name: "redis",
        failure_threshold: "3",
        timeout: "5s",
        reset_timeout: "20s",
        pool: None,
        speaks_graph: false,
    },
    BuiltIn {
        name: "whatsapp",
        failure_threshold: "5",
        timeout: "15s",
        reset_timeout: "60s",
        pool: None,
        speaks_graph: true,
    },
    BuiltIn {
        name: "email",
        failure_threshold: "5",
        timeout: "10s",
        reset_timeout: "30s",
        pool: None,
        speaks_graph: false,
    },
    EXTERNAL_API,
];

const EXTERNAL_API: BuiltIn = BuiltIn {
    name: DEFAULT,
    failure_threshold: "10",
    timeout: "20s",
    reset_timeout: "60s",
    pool: None,
    speaks_graph: false,
};

impl BuiltIn {
    fn settings(&self) -> Node {
        let text = Node::built_in_text;
        let breaker = Node::built_in([
            ("failure_threshold", text(self.failure_threshold)),
            ("reset_timeout", text(self.reset_timeout)),
        ]);
        let mut settings = vec![("timeout", text(self.timeout)), ("breaker", breaker)];
        if let Some(pool) = self.pool {
            let pool = Node::built_in(pool.map(|(key, value)| (key, text(value))));
            settings.push(("upstream", Node::built_in([("pool", pool)])));
        }
        if self.speaks_graph {
            settings.push(("classify", graph::rules()));
            settings.push(("refusals", text("graph")));
        }
        Node::built_in_mapping(settings)
    }
}

/// The names of the built-in presets.
pub fn built_in_names<'a>() -> impl Iterator<Item = &'a str> {
    BUILT_IN.iter().map(|preset| preset.name)
}

/// The layers of a preset.
pub(crate) struct Chain<'n> {
    /// Presets of the file, from the one that is named down.
    pub(crate) file: Vec<&'n Entry>,
    /// The built-in one that they begin from, with its settings.
    pub(crate) built_in: Option<(&'static str, Node)>,
}

/// The presets that a route may name.
pub(crate) struct Presets<'n> {
    file: &'n [&'n Entry],
}

impl<'n> Presets<'n> {
    /// The built-in ones and those of the file's `presets` mapping.
    pub(crate) const fn new(file: &'n [&'n Entry]) -> Self {
        Self { file }
    }

    /// The settings every route begins from.
    pub(crate) fn base() -> Node {
        EXTERNAL_API.settings()
    }

    /// The settings of preset `name` with all that it extends. `at` is where the name is written.
    pub(crate) fn settings(
        &self,
        name: &Scalar,
        at: Span,
        problems: &mut Problems,
    ) -> Option<Node> {
        let Chain { file, built_in } = self.chain(name, at, problems)?;
        let begin = built_in.map_or_else(|| Node::built_in([]), |(_, settings)| settings);
        let layers = file.into_iter().rev();
        Some(layers.fold(begin, |below, entry| {
            merge(&below, &without_extends(&entry.node), &ROUTE)
        }))
    }

    /// The layers that preset `name` is made of.
    pub(crate) fn chain(
        &self,
        name: &Scalar,
        at: Span,
        problems: &mut Problems,
    ) -> Option<Chain<'n>> {
        let mut file: Vec<&'n Entry> = Vec::new();
        let (mut name, mut at) = (name, at);
        loop {
            if let Some(built_in) = BUILT_IN.iter().find(|preset| preset.name == name.text) {
                let built_in = Some((built_in.name, built_in.settings()));
                return Some(Chain { file, built_in });
            }
            let Some(entry) = self
                .file
                .iter()
                .copied()
                .find(|entry| entry.key.text == name.text)
            else {
                self.refuse_unknown(name, at, problems);
                return None;
            };
            if let Some(begin) = file.iter().position(|seen| std::ptr::eq(*seen, entry)) {
                problems.push(cycle(&file[begin..]));
                return None;
            }
            if file.len() == MAX_CHAIN {
                let message = format!("more than {MAX_CHAIN} presets extend one another");
                problems.push(Problem::error(Code::Budget, at, message));
                return None;
            }
            file.push(entry);
            let Some(Entry {
                node:
                    Node {
                        value: Value::Scalar(scalar),
                        span,
                    },
                ..
            }) = entry.node.entry("extends")
            else {
                return Some(Chain {
                    file,
                    built_in: None,
                });
            };
            (name, at) = (scalar, *span);
        }
    }

    fn refuse_unknown(&self, name: &Scalar, at: Span, problems: &mut Problems) {
        let all: Vec<&str> = built_in_names()
            .chain(self.file.iter().map(|entry| entry.key.text.as_str()))
            .collect();
        let problem = Problem::error(
            Code::UnknownPreset,
            at,
            format!("no preset is called `{}`", name.shown()),
        );
        let meant = problems.nearest(&name.text, all.iter().copied());
        let names: Vec<String> = all.iter().copied().map(show).collect();
        let help = format!("presets: {}", names.join(", "));
        problems.push(problem.meant(meant).help(help));
    }
}

/// One report for a circle, whichever preset it is entered by.
fn cycle(circle: &[&Entry]) -> Problem {
    let first = circle
        .iter()
        .map(|entry| entry.key.span.line)
        .min()
        .unwrap_or(0);
    let begin = circle
        .iter()
        .position(|entry| entry.key.span.line == first)
        .unwrap_or(0);
    let names: Vec<String> = circle
        .iter()
        .cycle()
        .skip(begin)
        .take(circle.len() + 1)
        .map(|entry| format!("`{}`", show(&entry.key.text)))
        .collect();
    let span = circle
        .get(begin)
        .map_or(Span::BUILT_IN, |entry| entry.key.span);
    Problem::error(
        Code::PresetCycle,
        span,
        format!("presets extend each other: {}", names.join(" → ")),
    )
}

fn without_extends(node: &Node) -> Node {
    let Value::Mapping(entries) = &node.value else {
        return node.clone();
    };
    let entries = entries
        .iter()
        .filter(|entry| entry.key.text != "extends")
        .cloned()
        .collect();
    Node {
        span: node.span,
        value: Value::Mapping(entries),
    }
}

/// Lays `over` on `base`, both mappings with the keys of `section`, each as its description says. A mapping without entries adds nothing.
///
/// Keys are compared without case, as header names are; other keys in the wrong case are refused where they are read.
pub(crate) fn merge(base: &Node, over: &Node, section: &'static Section) -> Node {
    lay(base, over, Place::Section(section))
}

/// What the keys of a mapping are.
#[derive(Clone, Copy)]
enum Place {
    /// Those of the section.
    Section(&'static Section),
    /// Names, each of something with the keys of the section.
    Names(&'static Section),
    /// Anything.
    Free,
}

impl Place {
    fn of(kind: Kind) -> Self {
        match kind.section() {
            Some(section) if kind.is_named() => Self::Names(section),
            Some(section) => Self::Section(section),
            None => Self::Free,
        }
    }

    /// What a value under `key` does to the one below, and what the keys in it are.
    fn below(self, key: &str) -> (Laid, Self) {
        match self {
            Self::Section(section) => section.key(key).map_or((Laid::Merged, Self::Free), |key| {
                (key.laid, Self::of(key.kind))
            }),
            Self::Names(section) => (Laid::Merged, Self::Section(section)),
            Self::Free => (Laid::Merged, Self::Free),
        }
    }
}

fn lay(base: &Node, over: &Node, place: Place) -> Node {
    let (Value::Mapping(below), Value::Mapping(above)) = (&base.value, &over.value) else {
        let adds_nothing = matches!((&base.value, &over.value), (Value::Mapping(_), Value::Null));
        return if adds_nothing {
            base.clone()
        } else {
            over.clone()
        };
    };
    let same = |a: &Key, b: &Key| a.text.eq_ignore_ascii_case(&b.text);
    let kept = below
        .iter()
        .filter(|entry| !above.iter().any(|new| same(&entry.key, &new.key)))
        .cloned();
    let laid = above.iter().map(|new| {
        let Some(old) = below.iter().find(|entry| same(&entry.key, &new.key)) else {
            return new.clone();
        };
        let (laid, below) = place.below(&new.key.text);
        let node = match laid {
            Laid::Whole => new.node.clone(),
            Laid::Rules => inherit(&old.node, &new.node),
            Laid::Merged => lay(&old.node, &new.node, below),
        };
        let key = new.key.clone();
        Entry { key, node }
    });
    Node {
        span: over.span,
        value: Value::Mapping(kept.chain(laid).collect()),
    }
}

/// The list `over` with the rules of `base` in place of the one word `inherited`. A list that says it more often is left as it is, to be
/// refused where it is read.
fn inherit(base: &Node, over: &Node) -> Node {
    let (Value::Sequence(below), Value::Sequence(above)) = (&base.value, &over.value) else {
        return over.clone();
    };
    let is_inherited =
        |item: &&Node| matches!(&item.value, Value::Scalar(scalar) if scalar.text == INHERITED);
    if above.iter().filter(is_inherited).count() != 1 {
        return over.clone();
    }
    let items = above.iter().flat_map(|item| {
        if is_inherited(&item) {
            below.as_slice()
        } else {
            std::slice::from_ref(item)
        }
    });
    Node {
        span: over.span,
        value: Value::Sequence(items.cloned().collect()),
    }
}

/// Turns the short form `upstream: URL` into `upstream: {url: URL}`, so that it merges with what a preset says of upstreams.
pub(crate) fn spell_out(settings: &mut Node) {
    let Value::Mapping(entries) = &mut settings.value else {
        return;
    };
    for entry in entries
        .iter_mut()
        .filter(|entry| entry.key.text == "upstream")
    {
        let url = match &entry.node.value {
            // What was reported already is a URL that nobody can read, not none.
            Value::Scalar(_) | Value::Unusable => entry.node.clone(),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => continue,
        };
        let key = Key {
            text: "url".to_owned(),
            span: entry.key.span,
        };
        entry.node.value = Value::Mapping(vec![Entry { key, node: url }]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml::parse;

    fn tree(text: &str) -> Node {
        parse(text, &mut Problems::default()).unwrap()
    }

    /// The shape without places.
    fn flat(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Unusable => "!".to_owned(),
            Value::Scalar(scalar) => scalar.text.clone(),
            Value::Sequence(items) => {
                format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(" "))
            }
            Value::Mapping(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| format!("{}:{}", entry.key.text, flat(&entry.node)))
                    .collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn mappings_merge_and_scalars_and_lists_replace() {
        let base = tree("{a: 1, m: {x: 1, y: [1, 2]}, keep: 1}");
        let over = tree("{a: 2, m: {y: [3]}, new: 1}");
        let laid = |base: &Node, over: &str| flat(&merge(base, &tree(over), &ROUTE));
        assert_eq!(
            flat(&merge(&base, &over, &ROUTE)),
            "{keep:1 a:2 m:{x:1 y:[3]} new:1}"
        );
        assert_eq!(laid(&base, "{m: }"), "{a:1 keep:1 m:{x:1 y:[1 2]}}");
        assert_eq!(
            laid(&tree("{set: {X-A: 1}}"), "{set: {x-a: 2}}"),
            "{set:{x-a:2}}"
        );
    }

    #[test]
    fn what_chooses_one_of_several_things_replaces_the_choice_below() {
        for (base, over) in [
            (
                "{breaker: {window: {time: 1s}}}",
                "{breaker: {window: {calls: 5}}}",
            ),
            (
                "{breaker: {key: {header: X-A}}}",
                "{breaker: {key: {path_segment: 2}}}",
            ),
            (
                "{fallback: {stale: {max_age: 1h}}}",
                "{fallback: {respond: {status: 200}}}",
            ),
            (
                "{limits: {rate: {key: {header: X-A}}}}",
                "{limits: {rate: {key: client_ip}}}",
            ),
        ] {
            let over = tree(over);
            assert_eq!(flat(&merge(&tree(base), &over, &ROUTE)), flat(&over));
        }
    }

    #[test]
    fn a_candidate_inherits_whatever_it_is_called() {
        for name in ["other", "window", "key", "fallback", "classify"] {
            let base = tree(&format!("{{shadow: {{{name}: {{failure_threshold: 3}}}}}}"));
            let over = tree(&format!("{{shadow: {{{name}: {{reset_timeout: 5s}}}}}}"));
            assert_eq!(
                flat(&merge(&base, &over, &ROUTE)),
                format!("{{shadow:{{{name}:{{failure_threshold:3 reset_timeout:5s}}}}}}")
            );
        }
    }

    #[test]
    fn rules_replace_those_below_or_take_them_in_where_they_say_inherited() {
        let laid = |base: &str, over: &str| {
            let list = |items: &str| tree(&format!("{{classify: {items}}}"));
            flat(&merge(&list(base), &list(over), &ROUTE))
        };
        assert_eq!(laid("[a, b]", "[c]"), "{classify:[c]}");
        assert_eq!(laid("[a, b]", "[]"), "{classify:[]}");
        assert_eq!(laid("[a, b]", "[c, inherited, d]"), "{classify:[c a b d]}");
        assert_eq!(
            laid("[a, inherited]", "[inherited, c]"),
            "{classify:[a inherited c]}"
        );
        // Else sixteen presets that say it twice would make a list of 2^16.
        assert_eq!(
            laid("[a]", "[inherited, inherited]"),
            "{classify:[inherited inherited]}"
        );
    }

    #[test]
    fn a_chain_of_presets_is_laid_from_the_built_in_up() {
        let file = tree(
            "{a: {extends: b, timeout: 1s}, b: {extends: redis, breaker: {failure_threshold: 9}}}",
        );
        let mut problems = Problems::default();
        let settings = Presets::new(&file.entries().iter().collect::<Vec<_>>())
            .settings(&Scalar::literal("a"), Span::default(), &mut problems)
            .unwrap();
        assert_eq!(
            flat(&settings),
            "{breaker:{reset_timeout:20s failure_threshold:9} timeout:1s}"
        );
        assert!(problems.into_sorted().is_empty());
    }

    #[test]
    fn a_circle_is_told_once_however_it_is_entered() {
        let file = tree("a: {extends: b}\nb: {extends: c}\nc: {extends: b}\n");
        let mut problems = Problems::default();
        for name in ["a", "b", "c"] {
            assert!(
                Presets::new(&file.entries().iter().collect::<Vec<_>>())
                    .settings(&Scalar::literal(name), Span::default(), &mut problems)
                    .is_none()
            );
        }
        let told = problems.into_sorted();
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].message,
            "presets extend each other: `b` → `c` → `b`"
        );
    }
}

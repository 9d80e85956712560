//! Every key of a configuration, described once: what it may hold, its default, its meaning.
//!
//! The walk that makes a plan reads values by these descriptions, so a key that is not here cannot be read, and one that is here
//! cannot be unknown. Ranges and defaults have no other home. What is allowed in a place, suggestions, the JSON Schema and the
//! reference come from them as well.

mod breaker;
mod classify;
mod fallback;
mod follow;
mod forms;
mod laid;
mod policies;
mod restriction;
mod route;
mod top;
mod typed;
mod upstream;
mod words;

use std::time::Duration;

use super::tree::Node;

pub(crate) use breaker::CANDIDATE;
pub(crate) use classify::{MOST_RULES, RULE, judged};
pub(crate) use fallback::{BODILESS, FALLBACK, MOST_FALLBACKS, MOST_NEUTRAL, MOST_VARY};
pub(crate) use follow::{Beside, Follows, name};
pub(crate) use laid::Laid;
pub(crate) use policies::{HEADER_FILE, MOST_SET, RATE_KEY};
pub(crate) use restriction::{Conflict, Once};
pub(crate) use route::{DEFAULTS, MOST_CANDIDATES, PRESET, ROUTE};
pub(crate) use top::{FILE, MOST_LISTENERS, MOST_PRESETS, MOST_SERVERS, OVERRIDE, PROXY_LISTENER};
pub(crate) use typed::{Typed, Worded};
pub(crate) use upstream::MOST_ENDPOINTS;
pub(crate) use words::{called_anywhere, called_here, trusts_all};

/// The keys that are allowed together in one mapping.
#[derive(Debug)]
pub(crate) struct Section {
    /// What the schema calls it.
    pub(crate) name: &'static str,
    /// In the order of the documentation. Mappings that share keys share groups.
    pub(crate) groups: &'static [&'static [Key]],
    /// Keys of the design that this version does not know yet.
    pub(crate) later: &'static [&'static str],
    /// Which of them go together.
    pub(crate) choice: Choice,
    /// What the value of one key forbids of the mapping.
    pub(crate) conflict: Option<Conflict>,
}

/// Which keys of a mapping go together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// Any, none included.
    Any,
    /// Any, but at least one.
    Some,
    /// Exactly one of these.
    One(&'static [&'static str]),
    /// One of these at the most.
    OneAtMost(&'static [&'static str]),
    /// This one alone, or at least one of these.
    Apart(&'static str, &'static [&'static str]),
}

/// One key of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// As it is written.
    pub(crate) name: &'static str,
    /// What it may hold.
    pub(crate) kind: Kind,
    /// Its default.
    pub(crate) unwritten: Unwritten,
    /// The rule for its default, if that follows from something else.
    pub(crate) follows: Option<Follows>,
    /// Its default counts only beside that key with one of those values, or with any value if none is named.
    pub(crate) beside: Option<(&'static str, &'static [&'static str])>,
    /// How a value is merged with the one of the layer below.
    pub(crate) laid: Laid,
    /// What its list holds once at the most.
    pub(crate) once: Option<Once>,
    /// What it means, in a sentence or two of Markdown.
    pub(crate) meaning: &'static str,
}

/// The default of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unwritten {
    /// None: what the key would turn on is off.
    Nothing,
    /// This value.
    Value(&'static str),
    /// What the words describe.
    Said(&'static str),
    /// It must be written.
    Refused,
}

/// What a key may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number, from and to.
    Number(u64, u64),
    /// A number, from and to.
    Decimal(f64, f64),
    /// A duration, from and to.
    Time(Duration, Duration),
    /// A size in bytes, from and to.
    Size(u64, u64),
    /// A share of a whole, from 0% to 100%.
    Share,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// A text of some form.
    Text(&'static Form),
    /// A list, of how many at least and at the most.
    List(&'static Kind, usize, usize),
    /// One, or a list of one or more, of how many at the most.
    OneOrMore(&'static Kind, usize),
    /// A mapping with these keys.
    Section(&'static Section),
    /// The same, or only what one of its keys holds.
    Short(&'static Section, &'static str),
    /// A mapping whose keys are names of some form, of how many at the most.
    Named(&'static Form, &'static Kind, usize),
    /// That word, or something else.
    Or(&'static str, &'static Kind),
    /// One or the other.
    Either(&'static Kind, &'static Kind),
    /// Something, or nothing at all.
    Maybe(&'static Kind),
    /// Anything that JSON can say.
    Json,
}

/// A kind of text.
#[derive(Debug)]
pub(crate) struct Form {
    /// What it is, for the reference.
    pub(crate) name: &'static str,
    /// A pattern (ECMA-262, as JSON Schema has it) that every good text matches; empty for any.
    pub(crate) pattern: &'static str,
    /// Whole numbers that are good without quotes, from and to.
    pub(crate) numbers: Option<(i64, i64)>,
    /// How the effective configuration shows it.
    pub(crate) shown: Shown,
}

/// How a text is shown in the effective configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As it is, without the users of its URLs.
    Plain,
    /// Masked where the name of the header or a scheme of credentials says that it is a secret.
    HeaderValue,
    /// With the values of its query masked.
    PathWithQuery,
}

/// The longest time that a key may say.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Some time, up to a day.
const TIME: Kind = Kind::Time(Duration::from_millis(1), DAY);
/// The same, or none.
const TIME_OR_NONE: Kind = Kind::Time(Duration::ZERO, DAY);
/// The same, or `off`.
const TIME_OR_OFF: Kind = Kind::Or("off", &TIME);
/// For lists that only the size of the file bounds.
const MANY: usize = usize::MAX;

/// A mapping without keys.
pub(crate) const NOTHING: Section = Section::new("nothing", &[]);

/// A key without a default.
const fn key(name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key {
        name,
        kind,
        unwritten: Unwritten::Nothing,
        follows: None,
        beside: None,
        laid: Laid::Merged,
        once: None,
        meaning,
    }
}

impl Key {
    /// Sets its default.
    const fn or(mut self, value: &'static str) -> Self {
        self.unwritten = Unwritten::Value(value);
        self
    }

    /// Describes its default in words.
    const fn otherwise(mut self, said: &'static str) -> Self {
        self.unwritten = Unwritten::Said(said);
        self
    }

    /// Sets the rule for the value that those words describe.
    const fn by(mut self, rule: fn(&Beside<'_>) -> Option<Node>) -> Self {
        self.follows = Some(Follows::Rule(rule));
        self
    }

    /// Takes its default from a variable of the environment, if the value is valid, or else from `otherwise`.
    const fn variable(
        mut self,
        name: &'static str,
        is_good: fn(&str) -> bool,
        otherwise: &'static str,
    ) -> Self {
        self.follows = Some(Follows::Variable {
            name,
            is_good,
            otherwise,
        });
        self
    }

    /// Restricts its default to places beside another key.
    const fn only_beside(mut self, key: &'static str, values: &'static [&'static str]) -> Self {
        self.beside = Some((key, values));
        self
    }

    /// Makes its mapping replace the one of the layer below.
    const fn whole(mut self) -> Self {
        self.laid = Laid::Whole;
        self
    }

    /// Lets its list include the rules of the layer below.
    const fn rules(mut self) -> Self {
        self.laid = Laid::Rules;
        self
    }

    /// Allows such an item once in its list.
    const fn once(mut self, what: Once) -> Self {
        self.once = Some(what);
        self
    }

    /// Makes it mandatory.
    const fn required(mut self) -> Self {
        self.unwritten = Unwritten::Refused;
        self
    }
}

impl Section {
    const fn new(name: &'static str, groups: &'static [&'static [Key]]) -> Self {
        Self {
            name,
            groups,
            later: &[],
            choice: Choice::Any,
            conflict: None,
        }
    }

    const fn later(mut self, later: &'static [&'static str]) -> Self {
        self.later = later;
        self
    }

    const fn choice(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }

    const fn conflict(mut self, conflict: Conflict) -> Self {
        self.conflict = Some(conflict);
        self
    }

    /// All keys in the order of the documentation.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The key of that name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys().map(|key| key.name)
    }

    /// The keys of which a mapping may have one.
    pub(crate) const fn choices(&self) -> &'static [&'static str] {
        match self.choice {
            Choice::One(names) | Choice::OneAtMost(names) => names,
            Choice::Any | Choice::Some | Choice::Apart(..) => &[],
        }
    }
}

impl Kind {
    /// The section that it may hold directly, without names between.
    const fn inner(self) -> Option<&'static Section> {
        if self.is_named() {
            return None;
        }
        self.section()
    }

    /// What a variable of the environment says in place of a value of this kind. Words are known whatever their case is.
    pub(crate) fn folded(&self, text: String) -> String {
        match self {
            Self::Word(_) => text.to_ascii_lowercase(),
            Self::Section(_)
            | Self::Short(..)
            | Self::Or(..)
            | Self::OneOrMore(..)
            | Self::List(..)
            | Self::Named(..)
            | Self::Maybe(_)
            | Self::Either(..)
            | Self::Flag
            | Self::Number(..)
            | Self::Decimal(..)
            | Self::Time(..)
            | Self::Size(..)
            | Self::Share
            | Self::Text(_)
            | Self::Json => text,
        }
    }

    /// Whether it is a mapping of names.
    pub(crate) const fn is_named(self) -> bool {
        matches!(self, Self::Named(..) | Self::Or(_, Self::Named(..)))
    }

    /// The section that it may hold, directly or under names.
    pub(crate) const fn section(self) -> Option<&'static Section> {
        match self {
            Self::Section(section) | Self::Short(section, _) => Some(section),
            Self::Or(_, kind)
            | Self::OneOrMore(kind, _)
            | Self::List(kind, ..)
            | Self::Named(_, kind, _)
            | Self::Maybe(kind)
            | Self::Either(_, kind) => kind.section(),
            Self::Flag
            | Self::Number(..)
            | Self::Decimal(..)
            | Self::Time(..)
            | Self::Size(..)
            | Self::Share
            | Self::Word(_)
            | Self::Text(_)
            | Self::Json => None,
        }
    }
}

/// The path of the key of that name from the top of the file or of a route, if there is only one.
pub(crate) fn home(name: &str) -> Option<String> {
    let mut found = None;
    for section in [&FILE, &ROUTE] {
        // A route's settings are searched by themselves.
        for key in section.keys().filter(|key| key.name != "defaults") {
            if let Some(inner) = key.kind.inner() {
                search(inner, key.name, name, &mut found)?;
            }
        }
    }
    found
}

/// `None` when there are two of them.
fn search(section: &Section, path: &str, name: &str, found: &mut Option<String>) -> Option<()> {
    for key in section.keys() {
        if key.name == name && found.replace(path.to_owned()).is_some() {
            return None;
        }
        if let Some(inner) = key.kind.inner() {
            search(inner, &format!("{path}.{}", key.name), name, found)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;

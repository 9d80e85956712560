//! Defaults that follow from something else, as the file would say them.

use std::cell::Cell;
use std::time::Duration;

use super::{Section, Typed, Unwritten};
use crate::config::problem::Code;
use crate::config::standard;
use crate::config::tree::{Entry, Node, Scalar, Value};
use crate::config::units::{Invalid, spell_size, spell_time};
use crate::resilience::{RetryOn, WindowSpec};

/// What the default of a key follows from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Follows {
    /// From the keys beside it; `None` if it has no meaning there.
    Rule(fn(&Beside<'_>) -> Option<Node>),
    /// From a variable of the environment.
    Variable {
        /// Its name.
        name: &'static str,
        /// Whether its value is valid. An invalid one is ignored.
        is_good: fn(&str) -> bool,
        /// What counts without it.
        otherwise: &'static str,
    },
}

/// The surroundings of a key that is not written.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    /// The keys of its mapping.
    pub(crate) section: &'static Section,
    /// The written entries of the mapping.
    pub(crate) written: &'a [Entry],
    /// The mapping that this one stands in.
    pub(crate) outer: Option<&'a Beside<'a>>,
    /// Set when a text with a reference to the environment was read.
    pub(crate) is_from_outside: &'a Cell<bool>,
}

impl Beside<'_> {
    /// The text in force of a key, written or not.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let written = self.written.iter().find(|entry| entry.key.text == key);
        match written.map(|entry| &entry.node.value) {
            Some(Value::Scalar(scalar)) => Some(self.ask(scalar)),
            Some(Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Unusable) => None,
            None => match self.section.key(key)?.unwritten {
                Unwritten::Value(text) => Some(text),
                Unwritten::Nothing | Unwritten::Said(_) | Unwritten::Refused => None,
            },
        }
    }

    fn ask<'t>(&self, scalar: &'t Scalar) -> &'t str {
        if scalar.reference.is_some() {
            self.is_from_outside.set(true);
        }
        &scalar.text
    }

    fn read<T: Typed>(&self, key: &str) -> Option<T> {
        let described = self.section.key(key)?;
        T::read(&described.kind, self.text(key)?).ok()
    }

    /// The mapping of the route that it stands in.
    fn route(&self) -> &Self {
        self.outer.map_or(self, Self::route)
    }
}

/// The name of a service or an environment.
pub(crate) fn name(text: &str) -> Result<String, Invalid> {
    /// The longest name.
    const LONGEST: usize = 128;
    if text.is_empty() || text.chars().count() > LONGEST || text.contains(char::is_control) {
        let what = format!("must have 1 to {LONGEST} characters, none of them a control character");
        return Err(Invalid::new(Code::Malformed, what));
    }
    Ok(text.to_owned())
}

pub(super) fn window(_: &Beside<'_>) -> Option<Node> {
    Some(match standard::WINDOW {
        WindowSpec::Time(time) => Node::built_in([("time", self::time(time))]),
        WindowSpec::Calls(calls) => Node::built_in([("calls", number(calls))]),
    })
}

pub(super) fn min_calls(beside: &Beside<'_>) -> Option<Node> {
    let window = beside
        .written
        .iter()
        .find(|entry| entry.key.text == "window");
    let calls = window.and_then(|window| match &window.node.entry("calls")?.node.value {
        Value::Scalar(scalar) => beside.ask(scalar).parse().ok(),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Unusable => None,
    });
    let window = calls.map_or(standard::WINDOW, WindowSpec::Calls);
    Some(number(standard::min_calls(window)))
}

pub(super) fn longest_reset(beside: &Beside<'_>) -> Option<Node> {
    let breaker = beside.outer?;
    let reset = breaker.read("reset_timeout")?;
    Some(time(standard::longest_reset(reset)))
}

pub(super) fn retry_on(_: &Beside<'_>) -> Option<Node> {
    let RetryOn { words, statuses } = RetryOn::default();
    let words = words.into_iter().map(Node::built_in_text);
    let statuses = statuses.iter().map(|status| text(&status.to_string()));
    Some(Node::built_in_list(words.chain(statuses).collect()))
}

pub(super) fn longest_wait(beside: &Beside<'_>) -> Option<Node> {
    Some(time(standard::longest_wait(beside.read("base")?)))
}

pub(super) fn queue_timeout(beside: &Beside<'_>) -> Option<Node> {
    if beside.read::<u64>("queue")? == 0 {
        return None;
    }
    let timeout = beside.route().read("timeout")?;
    Some(time(standard::queue_timeout(timeout)))
}

pub(super) fn burst(beside: &Beside<'_>) -> Option<Node> {
    Some(number(standard::burst(beside.read("per_second")?)))
}

pub(super) fn probe_timeout(beside: &Beside<'_>) -> Option<Node> {
    Some(time(standard::probe_timeout(beside.read("every")?)))
}

pub(super) fn expect(_: &Beside<'_>) -> Option<Node> {
    let (first, last) = (standard::EXPECTED.start(), standard::EXPECTED.end());
    Some(Node::built_in_list(vec![text(&format!("{first}-{last}"))]))
}

pub(super) fn largest_body(beside: &Beside<'_>) -> Option<Node> {
    let size = standard::largest_body(beside.read("max_bytes")?);
    Some(text(&spell_size(size)))
}

pub(super) fn accept(beside: &Beside<'_>) -> Option<Node> {
    let header = beside.text("header")?;
    let accepted = standard::accepted(&header.parse().ok()?);
    let spelled = accepted.iter().map(|name| text(name.as_str())).collect();
    Some(Node::built_in_list(spelled))
}

fn text(text: &str) -> Node {
    Node::built_in_text(text)
}

fn time(time: Duration) -> Node {
    let (millis, rest) = (time.as_millis(), time.subsec_nanos() % 1_000_000);
    match rest {
        0 => text(&spell_time(time)),
        _ => text(&format!("{millis}.{rest:06}ms")),
    }
}

fn number(number: u32) -> Node {
    text(&number.to_string())
}

//! A rule of `classify:`.

use super::forms;
use super::typed::{Worded, words};
use super::{Choice, Kind, Section, TIME, key};
use crate::failure::{Blame, Failure};
use crate::resilience::{Outcome, Scope};

/// The most rules of a route, conditions of one kind in a rule, and values in one condition.
pub(crate) const MOST_RULES: usize = 256;

/// A rule: its conditions, and what an attempt that meets them proves.
pub(crate) const RULE: Section = Section::new("rule", &[&[
    key(
        "status",
        Kind::OneOrMore(&Kind::Text(&forms::STATUS), MOST_RULES),
        "The answer's status is one of these.",
    )
    .otherwise("any; with `json` from 400 on"),
    key(
        "header",
        Kind::Named(
            &forms::HEADER,
            &Kind::Maybe(&Kind::Text(&forms::PATTERN)),
            MOST_RULES,
        ),
        "The answer has these headers, each with that value if one is given.",
    ),
    key(
        "json",
        Kind::Named(
            &forms::POINTER,
            &Kind::Maybe(&Kind::OneOrMore(&Kind::Text(&forms::EXPECTED), MOST_RULES)),
            MOST_RULES,
        ),
        "At these places (JSON pointers) of a JSON body of up to 64 KiB stands one of the values, or anything but null.",
    ),
    key(
        "error",
        Kind::OneOrMore(&Kind::Word(judged), MOST_RULES),
        "The attempt got no answer for one of these reasons. Goes with no other condition.",
    ),
    key(
        "as",
        Kind::Word(words::<Outcome>),
        "What it proves: the upstream works (`success`), has failed (`failure`), works while the call was wrong (`alive`), asks for a pause (`throttled`), or nothing (`ignored`).",
    )
    .required(),
    key(
        "scope",
        Kind::Word(words::<Scope>),
        "Who is paused; with `as: throttled` only.",
    )
    .or("route")
    .only_beside("as", &["throttled"]),
    key("pause", TIME, "For how long; with `as: throttled` only.")
        .otherwise("what the answer asks for"),
    key(
        "config_error",
        Kind::Flag,
        "It is ours to put right: the line is a warning and counted. With `as: alive` or `as: ignored` only.",
    )
    .or("false")
    .only_beside("as", &["alive", "ignored"]),
]])
.choice(Choice::Apart("error", &["status", "header", "json"]));

/// The reasons that a rule may judge.
pub(crate) fn judged() -> Vec<&'static str> {
    let all = Failure::ALL.into_iter();
    all.filter(|failure| failure.blame() == Blame::Upstream)
        .map(Failure::label)
        .collect()
}

impl Worded for Outcome {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("success", Self::Success),
        ("failure", Self::Failure),
        ("alive", Self::Alive),
        ("throttled", Self::Throttled),
        ("ignored", Self::Ignored),
    ];
}

impl Worded for Scope {
    const WORDS: &'static [(&'static str, Self)] = &[("route", Self::Route), ("key", Self::Key)];
}

//! `breaker:` of a route, and the candidates of `shadow:`.

use std::time::Duration;

use super::follow;
use super::forms;
use super::typed::{Worded, words};
use super::{Choice, Conflict, Key, Kind, Section, TIME, TIME_OR_OFF, key};
use crate::resilience::Enforcement;

/// The most calls or failures that a rule counts.
const MOST: u64 = 1_000_000;
const SHARE_OR_OFF: Kind = Kind::Or("off", &Kind::Share);

/// The breaker of a route.
pub(crate) const BREAKER: Section = Section::new("breaker", &[&ENFORCED, &RULES, &KEYED]);

/// A candidate: a breaker that only watches.
pub(crate) const CANDIDATE: Section = Section::new("candidate", &[&RULES]);

const ENFORCED: [Key; 1] = [key(
    "enforcement",
    Kind::Word(words::<Enforcement>),
    "`enforce` rejects while open; `shadow` decides and reports, and never rejects; `off` does nothing.",
)
.or("enforce")];

const RULES: [Key; 13] = [
    key(
        "failure_threshold",
        Kind::Number(0, MOST),
        "Opens after so many failures in a row; 0 turns this rule off.",
    )
    .or("10"),
    key(
        "failure_ratio",
        SHARE_OR_OFF,
        "Opens when this share of the calls in the window failed.",
    )
    .or("off"),
    key(
        "slow_ratio",
        SHARE_OR_OFF,
        "Opens when this share of the calls in the window was slow; needs `slow_after`.",
    )
    .or("off"),
    key(
        "slow_after",
        TIME_OR_OFF,
        "From when on a call is slow: its time to the response headers.",
    )
    .or("off"),
    key(
        "window",
        Kind::Section(&WINDOW),
        "What the ratios look at: the calls of the last so long, or the last so many.",
    )
    .otherwise("`{time: 30s}`")
    .by(follow::window)
    .whole(),
    key(
        "min_calls",
        Kind::Number(1, MOST),
        "The ratios wait for so many calls in the window.",
    )
    .otherwise("20, or `window.calls` where that is less")
    .by(follow::min_calls),
    key(
        "success_threshold",
        Kind::Number(1, MOST),
        "So many successful probes close a half-open breaker.",
    )
    .or("2"),
    key(
        "half_open_max",
        Kind::Number(1, MOST),
        "So many probes are out at once while half-open.",
    )
    .or("1"),
    key(
        "probe_timeout",
        TIME,
        "How long a probe may take to its response headers.",
    )
    .otherwise("the route's `timeout`"),
    key(
        "half_open_timeout",
        TIME,
        "Without a verdict so long after the first probe the breaker opens again.",
    )
    .or("30s"),
    key(
        "reset_timeout",
        TIME,
        "How long it is open before it lets probes pass.",
    )
    .or("60s"),
    key(
        "reset_backoff",
        Kind::Section(&RESET_BACKOFF),
        "How `reset_timeout` grows with each reopening in a row.",
    ),
    key(
        "ramp",
        Kind::Or("off", &Kind::Section(&RAMP)),
        "After closing a growing share of the calls passes, and a failure halves it.",
    )
    .or("off"),
];

const KEYED: [Key; 2] = [
    key(
        "key",
        Kind::Or("off", &Kind::Section(&KEY)),
        "A breaker for each key, below the route's own: both must let a call pass.",
    )
    .or("off")
    .whole(),
    key(
        "max_keys",
        Kind::Number(1, 10_000),
        "So many keys have breakers; those that reject calls are kept. One whose calls go well costs 1 KiB and its window, one that flaps 8 KiB.",
    )
    .or("1000"),
];

const WINDOW: Section = Section::new(
    "window",
    &[&[
        key(
            "time",
            Kind::Time(Duration::from_secs(1), Duration::from_secs(3600)),
            "The calls of the last so long, in ten parts that expire by themselves.",
        ),
        key("calls", Kind::Number(1, 65_536), "The last so many calls."),
    ]],
)
.choice(Choice::One(&["time", "calls"]));

const RESET_BACKOFF: Section = Section::new(
    "reset_backoff",
    &[&[
        key(
            "factor",
            Kind::Decimal(1.0, 100.0),
            "Multiplies `reset_timeout` for each reopening in a row.",
        )
        .or("1"),
        key("max", TIME, "The longest it becomes, `jitter` included.")
            .otherwise("10m, or `reset_timeout` where that is more")
            .by(follow::longest_reset),
        key(
            "jitter",
            Kind::Share,
            "Spreads it up to this share above its value, so that a fleet does not probe in step.",
        )
        .or("0%"),
    ]],
);

const RAMP: Section = Section::new(
    "ramp",
    &[&[
        key(
            "from",
            Kind::Share,
            "The share that passes first; below 100%.",
        )
        .or("10%"),
        key("over", TIME, "How long it takes to all of them.").or("30s"),
    ]],
);

const KEY: Section = Section::new(
    "breaker_key",
    &[&[
        key(
            "header",
            Kind::Text(&forms::HEADER),
            "By the value of a request header.",
        ),
        key(
            "path_segment",
            Kind::Number(1, 32),
            "By a segment of the path behind the route's prefix, from 1.",
        ),
        key(
            "host",
            Kind::Flag,
            "By the host that the call names; `true`.",
        ),
    ]],
)
.choice(Choice::One(&["header", "path_segment", "host"]))
.conflict(Conflict::OnlyTrue("host"));

impl Worded for Enforcement {
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Enforce.label(), Self::Enforce),
        (Self::Shadow.label(), Self::Shadow),
        (Self::Off.label(), Self::Off),
    ];
}

//! A route, and the layers below it.

use super::breaker::{BREAKER, CANDIDATE};
use super::classify::{MOST_RULES, RULE};
use super::fallback::{FALLBACK, MOST_FALLBACKS};
use super::forms;
use super::policies::{HEADERS, LIMITS, PROBE, RETRY, THROTTLE};
use super::typed::{Worded, words};
use super::upstream::{SHARED_UPSTREAM, UPSTREAM};
use super::{Choice, Key, Kind, MANY, Once, Section, TIME, TIME_OR_OFF, key};
use crate::config::plan::RefusalForm;
use crate::config::preset::INHERITED;

/// The most candidates: each sees every call.
pub(crate) const MOST_CANDIDATES: usize = 8;

const PRESET_KEY: Key = key(
    "preset",
    Kind::Text(&forms::PRESET_NAME),
    "The settings that it begins from: `database`, `redis`, `whatsapp`, `email`, `external-api`, or one of `presets`.",
)
.or("external-api");

/// A route.
pub(crate) const ROUTE: Section = Section::new("route", &[
    &[
        PRESET_KEY,
        key(
            "upstream",
            Kind::Short(&UPSTREAM, "url"),
            "Where it sends: a URL, or a mapping.",
        )
        .required(),
        key(
            "match",
            Kind::Section(&MATCH),
            "Which calls it takes besides those that name it. The most specific match wins, never the order in the file.",
        ),
    ],
    &SETTINGS,
])
.later(&LATER);

/// The settings below every preset.
pub(crate) const DEFAULTS: Section =
    Section::new("defaults", &[&[PRESET_KEY, SHARED], &SETTINGS]).later(&LATER);

/// Settings under a name.
pub(crate) const PRESET: Section = Section::new(
    "preset",
    &[
        &[
            key(
                "extends",
                Kind::Text(&forms::PRESET_NAME),
                "The preset that this one begins from.",
            )
            .otherwise("`defaults` alone"),
            SHARED,
        ],
        &SETTINGS,
    ],
)
.later(&LATER);

const SHARED: Key = key(
    "upstream",
    Kind::Section(&SHARED_UPSTREAM),
    "How connections to the upstream are.",
);

const LATER: [&str; 1] = ["rewrite_redirects"];

const SETTINGS: [Key; 15] = [
    key(
        "timeout",
        TIME,
        "From the accepted request to the response headers, all attempts and waits together.",
    )
    .or("20s"),
    key("attempt_timeout", TIME_OR_OFF, "The same of each single attempt.").or("off"),
    key(
        "idle_timeout",
        TIME,
        "How long no byte may move in either direction while a body does.",
    )
    .or("30s"),
    key(
        "max_duration",
        TIME_OR_OFF,
        "From the accepted request to the end of the answer's body.",
    )
    .or("off"),
    key("breaker", Kind::Section(&BREAKER), "When calls are rejected without being made."),
    key(
        "classify",
        Kind::List(&Kind::Or(INHERITED, &Kind::Section(&RULE)), 0, MOST_RULES),
        "What answers prove where their status does not tell: the first rule that holds decides. The word `inherited` stands for the rules of the preset.",
    )
    .rules()
    .once(Once::Word(INHERITED)),
    key(
        "throttle",
        Kind::Or("off", &Kind::Section(&THROTTLE)),
        "How a pause that the upstream asks for is obeyed; `off` ignores it.",
    ),
    key("retry", Kind::Section(&RETRY), "When a failed attempt is made again."),
    key("limits", Kind::Section(&LIMITS), "How many calls may go."),
    key(
        "fallback",
        Kind::Or("off", &Kind::OneOrMore(&Kind::Section(&FALLBACK), MOST_FALLBACKS)),
        "What callers get instead of a refusal; of a list the first that can answer.",
    )
    .once(Once::With("stale"))
    .or("off")
    .whole(),
    key(
        "probe",
        Kind::Or("off", &Kind::Section(&PROBE)),
        "A GET of sidefuse's own, made whatever callers do. While the breaker is half-open it counts as a probe.",
    )
    .or("off"),
    key(
        "shadow",
        Kind::Or(
            "off",
            &Kind::Named(
                &forms::CANDIDATE_NAME,
                &Kind::Or("off", &Kind::Section(&CANDIDATE)),
                MOST_CANDIDATES,
            ),
        ),
        "Candidates: this breaker with other settings, which watch the calls and say what they would have rejected.",
    )
    .or("off"),
    key(
        "refusals",
        Kind::Word(words::<RefusalForm>),
        "The form of sidefuse's own answers: problem documents (RFC 9457), or what clients of Meta's Graph API read.",
    )
    .or("problem"),
    key("headers", Kind::Section(&HEADERS), "What happens to header fields."),
    key(
        "preserve_host",
        Kind::Flag,
        "Sends the caller's `Host` on instead of the upstream's.",
    )
    .or("false"),
];

/// The conditions on calls that a route takes.
pub(crate) const MATCH: Section = Section::new(
    "match",
    &[&[
        key("host", Kind::Text(&forms::HOST_PATTERN), "The call's host."),
        key(
            "path_prefix",
            Kind::Text(&forms::PREFIX),
            "How its path begins, in whole segments; it is cut off.",
        ),
        key(
            "methods",
            Kind::List(&Kind::Text(&forms::METHOD), 0, MANY),
            "Its method is one of these.",
        ),
        key(
            "headers",
            Kind::Named(
                &forms::HEADER,
                &Kind::Maybe(&Kind::Text(&forms::HEADER_VALUE)),
                MANY,
            ),
            "Headers that it has, each with that value if one is given.",
        ),
    ]],
)
.choice(Choice::Some);

impl Worded for RefusalForm {
    const WORDS: &'static [(&'static str, Self)] =
        &[("problem", Self::Problem), ("graph", Self::Graph)];
}

//! Policies of a route that are mappings of their own: `throttle`, `retry`, `limits`, `probe`, `headers`.

use std::time::Duration;

use super::follow;
use super::forms;
use super::{Choice, DAY, Kind, MANY, Section, TIME, TIME_OR_NONE, key};
use crate::resilience::RateSpec;

/// The most headers that one list sets.
pub(crate) const MOST_SET: usize = 128;

/// A pause that the upstream asks for.
pub(super) const THROTTLE: Section = Section::new("throttle", &[&[
    key(
        "wait",
        TIME_OR_NONE,
        "How long a call may wait for the pause to end; `0s` answers 429 at once.",
    )
    .or("0s"),
    key("max_waiting", Kind::Number(0, 100_000), "The most calls that wait.").or("100"),
    key("min", TIME, "The shortest pause.").or("100ms"),
    key("max", TIME, "The longest pause.").or("5m"),
    key(
        "jitter",
        Kind::Share,
        "Lengthens pauses at random by up to this share, so that a fleet does not come back in step.",
    )
    .or("0%"),
]]);

/// When a failed attempt is made again.
pub(super) const RETRY: Section = Section::new(
    "retry",
    &[&[
        key(
            "attempts",
            Kind::Number(1, 10),
            "Attempts in all, the first included; 1 is no retry.",
        )
        .or("1"),
        key(
            "retry_on",
            Kind::List(&Kind::Text(&forms::RETRIED), 1, MANY),
            "The endings that are tried again.",
        )
        .otherwise("`[connect, connect_timeout, reset, timeout, 502, 503, 504]`")
        .by(follow::retry_on),
        key(
            "base",
            TIME,
            "The first wait at the most; doubled each time, drawn at random.",
        )
        .or("50ms"),
        key("max", TIME, "The longest wait.")
            .otherwise("1s, or `base` where that is more")
            .by(follow::longest_wait),
        key(
            "max_retry_after",
            TIME,
            "The longest `Retry-After` that is waited for.",
        )
        .or("10s"),
        key(
            "retry_non_idempotent",
            Kind::Flag,
            "Also POST and PATCH that may have been carried out.",
        )
        .or("false"),
    ]],
);

/// The limits on calls.
pub(super) const LIMITS: Section = Section::new(
    "limits",
    &[&[
        key(
            "concurrency",
            Kind::Or("off", &Kind::Section(&CONCURRENCY)),
            "How many calls are out at once; the others wait, or get a 503.",
        )
        .or("off"),
        key(
            "rate",
            Kind::Or("off", &Kind::Section(&RATE)),
            "How many calls go per second; those above get a 429.",
        )
        .or("off"),
    ]],
);

const CONCURRENCY: Section = Section::new(
    "concurrency",
    &[&[
        key(
            "max",
            Kind::Number(1, 100_000),
            "The most calls at once; must be set.",
        ),
        key(
            "queue",
            Kind::Number(0, 100_000),
            "The most calls that wait.",
        )
        .or("0"),
        key("queue_timeout", TIME, "How long they wait.")
            .otherwise("1s, or the route's `timeout` where that is less")
            .by(follow::queue_timeout),
    ]],
);

const RATE: Section = Section::new("rate", &[&[
    key(
        "per_second",
        Kind::Decimal(RateSpec::LEAST, RateSpec::MOST),
        "Calls per second; `0.5` is 30 a minute; must be set.",
    ),
    key(
        "burst",
        Kind::Number(1, RateSpec::MOST_BURST as u64),
        "So many may go at once after a rest.",
    )
    .otherwise("`per_second`, at least 1")
    .by(follow::burst),
    key(
        "key",
        Kind::Or("client_ip", &Kind::Section(&RATE_KEY)),
        "Whose calls are counted together: those of one address, or with one value in a header.",
    )
    .otherwise("all of the route")
    .whole(),
]]);

/// The calls that are counted together.
pub(crate) const RATE_KEY: Section = Section::new(
    "rate_key",
    &[&[key(
        "header",
        Kind::Text(&forms::HEADER),
        "The request header whose value tells callers apart.",
    )]],
)
.choice(Choice::One(&["header"]));

/// The active probe.
pub(super) const PROBE: Section = Section::new(
    "probe",
    &[&[
        key(
            "path",
            Kind::Text(&forms::PATH),
            "Its path, behind that of the upstream's URL.",
        )
        .or("/"),
        key(
            "every",
            Kind::Time(Duration::from_secs(1), DAY),
            "From the begin of one to that of the next.",
        )
        .or("10s"),
        key("timeout", TIME, "From its begin to the end of its answer.")
            .otherwise("5s, or `every` where that is less")
            .by(follow::probe_timeout),
        key(
            "expect",
            Kind::List(&Kind::Text(&forms::PROBED), 1, MANY),
            "The statuses that are good.",
        )
        .otherwise("`[2xx, 3xx]`")
        .by(follow::expect),
    ]],
);

/// What happens to header fields.
pub(super) const HEADERS: Section = Section::new(
    "headers",
    &[&[
        key(
            "request",
            Kind::Section(&EDITS),
            "Of the call, on its way to the upstream.",
        ),
        key(
            "response",
            Kind::Section(&EDITS),
            "Of the answer, on its way back.",
        ),
    ]],
);

const EDITS: Section = Section::new(
    "header_edits",
    &[&[
        key(
            "set",
            Kind::Named(
                &forms::HEADER,
                &Kind::Either(
                    &Kind::Text(&forms::HEADER_VALUE),
                    &Kind::Section(&HEADER_FILE),
                ),
                MOST_SET,
            ),
            "Headers to set: a text, or `{file: /path, prefix: \"Bearer \"}` for what is secret.",
        ),
        key(
            "remove",
            Kind::List(&Kind::Text(&forms::HEADER), 0, MANY),
            "Headers to take away.",
        ),
    ]],
);

/// A header's value that stands in a file.
pub(crate) const HEADER_FILE: Section = Section::new(
    "header_file",
    &[&[
        key(
            "file",
            Kind::Text(&forms::FILE),
            "The file that holds the value, in one line; must be set.",
        ),
        key(
            "prefix",
            Kind::Text(&forms::HEADER_VALUE),
            "Goes before it.",
        ),
    ]],
);

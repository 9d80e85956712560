//! `fallback:` of a route.

use http::StatusCode;

use super::follow;
use super::forms;
use super::policies::MOST_SET;
use super::{Choice, Conflict, Kind, Section, TIME, key};

/// The most kinds that are tried one after the other.
pub(crate) const MOST_FALLBACKS: usize = 8;
/// The most headers of `vary`.
pub(crate) const MOST_VARY: usize = 16;
/// The most headers of `neutral`.
pub(crate) const MOST_NEUTRAL: usize = 16;

/// Statuses whose answers have no body (RFC 9110 §6.4.1, §15.3.6).
pub(crate) const BODILESS: [StatusCode; 3] = [
    StatusCode::NO_CONTENT,
    StatusCode::RESET_CONTENT,
    StatusCode::NOT_MODIFIED,
];

/// One thing that callers get instead.
pub(crate) const FALLBACK: Section = Section::new(
    "fallback",
    &[&[
        key("respond", Kind::Section(&RESPOND), "A fixed answer."),
        key(
            "route",
            Kind::Text(&forms::ROUTE_NAME),
            "The answer of another route, with that route's own policies.",
        ),
        key(
            "stale",
            Kind::Section(&STALE),
            "The last good answer to the same GET.",
        ),
        key(
            "on_failure",
            Kind::Flag,
            "Also after a call that failed, not only where none was made.",
        )
        .or("false"),
    ]],
)
.choice(Choice::One(&["respond", "route", "stale"]));

const RESPOND: Section = Section::new("respond", &[&[
    key("status", Kind::Number(200, 599), "Its status.").otherwise("that of the refusal"),
    key(
        "headers",
        Kind::Named(&forms::HEADER, &Kind::Text(&forms::HEADER_VALUE), MOST_SET),
        "Its headers. `%{correlationId}`, `%{route}` and `%{retryAfter}` are filled in, here and in the body.",
    ),
    key("body", Kind::Text(&forms::ANY), "Its body as plain text."),
    key("json", Kind::Json, "Its body as JSON."),
    key(
        "body_file",
        Kind::Text(&forms::FILE),
        "A file that is its body, read at each load; its ending says what it is.",
    ),
]])
.choice(Choice::OneAtMost(&["body", "json", "body_file"]))
.conflict(Conflict::NoChoiceWith("status", &BODILESS));

const STALE: Section = Section::new(
    "stale",
    &[&[
        key("max_age", TIME, "How old an answer may be.").or("1h"),
        key(
            "max_bytes",
            Kind::Size(64 << 10, 1 << 30),
            "How much memory all kept answers of the route may take.",
        )
        .or("16MiB"),
        key(
            "max_body",
            Kind::Size(1 << 10, 64 << 20),
            "The largest body that is kept.",
        )
        .otherwise("1MiB, or `max_bytes` where that is less")
        .by(follow::largest_body),
        key(
            "vary",
            Kind::List(&Kind::Text(&forms::HEADER), 0, MOST_VARY),
            "Request headers that tell callers apart whatever else is said, besides those that the answer's own `Vary` names.",
        ),
        key(
            "neutral",
            Kind::List(&Kind::Text(&forms::HEADER), 0, MOST_NEUTRAL),
            "Request headers that do not tell callers apart. Others do, but for those of content negotiation, caching, tracing and the hop.",
        ),
        key(
            "share_credentials",
            Kind::Flag,
            "All callers get the same answer, whoever they are; only `vary` and the keys of `breaker` and `limits.rate` tell them apart.",
        )
        .or("false"),
        key(
            "ignore_cache_control",
            Kind::Flag,
            "The upstream's `Cache-Control` counts for nothing but `no-store`.",
        )
        .or("false"),
        key(
            "coalesce",
            Kind::Flag,
            "The same GETs at the same time are one call.",
        )
        .or("false"),
    ]],
)
.conflict(Conflict::TrueOrList("share_credentials", "neutral"));

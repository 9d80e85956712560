//! The keys at the top of the file, and those that concern all routes.

use std::time::Duration;

use super::follow::{self, name};
use super::forms;
use super::route::{DEFAULTS, PRESET, ROUTE};
use super::typed::{Worded, words};
use super::{Key, Kind, MANY, Once, Section, TIME, TIME_OR_NONE, key};
use crate::config::plan::{Forced, LogFormat, LogLevel};

/// The most name servers: more than a query can wait for.
pub(crate) const MOST_SERVERS: usize = 8;

/// The most addresses of the proxy, and of the admin port.
pub(crate) const MOST_LISTENERS: usize = 64;

/// The most presets of a file.
pub(crate) const MOST_PRESETS: usize = 256;

const HEADER: Kind = Kind::Text(&forms::HEADER);
const FILE_PATH: Kind = Kind::Text(&forms::FILE);

/// The whole file.
pub(crate) const FILE: Section = Section::new("file", &[&[
    key("version", Kind::Text(&forms::VERSION), "The version of this format.").required(),
    key("service", Kind::Section(&SERVICE), "What every log line is stamped with."),
    key("listen", Kind::Section(&LISTEN), "Where sidefuse listens."),
    key(
        "workers",
        Kind::Or("auto", &Kind::Number(1, 1024)),
        "Threads that carry traffic; `auto` follows the CPU quota.",
    )
    .or("auto"),
    key("admin", Kind::Section(&ADMIN), "Who may use the admin port."),
    key("shutdown", Kind::Section(&SHUTDOWN), "How a process ends."),
    key(
        "correlation",
        Kind::Section(&CORRELATION),
        "The id that follows a call through every log line.",
    ),
    key("logs", Kind::Section(&LOGS), "The log lines."),
    key("http", Kind::Section(&HTTP), "Limits of the proxy's listeners, and how strictly they read."),
    key("dns", Kind::Section(&DNS), "How names of upstreams are looked up."),
    key(
        "state_file",
        FILE_PATH,
        "Where the state of the breakers outlives a restart. Its directory must exist; the file need not.",
    ),
    key("state_max_age", TIME, "A state file older than this is passed over at the start.")
        .or("1h")
        .only_beside("state_file", &[]),
    key(
        "defaults",
        Kind::Section(&DEFAULTS),
        "Settings of every route, below those of its preset: all that a route may have, but what makes it that route (`match`, and the upstream's `url`, `endpoints` and `also_hosts`).",
    ),
    key(
        "presets",
        Kind::Named(&forms::NEW_PRESET_NAME, &Kind::Section(&PRESET), MOST_PRESETS),
        "Settings under a name, which routes take over with `preset`.",
    ),
    key(
        "routes",
        Kind::Named(&forms::ROUTE_NAME, &Kind::Section(&ROUTE), MANY),
        "The destinations by name. A name is part of URLs and labels: 1 to 63 of `a-z`, `0-9` and `-`.",
    )
    .required(),
    key(
        "overrides",
        Kind::Named(&forms::ROUTE_NAME, &Kind::Section(&OVERRIDE), MANY),
        "Holds of breakers by the name of their route, for every instance at once.",
    ),
]]);

const SERVICE: Section = Section::new(
    "service",
    &[&[
        key(
            "name",
            Kind::Text(&forms::NAME),
            "The key `service` of a log line.",
        )
        .or("sidefuse"),
        key(
            "env",
            Kind::Text(&forms::NAME),
            "The key `env` of a log line.",
        )
        .otherwise("`NODE_ENV` of the environment, else `production`")
        .variable("NODE_ENV", |text| name(text).is_ok(), "production"),
    ]],
);

const LISTEN: Section = Section::new(
    "listen",
    &[&[
        key(
            "proxy",
            Kind::OneOrMore(&Kind::Short(&PROXY_LISTENER, "address"), MOST_LISTENERS),
            "The application's calls.",
        )
        .or("127.0.0.1:7900"),
        key(
            "admin",
            Kind::OneOrMore(
                &Kind::Or("off", &Kind::Text(&forms::ADMIN_ADDRESS)),
                MOST_LISTENERS,
            ),
            "Operators. An address that others can reach needs `admin.operator_token_file`.",
        )
        .or("127.0.0.1:7901"),
        key(
            "health",
            Kind::Or("off", &Kind::Text(&forms::ADDRESS)),
            "Read-only: health probes and `/metrics`. In Kubernetes `0.0.0.0:7902`, so that the kubelet and Prometheus reach it.",
        ),
    ]],
);

/// One address of the proxy.
pub(crate) const PROXY_LISTENER: Section = Section::new(
    "proxy_listener",
    &[&[key(
        "address",
        Kind::Text(&forms::ADDRESS),
        "Where to listen.",
    )]],
)
.later(&["tls"]);

const ADMIN: Section = Section::new(
    "admin",
    &[&[
        key(
            "operator_token_file",
            FILE_PATH,
            "Holds the bearer token of those who may change state.",
        ),
        key(
            "reader_token_file",
            FILE_PATH,
            "Holds the bearer token of those who may only read.",
        ),
        key(
            "allowed_hosts",
            Kind::List(&Kind::Text(&forms::HOST), 0, MANY),
            "Values of `Host` that the admin port accepts besides the names of loopback.",
        ),
    ]],
);

const SHUTDOWN: Section = Section::new(
    "shutdown",
    &[&[key(
        "drain",
        TIME_OR_NONE,
        "How long calls in flight may take to finish after SIGTERM.",
    )
    .or("25s")]],
);

const CORRELATION: Section = Section::new("correlation", &[&[
    key("header", HEADER, "The header that carries the id onward and back.").or("X-Correlation-ID"),
    key(
        "accept",
        Kind::List(&HEADER, 1, MANY),
        "The headers that may bring an id, best first. The first well-formed one counts, else a new UUID.",
    )
    .otherwise("`header`, `X-Correlation-ID`, `X-Request-ID`")
    .by(follow::accept),
    key(
        "max_length",
        Kind::Number(1, 128),
        "The longest id that is accepted, in bytes.",
    )
    .or("128"),
]]);

const LOGS: Section = Section::new(
    "logs",
    &[&[
        key(
            "format",
            Kind::Word(words::<LogFormat>),
            "`auto` is for eyes on a terminal and with `NODE_ENV=development`, else JSON.",
        )
        .or("auto"),
        key(
            "level",
            Kind::Word(words::<LogLevel>),
            "From which severity on lines are written; what libraries say only from `error` on, with `debug` or `trace` from `warn` on.",
        )
        .otherwise("`LOG_LEVEL` of the environment, else `info`")
        .variable("LOG_LEVEL", is_level, "info"),
        key(
            "user_id_header",
            Kind::Or("off", &HEADER),
            "The request header that becomes `userId` of the access line.",
        )
        .or("X-User-ID"),
        key(
            "sample",
            Kind::Share,
            "The share of uneventful access lines that is written.",
        )
        .or("100%"),
        key(
            "slow",
            TIME_OR_NONE,
            "Access lines of calls that took this long are always written.",
        )
        .or("2s"),
    ]],
)
.later(&["redact_query"]);

const HTTP: Section = Section::new(
    "http",
    &[&[
        key(
            "max_header_bytes",
            Kind::Size(8 << 10, 1 << 20),
            "The largest header section of a request.",
        )
        .or("32KiB"),
        key(
            "max_headers",
            Kind::Number(1, 1000),
            "The most header fields of a request.",
        )
        .or("100"),
        key(
            "max_connections",
            Kind::Number(1, 1_000_000),
            "The most connections open at once, over all listeners of the proxy.",
        )
        .or("4096"),
        key(
            "first_request_timeout",
            TIME,
            "How long after the accept the first request's header section must be complete.",
        )
        .or("10s"),
        key(
            "keep_alive",
            TIME,
            "How long an idle connection of a caller is kept.",
        )
        .or("75s"),
        key(
            "strict",
            Kind::Flag,
            "Answers 400 to a request that another server could read otherwise.",
        )
        .or("true"),
    ]],
);

const DNS: Section = Section::new(
    "dns",
    &[&[
        key(
            "servers",
            Kind::List(&Kind::Text(&forms::SERVER), 1, MOST_SERVERS),
            "The name servers to ask.",
        )
        .once(Once::Each)
        .otherwise("those of `/etc/resolv.conf`"),
        key(
            "timeout",
            Kind::Time(Duration::from_millis(10), Duration::from_secs(30)),
            "How long one question waits for one server's answer.",
        )
        .or("2s"),
    ]],
);

/// A hold that stands in the file.
pub(crate) const OVERRIDE: Section = Section::new("override", &[&OVERRIDE_KEYS]);

const OVERRIDE_KEYS: [Key; 3] = [
    key(
        "force",
        Kind::Word(words::<Forced>),
        "Which way the breaker is held, given as an order when it appears or changes here.",
    )
    .required(),
    key(
        "until",
        Kind::Text(&forms::MOMENT),
        "When the hold ends by itself.",
    )
    .otherwise("when the override is removed"),
    key(
        "reason",
        Kind::Text(&forms::REASON),
        "Why, for whoever reads it at night.",
    ),
];

/// Whether it is the word for a level.
fn is_level(text: &str) -> bool {
    LogLevel::WORDS.iter().any(|(word, _)| *word == text)
}

impl Worded for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("json", Self::Json),
        ("pretty", Self::Pretty),
    ];
}

impl Worded for LogLevel {
    /// Our words, and `fatal` because the original's `LOG_LEVEL` may have it.
    const WORDS: &'static [(&'static str, Self)] = &[
        ("trace", Self::Trace),
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("warn", Self::Warn),
        ("error", Self::Error),
        ("fatal", Self::Error),
    ];
}

impl Worded for Forced {
    const WORDS: &'static [(&'static str, Self)] =
        &[("open", Self::Open), ("closed", Self::Closed)];
}

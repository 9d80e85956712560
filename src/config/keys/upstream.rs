//! `upstream:` of a route.

use super::forms;
use super::typed::{Worded, words};
use super::{Key, Kind, MANY, Once, Section, TIME, key};
use crate::config::plan::{HttpVersion, Resolve};

/// The most endpoints. (The balancer holds a set of them in one word.)
pub(crate) const MOST_ENDPOINTS: usize = 64;
/// The most connections of a pool.
const MOST_CONNECTIONS: u64 = 65_536;

/// The upstream of a route.
pub(crate) const UPSTREAM: Section = Section::new("upstream", &[&WHERE, &HOW]);

/// The settings of it that several routes can share.
pub(crate) const SHARED_UPSTREAM: Section = Section::new("shared_upstream", &[&HOW]);

const WHERE: [Key; 3] = [
    key(
        "url",
        Kind::Text(&forms::URL),
        "Where the route sends; a path in it goes before that of each call.",
    )
    .required(),
    key(
        "endpoints",
        Kind::List(&Kind::Text(&forms::ENDPOINT), 1, MOST_ENDPOINTS),
        "Connections go to these instead of to the URL's host; certificate, SNI and `Host` stay those of the URL. Without a port they have that of the URL.",
    )
    .once(Once::Each),
    key(
        "also_hosts",
        Kind::List(&Kind::Text(&forms::HOST), 0, MANY),
        "Other hosts that mean this upstream in the target of a call.",
    ),
];

const HOW: [Key; 5] = [
    key(
        "resolve",
        Kind::Word(words::<Resolve>),
        "What the addresses of the URL's name are: ways to one endpoint, or with `all` an endpoint each.",
    )
    .or("one"),
    key("tls", Kind::Section(&TLS), "TLS towards the upstream; what it says of the certificate is always verified."),
    key(
        "http",
        Kind::Word(words::<HttpVersion>),
        "The version spoken to it. `auto`: 2 where TLS negotiates it, else 1.1; `2` without TLS is with prior knowledge.",
    )
    .or("auto"),
    key("pool", Kind::Section(&POOL), "Its connections, over all workers and endpoints."),
    key(
        "connect_timeout",
        TIME,
        "How long a connection may take, TCP and TLS together.",
    )
    .or("3s"),
];

const TLS: Section = Section::new(
    "tls",
    &[&[key(
        "ca_file",
        Kind::Text(&forms::FILE),
        "Certificates (PEM) to trust instead of the system's.",
    )]],
)
.later(&["cert_file", "key_file", "client_ca_file"]);

const POOL: Section = Section::new("pool", &[&[
    key(
        "max",
        Kind::Number(1, MOST_CONNECTIONS),
        "The most connections, exact over all workers.",
    )
    .or("256"),
    key(
        "min",
        Kind::Number(0, MOST_CONNECTIONS),
        "So many connections are opened ahead and kept.",
    )
    .or("0"),
    key(
        "acquire_timeout",
        TIME,
        "How long a call waits for a connection when all are in use; never beyond its `timeout`.",
    )
    .or("30s"),
    key(
        "idle_timeout",
        TIME,
        "How long an unused connection is kept.",
    )
    .or("55s"),
    key(
        "evict_every",
        TIME,
        "How often unused connections are looked through.",
    )
    .or("1s"),
    key(
        "max_lifetime",
        TIME,
        "How long a connection is used before another takes its place.",
    )
    .or("10m"),
]]);

impl Worded for Resolve {
    const WORDS: &'static [(&'static str, Self)] = &[("one", Self::One), ("all", Self::All)];
}

impl Worded for HttpVersion {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("1", Self::Http1),
        ("1.1", Self::Http1),
        ("2", Self::Http2),
        ("2.0", Self::Http2),
    ];
}

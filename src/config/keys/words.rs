//! Other names of our keys: from other proxies, from libraries, and from people in a hurry.

use super::{FILE, ROUTE, Section};

/// Words without `_`, `-` and capitals, and their meaning: a path from a route, or from the top of the file.
pub(super) const WORDS: [(&[&str], &str); 26] = [
    (&["enabled", "disabled", "mode"], "breaker.enforcement"),
    (
        &[
            "retries",
            "maxretries",
            "numretries",
            "retrycount",
            "retryattempts",
            "maxattempts",
        ],
        "retry.attempts",
    ),
    (&["backoff", "retrydelay", "retryinterval"], "retry.base"),
    (&["circuitbreaker", "circuit", "cb"], "breaker"),
    (
        &[
            "threshold",
            "maxfailures",
            "errorthreshold",
            "failurecount",
            "consecutivefailures",
            "consecutive5xx",
        ],
        "breaker.failure_threshold",
    ),
    (
        &[
            "errorthresholdpercentage",
            "failureratethreshold",
            "errorrate",
            "failurerate",
        ],
        "breaker.failure_ratio",
    ),
    (
        &[
            "sleepwindow",
            "cooldown",
            "breakduration",
            "openduration",
            "waitdurationinopenstate",
            "recoverytimeout",
        ],
        "breaker.reset_timeout",
    ),
    (
        &["volumethreshold", "minimumnumberofcalls", "minrequests"],
        "breaker.min_calls",
    ),
    (
        &["slidingwindowsize", "slidingwindow", "rollingwindow"],
        "breaker.window.calls",
    ),
    (
        &["slowcalldurationthreshold", "slowthreshold"],
        "breaker.slow_after",
    ),
    (
        &[
            "requesttimeout",
            "responsetimeout",
            "readtimeout",
            "deadline",
            "timeoutms",
        ],
        "timeout",
    ),
    (&["pertrytimeout", "trytimeout"], "attempt_timeout"),
    (
        &["dialtimeout", "connectiontimeout"],
        "upstream.connect_timeout",
    ),
    (
        &[
            "target",
            "destination",
            "backend",
            "baseurl",
            "origin",
            "server",
            "proxypass",
            "uri",
            "address",
        ],
        "upstream.url",
    ),
    (
        &["servers", "backends", "hosts", "targets", "instances"],
        "upstream.endpoints",
    ),
    (
        &["maxconnections", "poolsize", "connections"],
        "upstream.pool.max",
    ),
    (
        &["ssl", "certificate", "ca", "cafile", "cacert"],
        "upstream.tls.ca_file",
    ),
    (
        &["ratelimit", "ratelimiter", "rps", "requestspersecond"],
        "limits.rate.per_second",
    ),
    (
        &[
            "bulkhead",
            "maxconcurrent",
            "maxconcurrency",
            "concurrencylimit",
            "maxinflight",
        ],
        "limits.concurrency.max",
    ),
    (&["healthcheck", "healthchecks", "health"], "probe"),
    (&["cache", "cached", "staleiferror"], "fallback.stale"),
    (&["path", "prefix", "pathprefix"], "match.path_prefix"),
    (&["services", "upstreams", "clusters", "apis"], "routes"),
    (&["loglevel"], "logs.level"),
    (
        &["port", "bind", "listener", "listeners", "ports"],
        "listen.proxy",
    ),
    (&["global", "globals", "common", "default"], "defaults"),
];

/// The meaning of `word` among the keys of `section`, as a path from there.
pub(crate) fn called_here(word: &str, section: &Section) -> Option<&'static str> {
    paths(word).find_map(|path| below(path, section))
}

/// The same as a path from the top of the file.
pub(crate) fn called_anywhere(word: &str) -> Option<String> {
    let path = paths(word).next()?;
    let first = path.split('.').next().unwrap_or_default();
    Some(match FILE.key(first) {
        Some(_) => path.to_owned(),
        None => format!("routes.NAME.{path}"),
    })
}

/// Whether it is a word by which others trust any certificate.
pub(crate) fn trusts_all(word: &str) -> bool {
    const WORDS: [&str; 9] = [
        "insecureskipverify",
        "rejectunauthorized",
        "skipverify",
        "tlsskipverify",
        "insecure",
        "verify",
        "verifyssl",
        "sslverify",
        "strictssl",
    ];
    WORDS.contains(&plain(word).as_str())
}

fn plain(word: &str) -> String {
    let letters = word.chars().filter(|c| !matches!(c, '_' | '-'));
    letters.collect::<String>().to_ascii_lowercase()
}

fn paths(word: &str) -> impl Iterator<Item = &'static str> {
    let plain = plain(word);
    let meant = WORDS
        .iter()
        .filter(move |(words, _)| words.contains(&plain.as_str()));
    meant.map(|(_, path)| *path)
}

/// The part of the path that begins with a key of `section`, which may be one of several mappings that share it.
fn below(path: &'static str, section: &Section) -> Option<&'static str> {
    let mut rest = path;
    let mut around = [&ROUTE, &FILE].into_iter().find(|root| {
        root.key(path.split('.').next().unwrap_or_default())
            .is_some()
    })?;
    loop {
        let (first, after) = rest.split_once('.').unwrap_or((rest, ""));
        let key = around.key(first)?;
        if section
            .key(first)
            .is_some_and(|own| own.meaning == key.meaning)
        {
            return Some(rest);
        }
        around = key.kind.section()?;
        rest = after;
    }
}

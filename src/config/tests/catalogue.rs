//! One bad file per rule, with what it is told: the page to read when a message is changed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// What is wrong, and a file that is.
pub(super) fn catalogue() -> Vec<(&'static str, String)> {
    let mut files = each_by_itself();
    files.extend(super::together::wrong_together());
    files
}

fn each_by_itself() -> Vec<(&'static str, String)> {
    let owned = |text: &str| text.to_owned();
    vec![
        ("no valid YAML", owned("version: 1\nroutes: [a, b\n")),
        ("a tab for indentation", owned("version: 1\nroutes:\n\tpartner: {}\n")),
        (
            "a reference in braces without quotes",
            owned("version: 1\nservice: {env: ${NODE_ENV:-production}}\n"),
        ),
        ("an empty file (case 146)", owned("# nothing yet\n")),
        ("nothing but text", owned("hello\n")),
        ("nested too deep", format!("version: {}1{}\n", "[".repeat(40), "]".repeat(40))),
        ("a duplicate key (case 146)", route("timeout: 5s\ntimeout: 6s")),
        ("two documents", format!("{}---\nversion: 1\n", route(""))),
        ("a tag", owned("version: !!int 1\n")),
        ("a key that is no text", owned("version: 1\n? [a, b]\n: 1\n")),
        ("an alias inside of itself", owned("version: 1\nroutes: &a {x: *a}\n")),
        ("an unknown alias", owned("version: *nowhere\n")),
        ("no version", owned("routes: {partner: {upstream: https://api.example.com}}\n")),
        ("a version of the future", owned("version: 2\nroutes: {partner: {upstream: https://api.example.com}}\n")),
        ("no routes", owned("version: 1\n")),
        ("routes without a route", owned("version: 1\nroutes:\n")),
        ("a route without an upstream", owned("version: 1\nroutes:\n  partner: {timeout: 5s}\n")),
        ("an empty route", owned("version: 1\nroutes:\n  partner:\n")),
        (
            "a route that is its upstream",
            owned("version: 1\nroutes:\n  partner: https://api.example.com\n"),
        ),
        ("an upstream without a URL", owned("version: 1\nroutes:\n  partner:\n    upstream: {http: 2}\n")),
        ("an upstream without a value", owned("version: 1\nroutes:\n  partner:\n    upstream:\n")),
        ("text for a mapping", route("breaker: strict")),
        ("a list for a mapping", owned("version: 1\nroutes: [partner]\n")),
        ("a mapping for a value", route("timeout: {seconds: 5}")),
        ("text for a list", file("admin: {allowed_hosts: sidefuse.internal}")),
        ("a misspelt key (case 146)", route("breaker:\n  failure_treshold: 5")),
        ("a key in another spelling", route("breaker: {resetTimeout: 5s}")),
        ("a key from nowhere", route("banana: 5")),
        ("a key in the wrong place", route("connect_timeout: 5s")),
        ("a key with a control character", route("\"ti\\x1b[31mout\": 5s")),
        ("a key out of its column", owned("version: 1\nroutes:\n  partner:\n    upstream: https://api.example.com\n   timeout: 5s\n")),
        ("a brace that is not closed", owned("version: 1\nroutes:\n  a: {upstream: https://a.example.com\n  b: {upstream: https://b.example.com}\n")),
        ("a quote that is not closed", route("timeout: \"5s")),
        ("a route that is not indented", owned("version: 1\nroutes:\npartner:\n  upstream: https://api.example.com\n")),
        ("a list of routes", owned("version: 1\nroutes:\n  - name: partner\n    upstream: https://api.example.com\n")),
        ("no space after a colon", owned("version: 1\nroutes:\n  partner:\n    upstream:https://api.example.com\n")),
        ("no space after the colon of a setting", route("breaker:\n  failure_threshold:5\nretry:{attempts: 3}")),
        ("words of others", file("log_level: info\nretries: 3\nservices: {}").replace("upstream: https", "circuitBreaker: {maxFailures: 3}, max_retries: 3, backoff: 1s, target: x, rate_limit: 5, health_check: /up, breaker: {threshold: 5, cooldown: 1m}, upstream: https")),
        ("a value for a mapping", route("retry: 3\nlimits: {rate: 0.5, concurrency: 20}\nbreaker: {window: 30s, enabled: false}\nmatch: {path_prefix: /a, methods: GET}")),
        ("curly quotes", route("timeout: “5s”\npreset: ‘email’\nlimits: {concurrency: {“max”: 5}}")),
        ("curly quotes around a comma", route("match: {path_prefix: /a, methods: [“GET, PUT”]}")),
        ("no space after the colon of a setting above another", route("timeout:5s\nretry: {attempts: 3}")),
        ("no space after the colon of a setting below another", route("retry: {attempts: 3}\ntimeout:5s")),
        ("no space after the colon of a setting in braces", route("breaker: {failure_threshold:5, reset_timeout: 60s}")),
        ("spaces that only look like some", route("breaker:\n  failure_threshold:\u{a0}5\n\u{a0}  timeout: 5s").replace("https://api", "\u{3000}https://api")),
        ("a space that only looks like one, in front of the next key", route("").replace("upstream: https", "upstream:\u{a0}https") + "    timeout: 5s\n"),
        ("a route's settings at the top, and the file's in a route", file("timeout: 5s").replace("https://api.example.com", "https://api.example.com, overrides: {force: open}")),
        ("the beginning of a key", route("match: {path: /v1}")),
        ("header fields too far out", route("headers: {X-A: a, request: {X-B: b}}")),
        ("the shell's way to name a variable, and a host without a scheme", owned("version: 1\nroutes:\n  a: {upstream: $API_URL}\n  b: {upstream: \"api.example.com:8080\"}\n")),
        ("a merge key", owned("version: 1\ndefaults: &d {timeout: 5s}\nroutes:\n  partner:\n    <<: *d\n    upstream: https://api.example.com\n")),
        ("a route's key of later versions", route("rewrite_redirects: true")),
        ("client certificates", route("").replace(
            "upstream: https://api.example.com",
            "upstream:\n      url: https://api.example.com\n      tls: {cert_file: /x, key_file: /y}",
        )),
        ("endpoints that are no addresses", endpoints("[\"http://a\", \"a:0\", \"a:b\", 1.2.3, \"[::1]x\", {host: a}]")),
        ("an endpoint twice", endpoints("[10.0.0.1, b.example.com, \"10.0.0.1:443\", B.example.com]")),
        ("no endpoints", endpoints("[]")),
        ("one endpoint without its list", endpoints("10.0.0.1:8443")),
        ("more endpoints than a balancer holds", endpoints(&format!("[{}]", (0..65).map(|last| format!("10.0.0.{last}")).collect::<Vec<_>>().join(", ")))),
        ("endpoints for all", file("defaults: {upstream: {endpoints: [10.0.0.1]}}")),
        ("endpoints in the wrong place", route("endpoints: [10.0.0.1]")),
        ("a TLS listener", file("listen:\n  proxy: {address: 127.0.0.1:7900, tls: {cert_file: /x}}")),
        ("a state file without a directory, and one that is a directory", file("state_file: ${DIR}/none/state\nstate_max_age: 2h")),
        ("a state file that is a directory, and no number for its age", file("state_file: ${DIR}\nstate_max_age: 60")),
        ("the age of no state file, beside an error", file("state_max_age: 2h\nworkers: 0")),
        ("other keys of later versions", file("logs: {redact_query: [token]}\nhttp: {strict: loose}")),
        ("an override of a route that does not exist", file("overrides: {partnr: {force: open}, elsewhere: {force: open}}")),
        ("a fallback to a route that is like none", route("fallback: {route: elsewhere}")),
        ("an override of a route with an error", file("overrides: {other: {force: closed}}").replace("partner:", "other: {}, partner:")),
        ("an override that says nothing", file("overrides:\n  partner: {until: tomorrow}")),
        ("bad overrides", file("overrides:\n  partner: {force: on, until: 2026-12-01T06:00:00, reason: \"a\\nb\", for: 15m}")),
        ("an override that is a word", file("overrides: {partner: open}")),
        ("a key without a value", route("timeout:")),
        ("a match in a preset", file("presets:\n  mine: {match: {path_prefix: /x}, upstream: https://hush.example.com}\ndefaults: {upstream: {also_hosts: [a]}}")),
        ("a variable that is not set", route("timeout: ${UNSET}")),
        ("a variable that must be set", route("timeout: \"${UNSET:?set it to the partner's limit}\"")),
        ("a reference without its end", route("timeout: ${UNSET")),
        ("a reference to nothing", route("timeout: \"${}\"")),
        ("a variable with a line break", route("headers: {request: {set: {X-A: \"${LINES}\"}}}")),
        ("a bad value from a variable", route("timeout: ${SECRET}")),
        ("an unknown word", file("logs: {format: jsn, level: verbose}")),
        ("a duration without a unit", route("timeout: 15")),
        ("durations of milliseconds without a unit", route("timeout: 15000\nidle_timeout: 1500")),
        ("times that would be none", route("timeout: 0s\nattempt_timeout: 0s\nretry: {attempts: 0}")),
        ("what Envoy retries on", route("retry: {attempts: 3, retry_on: [gateway-error, connect-failure, http_503]}")),
        ("any certificate will do", route("").replace("upstream: https://api.example.com", "rejectUnauthorized: false\n    upstream: {url: https://api.example.com, tls: {insecure_skip_verify: true}}")),
        ("a window by another name", route("breaker: {slidingWindowSize: 10}")),
        ("a path for a probe, and a rate as others write it", route("probe: /health\nlimits: {rate: 30/m}")),
        ("a template that was not filled in", route("timeout: {{ .Values.timeout }}")),
        ("a template in quotes that was not filled in", route("timeout: \"{{ .Values.timeout }}\"").replace("https://api.example.com", "\"{{ .Values.url }}\"")),
        ("a template's condition", owned("version: 1\nroutes:\n  a:\n    upstream: https://a.example.com\n{{- if .Values.b }}\n  b:\n    upstream: https://b.example.com\n{{- end }}\n")),
        ("upstreams that speak no HTTP, and some nearby", owned("version: 1\nroutes:\n  a: {upstream: \"redis://cache:6379\"}\n  b: {upstream: \"postgres://me:hush@db/crm?sslmode=off\"}\n  c: {upstream: \"localhost:3000\"}\n  d: {upstream: \"billing.crm.svc:8080/v1\"}\n  e: {upstream: \"wss://push.example.com\"}\n")),
        ("a variable's duration without a unit", route("timeout: ${NUMBER}")),
        ("a size and a share without units", file("http: {max_header_bytes: 32768}\nlogs: {sample: 0.5}")),
        ("no duration, no share, no flag", route("timeout: soon\npreserve_host: yes\nbreaker: {failure_ratio: half}")),
        ("name servers that are none", file("dns: {servers: [dns.example.com, \"10.0.0.2:0\"], timeout: 1m}")),
        (
            "nothing to resolve",
            route("").replace("upstream: https://api.example.com", "upstream: {url: \"https://10.0.0.1\", resolve: all}"),
        ),
        (
            "endpoints twice",
            route("").replace("upstream: https://api.example.com", "upstream: {url: https://api.example.com, endpoints: [10.0.0.1], resolve: all}"),
        ),
        ("a probe that never was", route("probe: {path: health, every: 100ms, timeout: 1m, expect: [2yy]}")),
        ("a probe longer than its pause", route("probe: {every: 5s, timeout: 10s, expect: []}")),
        ("no name servers", file("dns: {servers: []}")),
        ("no number", route("breaker: {failure_threshold: -1, min_calls: 1.5, reset_backoff: {factor: two}}")),
        ("out of range", file("workers: 0\nhttp: {max_header_bytes: 1KiB, max_headers: 100000}\ncorrelation: {max_length: 200}\ndefaults: {timeout: 48h, idle_timeout: 0s}")),
        ("a secret as the user", file("logs: {user_id_header: X-Api-Key}")),
        ("an id in a header that has a meaning, and a secret as an id", file("correlation: {header: Content-Length, accept: [Host, Authorization, X-Request-ID]}")),
        ("a window without its kind", route("breaker: {window: 30s}")),
        ("a window without calls", route("breaker: {window: {calls: 0}}")),
        ("a tab in a flow of keys", owned("version: 1\n\troutes: {}\n")),
        ("a bad route name", owned("version: 1\nroutes:\n  WhatsApp: {upstream: https://a.example.com}\n  a/b: {upstream: https://a.example.com}\n")),
        ("an upstream that is no URL", owned("version: 1\nroutes:\n  a: {upstream: api.example.com}\n  b: {upstream: \"ftp://b\"}\n  c: {upstream: \"https://c/?x=1\"}\n  d: {upstream: \"https://d:99999\"}\n")),
        ("an upstream with a password", owned("version: 1\nroutes:\n  a: {upstream: \"https://me:hush@a.example.com\"}\n")),
        ("TLS settings for a plain upstream", owned("version: 1\nroutes:\n  a:\n    upstream: {url: \"http://a\", tls: {}}\n")),
        ("an unknown preset", route("preset: whatsap")),
        ("an unknown preset, beside an error", route("preset: ${SECRET}\ntimout: 5s")),
        ("a preset extending an unknown one", file("presets: {mine: {extends: yours}}")),
        ("presets in a circle", file("presets:\n  a: {extends: b}\n  b: {extends: a}")),
        ("a built-in preset again", file("presets: {whatsapp: {timeout: 5s}}")),
        ("the same match twice", owned("version: 1\nroutes:\n  a:\n    upstream: https://a.example.com\n    match: {host: A.example.com, methods: [POST, GET]}\n  b:\n    upstream: https://b.example.com\n    match: {methods: [GET, POST], host: a.example.com}\n")),
        ("a match of nothing", route("match: {}")),
        ("lists where mappings belong", route("match: []\nclassify: [[]]\nretry: []")),
        ("bad matches", route("match:\n  host: \"a.*.com\"\n  path_prefix: api\n  methods: [get]\n  headers: {\"X A\": 1}")),
        ("bad addresses", file("listen:\n  proxy: [\"localhost:7900\", \"7900\"]\n  admin: unix:admin.sock\n  health: health.example.com")),
        ("listeners in each other's way", file("listen:\n  proxy: 127.0.0.1:7901\n  health: 0.0.0.0:7901")),
        ("an admin port for everyone", file("listen:\n  admin: 0.0.0.0:7901")),
        ("thresholds that can never be met", route("breaker:\n  failure_ratio: 50%\n  window: {calls: 10}\n  min_calls: 20")),
        ("a breaker without a rule", route("breaker: {failure_threshold: 0}")),
        ("more nonsense for a breaker", route("breaker:\n  slow_ratio: 50%\n  success_threshold: 0\n  window: {time: 100ms}\n  reset_backoff:\n    max: 1s")),
        ("a ramp that is none", route("breaker: {ramp: {from: 100%}}")),
        ("a ramp without a way", route("breaker: {ramp: {from: 0%, over: 48h}}")),
        ("a ramp that is half written", route("breaker: {ramp: 30s}")),
        ("keys of two kinds", route("breaker: {key: {header: X-Tenant-ID, host: true}}")),
        ("keys of no kind", route("breaker:\n  key: {}\nshadow:\n  a: {failure_threshold: 0}")),
        ("keys that cannot be", route("breaker:\n  key: {path_segment: 0, heder: X-Tenant-ID}\n  max_keys: 100000")),
        ("a key that is a word", route("breaker: {key: X-Tenant-ID}")),
        ("a host that is none", route("breaker: {key: {host: false}}")),
        ("candidates that would be more than candidates", route("breaker: {enforcement: off}\nshadow:\n  strict: {enforcement: enforce, key: {host: true}, max_keys: 5, failure_threshold: 2}")),
        ("bad candidates", route("shadow:\n  Strict: {failure_threshold: 2}\n  lax: 5\n  slow: {slow_ratio: 50%}")),
        ("too many candidates", route("shadow: {a: {}, b: {}, c: {}, d: {}, e: {}, f: {}, g: {}, h: {}, i: {}}")),
        ("two kinds of window", route("breaker: {window: {time: 30s, calls: 100}}")),
        ("a window of nothing", route("breaker: {window: {}}")),
        ("a probe longer than its call", route("timeout: 5s\nbreaker: {probe_timeout: 10s}")),
        ("an attempt longer than its call", route("timeout: 5s\nattempt_timeout: 10s")),
        ("an exchange shorter than its call", route("timeout: 5s\nmax_duration: 4s")),
        ("a retry of nothing", route("retry: {attempts: 3, retry_on: []}")),
        ("a retry of what is no failure", route("retry:\n  attempts: 0\n  retry_on: [200, 500-700, 504-502, resett, 5x]")),
        ("a retry whose wait never grows", route("retry: {attempts: 2, base: 2s, max: 1s}")),
        ("a retry of timeouts that leaves no time, beside an error", route("retry: {attempts: 2, retry_on: [timeout, 503], bas: 1s}")),
        ("a pool below its minimum", route("").replace("upstream: https://api.example.com", "upstream: {url: https://api.example.com, pool: {max: 2, min: 5}}")),
        ("rules that are no list", route("classify: {status: 404, as: failure}")),
        ("rules that ask for nothing, or too much", route("classify:\n  - {as: alive}\n  - {status: 404}\n  - {error: timeout, status: 500, as: ignored}\n  - {error: reset, as: success}\n  - inherit\n  - 404")),
        ("rules that decide two things", route("classify:\n  - {status: 404, as: alive, scope: key, pause: 5s}\n  - {status: 405, as: failure, config_error: true}\n  - {status: 406, as: throttle}\n  - {status: 407, as: throttled, scope: all, pause: 5}")),
        ("statuses, pointers and values that are none", route("classify:\n  - {status: [99, 5xy, 600-500, 4040], as: alive}\n  - {json: {error/code: 1, /a~b: 2}, as: alive}\n  - {json: {/code: [300-200, [1]], /x: []}, header: {\"a b\": 1}, as: alive}")),
        ("failures that prove nothing", route("classify: [{error: [timeot, circuit_open, banana], as: ignored}]")),
        ("rules that can never hold", route("classify:\n  - {status: 4xx, as: alive}\n  - {status: [404, 410], as: failure}\n  - {error: [dns, tls], as: ignored}\n  - {error: tls, as: alive}")),
        ("rules inherited twice", file("presets: {mine: {extends: whatsapp, classify: [inherited, inherited]}}")),
        ("refusals in no known form", route("refusals: grpah")),
        ("a throttle that contradicts itself and its route", route("timeout: 1s\nthrottle: {wait: 2s, min: 10s, max: 1s}")),
        ("a throttle of nonsense", route("throttle: {wait: soon, max_waiting: -1, min: 0s, jitter: 0.5, hold: 1s}")),
        ("a throttle that is neither on nor off", route("throttle: never")),
        ("a queue without a limit", route("limits: {concurrency: {queue: 5}}")),
        ("a wait without a queue, and longer than its call", route("timeout: 1s\nlimits: {concurrency: {max: 5, queue_timeout: 5s}}")),
        ("no calls at once", route("limits: {concurrency: {max: 0}}")),
        ("a burst without a rate", route("limits: {rate: {burst: 10}}")),
        ("rates that are none", file("defaults: {limits: {rate: {per_second: 0, burst: 0}}}\npresets:\n  a: {limits: {rate: {per_second: 60/m}}}\n  b: {limits: {rate: {per_second: 1.2.3}}}\n  c: {limits: {rate: {per_second: .}}}")),
        ("a rate for nobody", route("limits: {rate: {per_second: 5, key: {}}}")),
        ("a rate for somebody unknown", route("limits: {rate: {per_second: 5, key: user}}")),
        ("a rate for a header that is none", route("limits: {rate: {per_second: 5, key: {header: \"X Tenant\", cookie: a}}}")),
        ("headers that HTTP does not allow", route("headers:\n  request:\n    set:\n      \"X A\": 1\n      X-B: \"a\\r\\nSet-Cookie: b\"\n      x-c: 1\n      X-C: 2\n    remove: [\"X:\"]")),
        ("headers of our own", route("headers:\n  request: {set: {Host: a, X-Forwarded-For: b, X-Correlation-ID: c}}\n  response: {remove: [Via]}")),
        ("a secret in the file, beside an error", route("headers: {request: {set: {Authorization: Bearer hush}, remov: [X-A]}}")),
                (
            "secrets below their keys",
            route("headers:\n  request:\n    set:\n      Authorization: >\n        Bearer hush\n      X-Api-Key:\n        hush ${\n    bad: 1"),
        ),
("files that are not there", file("admin:\n  operator_token_file: ${DIR}/missing\n  reader_token_file: ${DIR}\ndefaults:\n  upstream: {tls: {ca_file: \"${DIR}/empty\"}}\n  headers: {request: {set: {X-Key: {file: \"${DIR}/empty\"}, X-Other: {prefix: a}}}}")),
        ("no fallback", route("fallback:")),
        ("a fallback of another kind", route("fallback: stale")),
        ("a fallback that says nothing", route("fallback: {on_failure: true}")),
        ("two fallbacks in one", route("fallback: {stale: {max_age: 1h}, respond: {status: 503}}")),
        ("fallbacks that are never reached", route("fallback:\n  - {respond: {status: 503}, on_failure: true}\n  - {stale: {}, on_failure: true}")),
        ("kept answers twice", route("fallback: [{stale: {}}, {stale: {}}]")),
        ("too many fallbacks", route(&format!("fallback: [{}]", ["{stale: {}}"; 9].join(", ")))),
        ("bad fixed answers", route("fallback:\n  respond:\n    status: 199\n    headers: {Content-Length: 3, \"X A\": 1, X-B: \"a\\r\\nb\"}\n    body: a\n    json: {b: 1}")),
        ("a body where none can be", route("fallback: {respond: {status: 204, body: hello}}")),
        ("places that nothing can be filled into", route("fallback:\n  respond:\n    headers: {X-Who: \"%{user}\"}\n    json: {id: \"%{correlationID}\", again: \"${SECRET}%{\"}")),
        ("a body in a file that is not there", route("fallback: {respond: {body_file: \"${DIR}/missing\"}}")),
        ("bad kept answers", route("fallback:\n  stale: {max_age: 0s, max_bytes: 1KiB, max_body: 100, vary: Accept, coalesce: often, ttl: 5s}")),
        ("headers that cannot be neutral", route("fallback: {stale: {vary: [X-A], neutral: [x-a, Authorization, X-Api-Key, X-Tenant, \"X B\"]}}\nbreaker: {key: {header: X-Tenant}}\nlimits: {rate: {per_second: 5, key: {header: X-Tenant}}}")),
        ("neutral headers where all share", route("fallback: {stale: {neutral: [X-A], share_credentials: true}}")),
        ("a body larger than all", route("fallback: {stale: {max_bytes: 64KiB, max_body: 1MiB}}")),
        ("a fallback to nowhere", owned("version: 1\ndefaults: {fallback: {route: backpu}}\nroutes:\n  backup: {upstream: https://a.example.com, fallback: off}\n  partner: {upstream: https://b.example.com}\n")),
        ("fallbacks in a circle", owned("version: 1\nroutes:\n  a: {upstream: https://a.example.com, fallback: {route: b}}\n  b: {upstream: https://b.example.com, fallback: [{stale: {}}, {route: c}]}\n  c:\n    upstream: https://c.example.com\n    fallback: {route: b}\n")),
        ("a fallback to itself", owned("version: 1\ndefaults: {fallback: {route: backup}}\nroutes:\n  backup: {upstream: https://a.example.com}\n")),
        ("fallbacks in a chain without an end", chain_of_fallbacks(12)),
        ("a secret file for everyone, beside an error", file("admin:\n  operator_token_file: ${DIR}/exposed\n  reader_token_file: ${DIR}/empty")),
    ]
}

fn endpoints(list: &str) -> String {
    let upstream =
        format!("upstream:\n      url: https://api.example.com\n      endpoints: {list}");
    route("").replace("upstream: https://api.example.com", &upstream)
}

/// Routes that each fall back to the next.
fn chain_of_fallbacks(length: usize) -> String {
    let mut text = String::from("version: 1\nroutes:\n");
    for place in 0..length {
        text.push_str(&format!(
            "  r{place:02}: {{upstream: https://a.example.com, fallback: {{route: r{:02}}}}}\n",
            place + 1
        ));
    }
    text + &format!("  r{length:02}: {{upstream: https://a.example.com}}\n")
}

/// A folder with files that configurations name, and an environment with variables that they use.
pub(super) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = super::certificates::Made::new("Sidefuse Test Root", (2020, 2120));
        let mut files = super::certificates::files(&authority);
        files.extend(
            [
                ("empty", "", 0o600),
                ("exposed", "hush\n", 0o644),
                ("changeable", "hush\n", 0o602),
                ("open", "hush\n", 0o666),
                ("secret", "hush\n", 0o600),
                ("body.html", "<p>busy</p>\n", 0o644),
            ]
            .map(|(name, content, mode)| (name, content.as_bytes().to_vec(), mode)),
        );
        for (name, content, mode) in files {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Self { folder }
    }

    pub(super) fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub(super) fn env(&self) -> impl Fn(&str) -> Option<String> {
        let path = self.path().to_owned();
        move |name| match name {
            "DIR" => Some(path.clone()),
            "NUMBER" => Some("4711".to_owned()),
            "SECRET" => Some("hush".to_owned()),
            "LINES" => Some("hush\nhush".to_owned()),
            _ => None,
        }
    }
}

#[test]
fn each_bad_file_is_told_what_is_wrong() {
    let disk = Disk::new();
    let env = disk.env();
    let mut told = String::new();
    let mut codes = BTreeSet::new();
    for (wrong, text) in catalogue() {
        let report = match load(&text, "config.yaml", &env) {
            Err(report) => report,
            Ok(_) => panic!("{wrong}: this must be refused:\n{text}"),
        };
        codes.extend(report.problems().map(|problem| problem.code));
        told.push_str(&format!("=== {wrong}\n{}\n", report.render()));
    }
    for secret in ["hush", "4711", disk.path()] {
        let told = told.replace("hush.example.com", "");
        assert!(!told.contains(secret), "a secret is told: {secret}");
    }
    // It is about the file as such; `load_file` has tests of its own.
    codes.insert(Code::Unreadable);
    // It depends on the time of the day; see `an_override_that_is_over_is_worth_a_warning`.
    codes.insert(Code::Lapsed);
    // So does this; see `certificates`.
    codes.insert(Code::CertificateDate);
    assert_eq!(
        codes.into_iter().collect::<Vec<_>>(),
        Code::ALL,
        "every code has its place in the catalogue"
    );
    insta::assert_snapshot!(told);
}

#[test]
fn all_problems_are_told_in_one_run_in_the_order_of_the_file() {
    let report = bad("\
version: 1
logs: {levle: info}
defaults:
  timeout: 30
routes:
  whatsapp:
    preset: whatsap
    upstream: https://graph.facebook.com
  email:
    upstream: https://api.sendgrid.com
    breaker:
      failure_treshold: 5
    rewrite_redirects: true
    headers: {request: {set: {Cookie: a=b}}}
");
    assert_eq!((report.error_count(), report.warning_count()), (5, 1));
    insta::assert_snapshot!(report.render());
}

#[test]
fn codes_are_unique_and_in_order() {
    assert!(
        Code::ALL
            .windows(2)
            .all(|pair| pair[0].as_str() < pair[1].as_str())
    );
    assert!(Code::ALL.iter().all(|code| code.meaning().ends_with('.')));
}

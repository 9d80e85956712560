//! Files whose parts are each fine and mean nothing together: the second half of the catalogue. And what is not to be taken for one.

use super::*;

/// What is wrong, and a file that is.
pub(super) fn wrong_together() -> Vec<(&'static str, String)> {
    vec![
        (
            "matches that share a method",
            matches(&[
                ("a", "{path_prefix: /api, methods: [GET, POST]}"),
                ("b", "{methods: [PUT, GET], path_prefix: /api/}"),
                ("c", "{path_prefix: /api, methods: [DELETE]}"),
            ]),
        ),
        (
            "matches that share a method, and ask for the same header",
            matches(&[
                ("a", "{methods: [GET, POST], headers: {X-Tenant: acme}}"),
                ("b", "{methods: [GET, PUT], headers: {x-tenant: acme}}"),
                ("c", "{methods: [GET], headers: {X-Tenant: other}}"),
                ("d", "{methods: [GET], headers: {X-Tenant: }}"),
            ]),
        ),
        (
            "headers that a call could have both, beside an error",
            matches(&[
                ("b", "{host: api.example.com, headers: {X-Tenant: acme}}"),
                ("a", "{host: API.example.com, headers: {X-Beta: on}}"),
            ]) + "logs: {format: none}\n",
        ),
        (
            "paths that no client sends",
            matches(&[
                ("a", "{path_prefix: /%61pi}"),
                ("b", "{path_prefix: /a%2fb}"),
                ("c", "{path_prefix: /a/../b}"),
                ("d", "{path_prefix: /a%zz}"),
                ("e", "{path_prefix: /a%2}"),
            ]),
        ),
        (
            "a match of everything, so that names mean nothing",
            "version: 1\nroutes:\n  site: {upstream: https://site.example.com, match: {path_prefix: /}}\n  partner: {upstream: https://api.example.com, fallback: {route: other}}\n  other: {upstream: https://other.example.com}\n".to_owned(),
        ),
        (
            "a match that is the name of another route, beside an error",
            "version: 1\nworkers: 0\nroutes:\n  api: {upstream: https://site.example.com, match: {path_prefix: /partner/}}\n  partner: {upstream: https://api.example.com}\n".to_owned(),
        ),
        (
            "hosts that are named twice",
            with_upstream("{url: https://api.example.com, also_hosts: [API.example.com, b.example.com, \"0:0::1\", B.example.com, \"[::1]\", c.example.com.]}"),
        ),
        (
            "hosts that mean two upstreams",
            "version: 1\nroutes:\n  a: {upstream: {url: \"https://a.example.com\", also_hosts: [c.example.com, b.example.com]}}\n  b: {upstream: \"https://b.example.com\"}\n  c: {upstream: {url: \"https://c.example.com/v1\", also_hosts: [other.example.com]}}\n  d: {upstream: {url: \"https://d.example.com/v1\", also_hosts: [Other.example.com]}}\n".to_owned(),
        ),
        (
            "an upstream that is sidefuse itself",
            "version: 1\nlisten: {proxy: [127.0.0.1:7900, \"[::]:7910\"], health: 127.0.0.1:7902}\nroutes:\n  a: {upstream: \"http://localhost:7900/a\"}\n  b: {upstream: {url: \"http://b.example.com\", endpoints: [10.0.0.1, \"127.0.0.1:7910\"]}}\n  c: {upstream: \"http://127.0.0.2:7900\"}\n  d: {upstream: \"http://localhost:7902\"}\n  e: {upstream: \"http://[::ffff:127.0.0.1]:7901\"}\n".to_owned(),
        ),
        (
            "listeners that a wildcard takes",
            file("listen:\n  proxy: [\"[::]:7900\", 127.0.0.1:7900, \"[::ffff:10.0.0.1]:7905\", 10.0.0.1:7905]\n  admin: [unix:/run/a.sock, \"unix:/run//a.sock\"]\n  health: 0.0.0.0:7900"),
        ),
        (
            "files of certificates that are none",
            super::certificates::wrong_files(),
        ),
        (
            "secrets that everyone can change, beside an error",
            file("workers: 0\nadmin:\n  operator_token_file: ${DIR}/changeable\n  reader_token_file: ${DIR}/open"),
        ),
        (
            "times that a call is over before, beside an error",
            "version: 1\nshutdown: {drain: 10s}\ndefaults: {upstream: {connect_timeout: 30s}}\nroutes:\n  a:\n    upstream: https://a.example.com\n    timeout: 5s\n    breaker: {slow_ratio: 50%, slow_after: 6s}\n    retry: {attempts: 3, base: 10s, max: 20s, max_retry_after: 30s}\n  b:\n    upstream: https://b.example.com\n    attempt_timeout: 20s\n    retry: {attempts: 2}\n    throttle: {wait: 5s, max_waiting: 0}\n  c: {upstream: https://c.example.com, timeout: 2m, attempt_timeout: 3m}\n".to_owned(),
        ),
        (
            "a drain that is shorter than a call, by default, beside an error",
            route("timeout: 40s\nmax_duration: 30s"),
        ),
        (
            "a rate that is too low for its breaker, beside an error",
            route("attempt_timeout: 1h\nbreaker: {failure_ratio: 50%, min_calls: 100, window: {time: 30s}}\nlimits: {rate: {per_second: 2, burst: 20}}"),
        ),
        (
            "more listeners than anybody has",
            file(&format!("listen: {{admin: [{}]}}", (1..=65).map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(", "))),
        ),
        (
            "a name server twice",
            file("dns: {servers: [10.0.0.2, 10.0.0.3, \"10.0.0.2:53\"]}"),
        ),
    ]
}

/// Routes with these matches.
fn matches(routes: &[(&str, &str)]) -> String {
    let route = |(name, plan): &(&str, &str)| {
        format!("  {name}: {{upstream: https://{name}.example.com, match: {plan}}}\n")
    };
    let routes: String = routes.iter().map(route).collect();
    format!("version: 1\nroutes:\n{routes}")
}

fn with_upstream(upstream: &str) -> String {
    route("").replace("https://api.example.com", upstream)
}

/// What a good file is warned of.
fn warned(text: &str) -> String {
    good(text).warnings.render()
}

#[test]
fn matches_that_a_rank_or_a_value_tells_apart_are_fine() {
    let text = matches(&[
        ("a", "{path_prefix: /api, headers: {X-Tenant: acme}}"),
        ("b", "{path_prefix: /api, headers: {X-Tenant: other}}"),
        ("c", "{path_prefix: /api, headers: {X-Tenant: }}"),
        ("d", "{path_prefix: /api, methods: [GET]}"),
        ("e", "{path_prefix: /api, methods: [PUT, POST]}"),
        ("f", "{path_prefix: /api}"),
        ("g", "{path_prefix: /api/more%20words}"),
        ("h", "{host: api.example.com}"),
        ("i", "{host: \"*.example.com\"}"),
    ]);
    assert_eq!(warned(&text), "");
}

/// A warning about one of them hides no error about another.
#[test]
fn matches_are_refused_in_whatever_order_they_stand() {
    let mut routes = [
        ("a", "{methods: [GET], headers: {X-Tenant: acme}}"),
        ("b", "{methods: [GET, POST], headers: {X-Other: y}}"),
        ("c", "{methods: [GET], headers: {X-Other: y}}"),
    ];
    for _ in 0..routes.len() {
        let report = bad(&matches(&routes));
        assert_eq!(report.error_count(), 1, "{report}");
        routes.rotate_left(1);
    }
}

#[test]
fn thousands_of_matches_that_values_tell_apart_are_compared_in_time() {
    let plans: Vec<(String, String)> = (0..2_000)
        .map(|n| (format!("r{n}"), format!("{{headers: {{X-Tenant: t{n}}}}}")))
        .collect();
    let plans: Vec<(&str, &str)> = plans.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(warned(&matches(&plans)), "");
}

#[test]
fn a_route_behind_a_match_of_everything_may_be_there_to_fall_back_to() {
    let text = "\
version: 1
routes:
  site: {upstream: https://site.example.com, match: {path_prefix: /}, fallback: {route: other}}
  other: {upstream: https://other.example.com}
";
    assert_eq!(warned(text), "");
}

#[test]
fn hosts_and_ports_that_only_look_the_same_are_fine() {
    let text = "\
version: 1
routes:
  a: {upstream: {url: \"https://a.example.com/v1\", also_hosts: [b.example.com]}}
  b: {upstream: \"https://b.example.com/v2\"}
  c: {upstream: {url: \"https://c.example.com\", also_hosts: [d.example.com]}}
  d: {upstream: \"https://d.example.com:8443\"}
  e: {upstream: \"https://a.example.com/v1\"}
  f: {upstream: \"http://127.0.0.2:7901\"}
  g: {upstream: \"http://127.0.0.2:7900\"}
";
    assert_eq!(warned(text), "");
}

#[test]
fn tls_of_the_defaults_is_for_the_upstreams_that_speak_it() {
    let disk = super::catalogue::Disk::new();
    let text = "\
version: 1
defaults: {upstream: {tls: {ca_file: \"${DIR}/ca.pem\"}}}
routes:
  secret: {upstream: https://a.example.com}
  plain: {upstream: http://b.example.com}
  shouted: {upstream: {url: HTTP://c.example.com, http: 2}}
";
    let loaded = load(text, "config.yaml", &disk.env()).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let tls = |route: &str| loaded.plan.routes[route].upstream.tls.clone();
    let trusted = tls("secret").and_then(|tls| tls.ca_file);
    assert_eq!(trusted.unwrap().path.file_name(), Some("ca.pem".as_ref()));
    assert_eq!((tls("plain"), tls("shouted")), (None, None));
}

#[test]
fn curly_quotes_around_the_value_of_a_header_are_worth_a_warning() {
    let text = route(
        "headers: {request: {set: {X-A: “b”, X-B: it’s}}}\nfallback: {respond: {headers: {X-C: ‘d’}}}",
    );
    insta::assert_snapshot!(warned(&text));
}

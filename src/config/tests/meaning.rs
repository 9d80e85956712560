//! What good files mean.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::plan::{
    AdminAddress, EndpointPlan, Forced, HeaderText, HostPattern, HttpVersion, KeySource, KeyedPlan,
    LimitsPlan, LogLevel, OverridePlan, RateKey, Resolve, RoutePlan,
};
use super::*;
use crate::resilience::{
    Backoff, BulkheadSpec, Enforcement, Ratio, RetrySpec, ThrottleSpec, WindowSpec,
};

fn plan_of(text: &str) -> RoutePlan {
    let route = good(text).plan.routes.remove("partner");
    std::sync::Arc::unwrap_or_clone(route.unwrap())
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn built_in_presets_have_the_numbers_of_the_original() {
    let table = [
        ("database", 5, 10, 30),
        ("redis", 3, 5, 20),
        ("whatsapp", 5, 15, 60),
        ("email", 5, 10, 30),
        ("external-api", 10, 20, 60),
    ];
    assert_eq!(
        built_in_names().collect::<Vec<_>>(),
        table.map(|(name, ..)| name)
    );
    for (name, failures, timeout, reset) in table {
        let plan = plan_of(&route(&format!("preset: {name}")));
        let keys = plan.breaker.keys();
        assert_eq!(
            (keys.failure_threshold, plan.timeout, keys.reset_timeout),
            (failures, secs(timeout), secs(reset)),
            "{name}"
        );
        assert_eq!(
            (keys.success_threshold, keys.half_open_max),
            (2, 1),
            "{name}"
        );
        let pool = plan.upstream.pool;
        let knobs = (
            pool.max,
            pool.min,
            pool.acquire_timeout,
            pool.idle_timeout,
            pool.evict_every,
        );
        let want = if name == "database" {
            (20, 5, secs(30), secs(10), secs(1))
        } else {
            (256, 0, secs(30), secs(55), secs(1))
        };
        assert_eq!(knobs, want, "{name}");
    }
}

#[test]
fn a_route_without_a_preset_is_an_external_api_below_the_defaults() {
    let plain = plan_of(&route(""));
    assert_eq!(
        (
            plain.preset.as_str(),
            plain.timeout,
            plain.breaker.keys().failure_threshold
        ),
        ("external-api", secs(20), 10)
    );
    assert_eq!(
        plan_of(&format!("defaults: {{timeout: 7s}}\n{}", route(""))).timeout,
        secs(7)
    );
}

#[test]
fn built_in_then_defaults_then_presets_then_the_route() {
    let text = "\
version: 1
defaults: {timeout: 1s, idle_timeout: 1s, breaker: {min_calls: 1, success_threshold: 1}}
presets:
  low: {extends: redis, idle_timeout: 2s, breaker: {success_threshold: 2, half_open_max: 2}}
  high: {extends: low, breaker: {half_open_max: 3}}
routes:
  partner:
    preset: high
    upstream: https://api.example.com
    breaker: {reset_timeout: 9s}
";
    let plan = plan_of(text);
    let keys = plan.breaker.keys();
    assert_eq!(
        (plan.preset.as_str(), plan.timeout, plan.idle_timeout),
        ("high", secs(5), secs(2))
    );
    assert_eq!(
        (keys.min_calls, keys.success_threshold, keys.half_open_max),
        (1, 2, 3)
    );
    assert_eq!((keys.failure_threshold, keys.reset_timeout), (3, secs(9)));
}

#[test]
fn a_ramp_has_numbers_of_its_own_and_can_be_turned_off_again() {
    let ramp = |breaker: &str| {
        let text = format!("breaker: {{ramp: {breaker}}}");
        let ramp = plan_of(&route(&text)).breaker.keys().ramp;
        ramp.map(|ramp| (ramp.from.hundredths(), ramp.over))
    };
    assert_eq!(plan_of(&route("")).breaker.keys().ramp, None);
    assert_eq!(ramp("{}"), Some((1_000, secs(30))));
    assert_eq!(ramp("{from: 25%}"), Some((2_500, secs(30))));
    assert_eq!(ramp("{over: 2m}"), Some((1_000, secs(120))));
    let text = format!(
        "defaults: {{breaker: {{ramp: {{from: 20%}}}}}}\n{}",
        route("breaker: {ramp: off}")
    );
    assert_eq!(plan_of(&text).breaker.keys().ramp, None);
}

#[test]
fn a_breaker_has_keys_of_one_kind_or_none() {
    let keyed = |breaker: &str| plan_of(&route(&format!("breaker: {{{breaker}}}"))).keyed;
    assert_eq!(keyed(""), None);
    assert_eq!(keyed("max_keys: 5"), None);
    let header = KeySource::Header("x-tenant-id".parse().unwrap());
    for (text, by, max_keys) in [
        ("key: {header: X-Tenant-ID}", header, 1_000),
        (
            "key: {path_segment: 2}, max_keys: 5",
            KeySource::PathSegment(2),
            5,
        ),
        ("key: {host: true}", KeySource::Host, 1_000),
    ] {
        assert_eq!(keyed(text), Some(KeyedPlan { by, max_keys }), "{text}");
    }
    let below = |breaker: &str| {
        let settings = route(&format!("breaker: {breaker}"));
        let defaults = "defaults: {breaker: {key: {header: X-Tenant-ID}}}";
        plan_of(&format!("{defaults}\n{settings}"))
            .keyed
            .map(|plan| plan.by)
    };
    assert_eq!(
        below("{key: {host: true}}"),
        Some(KeySource::Host),
        "it replaces"
    );
    assert_eq!(below("{key: off}"), None);
}

#[test]
fn a_candidate_is_the_routes_breaker_but_for_what_it_says() {
    let text = "\
breaker: {enforcement: off, key: {host: true}, failure_threshold: 7, window: {calls: 50}}
shadow:
  strict: {failure_threshold: 2, window: {time: 10s}}
  ramped: {ramp: {}}
  gone: off
";
    let shadows = plan_of(&route(text)).shadows;
    let told: Vec<_> = shadows
        .iter()
        .map(|(name, spec)| {
            let keys = spec.keys();
            (
                name.as_str(),
                keys.enforcement,
                keys.failure_threshold,
                keys.window,
            )
        })
        .collect();
    let enforce = Enforcement::Enforce;
    assert_eq!(
        told,
        [
            ("ramped", enforce, 7, WindowSpec::Calls(50)),
            ("strict", enforce, 2, WindowSpec::Time(secs(10)))
        ]
    );
    assert!(shadows[0].1.keys().ramp.is_some());
    let inherited = format!(
        "defaults: {{shadow: {{a: {{failure_threshold: 1}}}}}}\n{}",
        route("shadow: off")
    );
    assert_eq!(plan_of(&inherited).shadows, []);
}

#[test]
fn the_short_form_of_an_upstream_keeps_what_the_preset_says_of_it() {
    let plan = plan_of(&route("preset: database"));
    assert_eq!(
        (plan.upstream.host.as_str(), plan.upstream.pool.max),
        ("api.example.com", 20)
    );
}

#[test]
fn endpoints_take_the_port_of_the_url_and_the_rest_stays_the_urls() {
    let plan = plan_of(&route("").replace(
        "upstream: https://api.example.com",
        "upstream: {url: \"https://api.example.com:8443\", endpoints: [10.0.0.1, \"10.0.0.2:9443\", \"[::1]\"]}",
    ));
    let upstream = plan.upstream;
    let labels: Vec<String> = upstream
        .addresses()
        .iter()
        .map(EndpointPlan::label)
        .collect();
    assert_eq!(labels, ["10.0.0.1:8443", "10.0.0.2:9443", "[::1]:8443"]);
    assert_eq!(
        (upstream.host.as_str(), upstream.authority.to_str().unwrap()),
        ("api.example.com", "api.example.com:8443")
    );

    let plain = plan_of(&route("")).upstream;
    let labels: Vec<String> = plain.addresses().iter().map(EndpointPlan::label).collect();
    assert_eq!(
        labels,
        ["api.example.com:443"],
        "without a list the URL's own"
    );
    assert!(plain.endpoints.is_empty());
}

#[test]
fn a_header_of_the_route_replaces_that_of_the_defaults_whatever_its_case() {
    let text = format!(
        "defaults: {{headers: {{request: {{set: {{X-Tenant: a, X-Other: b}}}}}}}}\n{}",
        route("headers: {request: {set: {x-tenant: c}}}")
    );
    let set = plan_of(&text).headers.request.set;
    let set: Vec<_> = set
        .iter()
        .map(|(name, text)| match text {
            HeaderText::Literal(value) => (name.as_str(), value.to_str().unwrap()),
            HeaderText::File { .. } => panic!("no file was named"),
        })
        .collect();
    assert_eq!(set, [("x-other", "b"), ("x-tenant", "c")]);
}

#[test]
fn the_smallest_file_has_the_defaults_of_the_documentation() {
    let plan = good("version: 1\nroutes:\n  whatsapp: {preset: whatsapp, upstream: https://graph.facebook.com}\n").plan;
    let mut example = good(EXAMPLE).plan;
    assert_eq!(plan.listen.health, None);
    example.listen.health = None;
    assert_eq!(plan.listen, example.listen);
    assert_eq!(
        (plan.service.name.as_str(), plan.service.env.as_str()),
        ("sidefuse", "production")
    );
    assert_eq!(
        (&plan.workers, &plan.admin, &plan.drain),
        (&example.workers, &example.admin, &example.drain)
    );
    assert_eq!(
        (&plan.correlation, &plan.logs, &plan.http),
        (&example.correlation, &example.logs, &example.http)
    );
    assert_eq!(plan.routes["whatsapp"], example.routes["whatsapp"]);
}

#[test]
fn log_level_and_node_env_speak_where_the_file_is_silent() {
    let env = |level: &'static str, node: &'static str| {
        move |name: &str| match name {
            "LOG_LEVEL" => Some(level.to_owned()),
            "NODE_ENV" => Some(node.to_owned()),
            _ => None,
        }
    };
    let shown = |text: &str, level, node| {
        let loaded = load(text, "config.yaml", &env(level, node)).unwrap();
        let plan = loaded.plan;
        (plan.logs.level, plan.service.env, loaded.warnings.render())
    };
    let silent = route("");
    assert_eq!(
        shown(&silent, "debug", "staging"),
        (LogLevel::Debug, "staging".to_owned(), String::new())
    );
    assert_eq!(
        shown(&silent, "", ""),
        (LogLevel::Info, "production".to_owned(), String::new())
    );
    let speaking = file("service: {env: test}\nlogs: {level: warn}");
    assert_eq!(
        shown(&speaking, "debug", "staging"),
        (LogLevel::Warn, "test".to_owned(), String::new())
    );
    // Words of other loggers are no reason not to start.
    let (level, _, warnings) = shown(&silent, "silly", "staging");
    assert_eq!(level, LogLevel::Info);
    assert!(
        warnings.contains("LOG_LEVEL") && !warnings.contains("silly"),
        "{warnings}"
    );
}

#[test]
fn values_take_their_type_after_references_are_replaced() {
    let env = |name: &str| match name {
        "LOG_LEVEL" => Some("fatal".to_owned()),
        "PORT" => Some("8080".to_owned()),
        "THRESHOLD" => Some("3".to_owned()),
        _ => None,
    };
    let text = "\
version: \"1\"
logs: {level: \"${LOG_LEVEL:-info}\"}
listen: {proxy: \"127.0.0.1:${PORT}\"}
routes:
  partner:
    upstream: \"${PARTNER_URL:-https://api.example.com}\"
    timeout: ${T:-1m30s}
    breaker: {failure_threshold: \"${THRESHOLD}\"}
";
    let plan = load(text, "config.yaml", &env).unwrap().plan;
    assert_eq!(plan.logs.level, LogLevel::Error);
    assert_eq!(plan.listen.proxy, ["127.0.0.1:8080".parse().unwrap()]);
    let route = &plan.routes["partner"];
    assert_eq!(
        (route.timeout, route.breaker.keys().failure_threshold),
        (secs(90), 3)
    );
}

#[test]
fn aliases_and_empty_sections_are_allowed() {
    let plan = plan_of(
        "version: 1\nlogs:\nlisten: {}\ndefaults:\nroutes:\n  other: &o {upstream: https://api.example.com, timeout: 3s}\n  partner: *o\n",
    );
    assert_eq!(plan.timeout, secs(3));
}

#[test]
fn a_window_of_few_calls_waits_for_no_more_than_it_holds() {
    let keys = |settings: &str| {
        *plan_of(&route(&format!(
            "breaker: {{failure_ratio: 50%, {settings}}}"
        )))
        .breaker
        .keys()
    };
    assert_eq!(
        (
            keys("window: {calls: 5}").window,
            keys("window: {calls: 5}").min_calls
        ),
        (WindowSpec::Calls(5), 5)
    );
    assert_eq!(keys("window: {calls: 500}").min_calls, 20);
    assert_eq!(keys("window: {calls: 50}, min_calls: 50").min_calls, 50);
}

#[test]
fn a_long_reset_timeout_raises_the_default_of_its_maximum() {
    let keys = *plan_of(&route("breaker: {reset_timeout: 20m}"))
        .breaker
        .keys();
    assert_eq!(keys.reset_backoff.max, secs(1200));
}

#[test]
fn listeners_may_be_lists_sockets_and_off() {
    let plan = good(&file("listen: {proxy: [127.0.0.1:1, {address: \"[::1]:1\"}], admin: [\"unix:/run/a.sock\", 127.0.0.1:2], health: off}")).plan;
    assert_eq!(plan.listen.proxy.len(), 2);
    assert_eq!(
        plan.listen.admin,
        [
            AdminAddress::Unix("/run/a.sock".into()),
            AdminAddress::Tcp("127.0.0.1:2".parse().unwrap())
        ]
    );
    assert_eq!(plan.listen.health, None);
    assert_eq!(good(&file("listen: {admin: off}")).plan.listen.admin, []);
    good(&file(
        "listen: {proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}",
    ));
}

#[test]
fn matches_are_kept_in_one_form() {
    let matches = plan_of(&route("match: {host: \"*.Example.com\", path_prefix: /api/v1/, methods: [POST, GET, POST], headers: {X-Debug: , x-tenant: acme}}"))
        .matches
        .unwrap();
    assert_eq!(
        matches.host,
        Some(HostPattern::Suffix(".example.com".to_owned()))
    );
    assert_eq!(matches.path_prefix.as_deref(), Some("/api/v1"));
    let all = plan_of(&route("match: {path_prefix: /}")).matches.unwrap();
    assert_eq!(all.path_prefix.as_deref(), Some(""));
    assert_eq!(matches.methods, [http::Method::GET, http::Method::POST]);
    let headers: Vec<_> = matches
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.is_some()))
        .collect();
    assert_eq!(headers, [("x-debug", false), ("x-tenant", true)]);
}

#[test]
fn files_that_are_there_are_named_in_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let certificate = rcgen::generate_simple_self_signed(["a.example.com".to_owned()])
        .unwrap()
        .cert
        .pem();
    for (name, content) in [("token", "hush\n"), ("ca.pem", certificate.as_str())] {
        fs::write(path(name), content).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = "\
version: 1
listen: {admin: 0.0.0.0:7901}
admin: {operator_token_file: \"${DIR}/token\"}
routes:
  partner:
    upstream: {url: https://api.example.com, http: 2, tls: {ca_file: \"${DIR}/ca.pem\"}}
    headers: {request: {set: {Authorization: {file: \"${DIR}/token\", prefix: \"Bearer \"}}}}
";
    let env = |name: &str| (name == "DIR").then(|| dir.path().to_str().unwrap().to_owned());
    let Loaded { plan, warnings, .. } = load(text, "config.yaml", &env).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(plan.admin.operator_token_file, Some(path("token")));
    let route = &plan.routes["partner"];
    assert_eq!(
        route.upstream.tls.as_ref().unwrap().ca_file,
        Some(path("ca.pem"))
    );
    assert_eq!(route.upstream.http, HttpVersion::Http2);
    let secret = HeaderText::File {
        path: path("token"),
        prefix: "Bearer ".to_owned(),
    };
    assert_eq!(
        route.headers.request.set,
        [(http::HeaderName::from_static("authorization"), secret)]
    );

    fs::set_permissions(path("token"), fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = load(text, "config.yaml", &env).unwrap().warnings;
    assert_eq!((warnings.error_count(), warnings.warning_count()), (0, 2));
    assert!(!warnings.render().contains("hush"));
}

#[test]
fn a_literal_secret_is_a_warning_that_does_not_repeat_it() {
    let loaded = good(&route(
        "headers: {request: {set: {Authorization: Bearer hush}}}",
    ));
    assert_eq!(loaded.warnings.warning_count(), 1);
    assert!(
        !loaded.warnings.render().contains("hush"),
        "{}",
        loaded.warnings
    );
    assert!(!format!("{:?}", loaded.plan).contains("hush"));
}

#[test]
fn the_addresses_of_a_name_are_one_endpoint_unless_each_is_asked_to_be_one() {
    assert_eq!(plan_of(&route("")).upstream.resolve, Resolve::One);
    let text = format!("defaults: {{upstream: {{resolve: all}}}}\n{}", route(""));
    assert_eq!(plan_of(&text).upstream.resolve, Resolve::All);
}

#[test]
fn a_probe_is_a_get_behind_the_upstreams_path_every_10_s() {
    assert_eq!(plan_of(&route("")).probe, None);
    let text = route("probe: {path: /health}").replace("example.com", "example.com/v1/");
    let probe = plan_of(&text).probe.unwrap();
    assert_eq!(
        (probe.path.as_str(), probe.every, probe.timeout),
        ("/v1/health", secs(10), secs(5))
    );
    let good = [200, 204, 302, 399].map(|status| probe.expects(status));
    let bad = [101, 400, 404, 500].map(|status| probe.expects(status));
    assert_eq!((good, bad), ([true; 4], [false; 4]));
    let text = route("probe: {every: 2s, expect: [204, 3xx, 401-403]}");
    let probe = plan_of(&format!("defaults: {{probe: {{path: /up}}}}\n{text}"))
        .probe
        .unwrap();
    assert_eq!((probe.path.as_str(), probe.timeout), ("/up", secs(2)));
    assert!(probe.expects(204) && probe.expects(301) && probe.expects(402) && !probe.expects(200));
    let off = format!(
        "defaults: {{probe: {{path: /up}}}}\n{}",
        route("probe: off")
    );
    assert_eq!(plan_of(&off).probe, None);
}

#[test]
fn names_are_looked_up_by_the_system_or_by_servers_that_are_named() {
    let plan = good(&route("")).plan.dns;
    assert_eq!((plan.servers.len(), plan.timeout), (0, secs(2)));
    let text = format!(
        "dns: {{servers: [10.0.0.2, \"127.0.0.1:5353\"], timeout: 500ms}}\n{}",
        route("")
    );
    let plan = good(&text).plan.dns;
    let servers: Vec<String> = plan.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.2:53", "127.0.0.1:5353"]);
    assert_eq!(plan.timeout, Duration::from_millis(500));
}

#[test]
fn an_override_belongs_to_its_route() {
    let text = file(
        "overrides: {partner: {force: open, until: 2026-12-01T06:00:00Z, reason: INC-1234 provider outage}}",
    );
    let plan = plan_of(&text);
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_104_800);
    assert_eq!(
        plan.overridden,
        Some(OverridePlan {
            force: Forced::Open,
            until: Some(until),
            reason: Some("INC-1234 provider outage".to_owned()),
        })
    );
    let short = plan_of(&file("overrides: {partner: {force: closed}}")).overridden;
    let short = short.unwrap();
    assert_eq!(
        (short.force, short.until, short.reason),
        (Forced::Closed, None, None)
    );
    assert_eq!(plan_of(&file("overrides:")).overridden, None);
}

#[test]
fn an_override_that_is_over_is_worth_a_warning() {
    let text = file(
        "logs: {level: info}\noverrides:\n  partner:\n    force: open\n    until: 2026-12-01T06:00:00Z",
    );
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_104_800);
    let warned = |at| good(&text).at(at).warnings.render();
    assert_eq!(warned(until - Duration::from_nanos(1)), "");
    insta::assert_snapshot!(warned(until));
}

#[test]
fn a_route_retries_only_if_asked_and_then_what_is_usually_safe() {
    for text in ["", "retry: {attempts: 1}", "retry: {base: 20ms}"] {
        assert_eq!(plan_of(&route(text)).retry, None, "{text}");
    }
    let usual = RetrySpec {
        attempts: 3,
        ..RetrySpec::default()
    };
    let plan = plan_of(&route("retry: {attempts: 3}"));
    assert_eq!(plan.retry.as_deref(), Some(&usual));
    assert_eq!((plan.attempt_timeout, plan.max_duration), (None, None));
    assert_eq!(
        usual.backoff,
        Backoff {
            base: Duration::from_millis(50),
            max: secs(1)
        }
    );
    assert_eq!(usual.max_retry_after, secs(10));
}

#[test]
fn a_retry_policy_merges_key_by_key_and_its_list_replaces() {
    let text = format!(
        "defaults: {{attempt_timeout: 2s, max_duration: 5m, retry: {{attempts: 4, retry_on: [429]}}}}\n{}",
        route(
            "retry: {retry_on: [connect, timeout, 502-504, 5xx], base: 2s, max_retry_after: 30s, retry_non_idempotent: true}"
        )
    );
    let plan = plan_of(&text);
    assert_eq!(
        (plan.attempt_timeout, plan.max_duration),
        (Some(secs(2)), Some(secs(300)))
    );
    let spec = plan.retry.unwrap();
    assert_eq!((spec.attempts, spec.max_retry_after), (4, secs(30)));
    assert!(spec.non_idempotent);
    assert_eq!(
        (spec.backoff.base, spec.backoff.max),
        (secs(2), secs(2)),
        "a maximum that nobody wrote cuts nothing"
    );
    assert_eq!(spec.on.words, ["connect", "timeout"]);
    assert!(spec.on.statuses.iter().eq(500..=599));
    let off = format!("{text}    attempt_timeout: off\n    max_duration: off\n");
    let plan = plan_of(&off);
    assert_eq!((plan.attempt_timeout, plan.max_duration), (None, None));
}

#[test]
fn a_retry_of_timeouts_without_time_for_it_is_a_warning() {
    let warned = |text: &str| good(&route(text)).warnings.warning_count();
    assert_eq!(warned("retry: {attempts: 2, retry_on: [timeout]}"), 1);
    assert_eq!(
        warned("attempt_timeout: 5s\nretry: {attempts: 2, retry_on: [timeout]}"),
        0
    );
    assert_eq!(warned("retry: {attempts: 2, retry_on: [503]}"), 0);
    assert_eq!(warned("retry: {attempts: 2}"), 0);
}

#[test]
fn an_upstreams_wish_for_a_pause_is_obeyed_unless_it_is_off() {
    assert_eq!(plan_of(&route("")).throttle, Some(ThrottleSpec::default()));
    assert_eq!(plan_of(&route("throttle: off")).throttle, None);
    let text = "throttle: {wait: 2s, max_waiting: 9, min: 1s, max: 10m, jitter: 10%}";
    let spec = ThrottleSpec {
        wait: secs(2),
        max_waiting: 9,
        min: secs(1),
        max: secs(600),
        jitter: Ratio::from_hundredths(1_000).unwrap(),
    };
    assert_eq!(plan_of(&route(text)).throttle, Some(spec));
    let over_off = format!(
        "defaults: {{throttle: off}}\n{}",
        route("throttle: {wait: 1s}")
    );
    let throttle = plan_of(&over_off).throttle;
    assert_eq!(throttle.map(|spec| spec.wait), Some(secs(1)));
}

#[test]
fn limits_are_off_until_they_are_written() {
    assert_eq!(plan_of(&route("")).limits, LimitsPlan::default());
    let limits = plan_of(&route(
        "limits:\n  concurrency: {max: 100, queue: 50}\n  rate: {per_second: 0.5, key: {header: X-Tenant-ID}}",
    ))
    .limits;
    let bulkhead = BulkheadSpec {
        max: 100,
        queue: 50,
        queue_timeout: secs(1),
    };
    assert_eq!(limits.concurrency, Some(bulkhead));
    let rate = limits.rate.unwrap();
    assert_eq!((rate.spec.interval(), rate.spec.burst()), (secs(2), 1));
    assert_eq!(
        rate.key,
        Some(RateKey::Header("x-tenant-id".parse().unwrap()))
    );
}

#[test]
fn limits_of_the_defaults_merge_with_the_routes_and_can_be_turned_off() {
    let shared = "defaults: {limits: {concurrency: {max: 9, queue: 2}, rate: {per_second: 60, burst: 80, key: {header: X-A}}}}\n";
    let limits = |settings: &str| plan_of(&format!("{shared}{}", route(settings))).limits;
    let merged =
        limits("limits: {concurrency: {queue: 5, queue_timeout: 2s}, rate: {key: client_ip}}");
    let bulkhead = BulkheadSpec {
        max: 9,
        queue: 5,
        queue_timeout: secs(2),
    };
    assert_eq!(merged.concurrency, Some(bulkhead));
    let rate = merged.rate.unwrap();
    assert_eq!(
        (rate.per_second, rate.spec.burst(), rate.key),
        (60.0, 80, Some(RateKey::ClientIp))
    );
    let off = limits("limits: {concurrency: off, rate: off}");
    assert_eq!(off, LimitsPlan::default());
}

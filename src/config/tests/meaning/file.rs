//! What the file says at its top, and what stands in for what it does not say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::plan::{AdminAddress, Forced, HeaderText, HttpVersion, LogLevel, OverridePlan};

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
    let (level, _, warnings) = shown(&silent, "WARN", "staging");
    assert_eq!((level, warnings), (LogLevel::Warn, String::new()));
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
    let trust = route.upstream.tls.as_ref().unwrap().ca_file.as_ref();
    assert_eq!(trust.unwrap().path, path("ca.pem"));
    assert_eq!(route.upstream.http, HttpVersion::Http2);
    let secret = HeaderText::File {
        path: path("token"),
        value: http::HeaderValue::from_static("Bearer hush"),
    };
    assert_eq!(
        route.headers.request.set,
        [(http::HeaderName::from_static("authorization"), secret)]
    );
    assert!(!format!("{plan:?}").contains("hush"));
    assert_eq!(
        warnings.named_files().paths().collect::<Vec<_>>(),
        [path("ca.pem"), path("token")]
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
        Some(Box::new(OverridePlan {
            force: Forced::Open,
            until: Some(until),
            reason: Some("INC-1234 provider outage".to_owned()),
        }))
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

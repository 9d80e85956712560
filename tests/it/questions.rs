//! The page of metrics holds its word: it has every family and no other, its questions and alerts find what is there, and a route has
//! as many series as it says.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use sidefuse::docs::Page;
use sidefuse::resilience::{Cause, Outcome};
use sidefuse::telemetry::WriteResult;
use sidefuse::telemetry::names::{
    ALL, CodeClass, DnsResult, FallbackLabel, Family, LimitLabel, MethodLabel, ProbeResult,
    RetryResult,
};

use crate::support::answer::Answer;
use crate::support::blocks::blocks_of;
use crate::support::client::Client;
use crate::support::config::{config, route};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;
use crate::support::tools::tool;

/// What an application in trouble is scraped to have, and one that is well: a series each, with its beginning and its step per minute.
const STORY: [(&str, &str, &str); 26] = [
    (
        "sidefuse_requests_total{route=\"r\",method=\"GET\",code_class=\"2xx\",outcome=\"success\"}",
        "0+100",
        "0+100",
    ),
    (
        "sidefuse_requests_total{route=\"r\",method=\"GET\",code_class=\"5xx\",outcome=\"failure\"}",
        "0+100",
        "0+1",
    ),
    (
        "sidefuse_rejected_total{route=\"r\",reason=\"throttled\"}",
        "0+10",
        "0+0",
    ),
    (
        "sidefuse_rejected_total{route=\"r\",reason=\"overloaded\"}",
        "0+10",
        "0+0",
    ),
    (
        "sidefuse_attempt_failures_total{route=\"r\",reason=\"truncated\"}",
        "0+10",
        "0+0",
    ),
    (
        "sidefuse_given_up_total{route=\"r\",reason=\"internal\"}",
        "0+1",
        "0+0",
    ),
    (
        "sidefuse_request_duration_seconds_bucket{route=\"r\",outcome=\"success\",le=\"1\"}",
        "0+90",
        "0+90",
    ),
    (
        "sidefuse_request_duration_seconds_bucket{route=\"r\",outcome=\"success\",le=\"+Inf\"}",
        "0+90",
        "0+90",
    ),
    (
        "sidefuse_response_headers_seconds_bucket{route=\"r\",le=\"+Inf\"}",
        "0+90",
        "0+90",
    ),
    (
        "sidefuse_overhead_seconds_bucket{le=\"+Inf\"}",
        "0+90",
        "0+90",
    ),
    (
        "sidefuse_breaker_state{breaker=\"r\",state=\"open\"}",
        "1+0",
        "0+0",
    ),
    (
        "sidefuse_breaker_forced{breaker=\"r\",mode=\"forced_open\"}",
        "1+0",
        "0+0",
    ),
    (
        "sidefuse_breaker_transitions_total{breaker=\"r\",from=\"closed\",to=\"open\",cause=\"failure_ratio\"}",
        "0+1",
        "0+0",
    ),
    (
        "sidefuse_throttled_seconds_total{route=\"r\"}",
        "0+60",
        "0+1",
    ),
    ("sidefuse_config_errors_total{route=\"r\"}", "0+1", "0+0"),
    (
        "sidefuse_retries_total{route=\"r\",result=\"answered\"}",
        "0+5",
        "0+1",
    ),
    (
        "sidefuse_retries_total{route=\"r\",result=\"budget_exhausted\"}",
        "0+5",
        "0+0",
    ),
    (
        "sidefuse_pool_connections{route=\"r\",state=\"waiting\"}",
        "7+0",
        "0+0",
    ),
    (
        "sidefuse_pool_wait_seconds_bucket{route=\"r\",le=\"+Inf\"}",
        "0+9",
        "0+0",
    ),
    ("sidefuse_log_lines_dropped_total{}", "0+9", "0+0"),
    ("sidefuse_config_last_reload_successful{}", "0+0", "1+0"),
    (
        "sidefuse_state_file_writes_total{result=\"failed\"}",
        "0+1",
        "0+0",
    ),
    ("sidefuse_config_info{revision=\"deadbeef\"}", "1+0", "1+0"),
    (
        "sidefuse_build_info{version=\"1\",revision=\"cafe\"}",
        "1+0",
        "1+0",
    ),
    ("process_open_fds{}", "900+0", "90+0"),
    ("process_max_fds{}", "1000+0", "1000+0"),
];

fn page() -> Page {
    Page::named("metrics").unwrap()
}

fn blocks(language: &str, beginning: &str) -> Vec<String> {
    let wanted = |text: &String| text.starts_with(beginning);
    let blocks = blocks_of(page().text).into_iter();
    let blocks = blocks.filter(|block| block.language == language);
    blocks.map(|block| block.text).filter(wanted).collect()
}

fn alerts() -> String {
    let mut blocks = blocks("yml", "groups:");
    assert_eq!(blocks.len(), 1, "one file of rules");
    blocks.remove(0)
}

fn family(series: &str) -> &'static Family {
    let name = series.split('{').next().unwrap();
    let of = |name: &str| ALL.iter().find(|family| family.name == name);
    let parts = ["_bucket", "_sum", "_count"];
    let whole = parts.iter().find_map(|part| name.strip_suffix(part));
    of(name)
        .or_else(|| of(whole?))
        .unwrap_or_else(|| panic!("there is no {name}"))
}

/// The names that follow one of these beginnings in the text.
fn named<'a>(text: &'a str, beginning: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(beginning).map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// The number with a blank between its groups of three digits.
fn grouped(number: usize) -> String {
    let (thousands, rest) = (number / 1_000, number % 1_000);
    if thousands == 0 {
        return rest.to_string();
    }
    format!("{} {rest:03}", grouped(thousands))
}

fn promtool(arguments: &[&str], file: &std::path::Path) {
    let mut command = Command::new(tool("promtool"));
    let output = command.args(arguments).arg(file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&said),
        fs::read_to_string(file).unwrap()
    );
}

#[test]
fn the_page_has_every_family_with_its_type_its_labels_and_what_it_means_and_no_other() {
    let rows: BTreeSet<String> = page()
        .text
        .lines()
        .filter(|line| line.starts_with("| `sidefuse_") || line.starts_with("| `process_"))
        .map(|row| row.split(" | ").take(3).collect::<Vec<_>>().join(" | "))
        .collect();
    let known: BTreeSet<String> = ALL
        .iter()
        .map(|family| {
            let labels: Vec<_> = family.labels.iter().map(|it| format!("`{it}`")).collect();
            let labels = if labels.is_empty() {
                "–".to_owned()
            } else {
                labels.join(", ")
            };
            format!("| `{}` | {} | {labels}", family.name, family.kind.label())
        })
        .collect();
    assert_eq!(rows, known);
    for family in ALL {
        let row = page().text.lines().find(|line| {
            line.starts_with(&format!("| `{}` |", family.name))
                && line.contains(&format!(" | {}", family.help))
        });
        assert!(row.is_some(), "{}: {}", family.name, family.help);
    }
    for name in named(page().text, "sidefuse_") {
        // A pattern of several names.
        if name != "sidefuse_" {
            family(name);
        }
    }
}

#[test]
fn the_page_has_every_label_and_every_word_of_one() {
    let section = page().section("The words of the labels").unwrap();
    let words = (MethodLabel::all().map(MethodLabel::label))
        .chain(CodeClass::ALL.map(CodeClass::label))
        .chain(Outcome::ALL.map(Outcome::label))
        .chain(Cause::ALL.map(Cause::label))
        .chain(RetryResult::ALL.map(RetryResult::label))
        .chain(ProbeResult::ALL.map(ProbeResult::label))
        .chain(DnsResult::ALL.map(DnsResult::label))
        .chain(FallbackLabel::ALL.map(FallbackLabel::label))
        .chain(LimitLabel::ALL.map(LimitLabel::label))
        .chain(WriteResult::ALL.map(WriteResult::label))
        .chain(ALL.iter().flat_map(|family| family.labels).copied());
    for word in words {
        assert!(section.contains(&format!("`{word}`")), "{word}");
    }
}

/// A file of tests for `promtool`: in trouble each question has an answer and each alert fires, and when all is well no alert does.
fn tests(alerts: &str) -> String {
    let mut text = "rule_files: [alerts.yaml]\nevaluation_interval: 1m\ntests:\n".to_owned();
    for is_sick in [true, false] {
        text += "  - interval: 1m\n    input_series:\n";
        for (series, sick, well) in STORY {
            let values = if is_sick { sick } else { well };
            let series = series.replace('}', ",instance=\"a\",job=\"sidefuse\"}");
            let series = series.replace("{,", "{");
            text += &format!("      - {{series: '{series}', values: '{values}x800'}}\n");
        }
        let other = if is_sick { "cafe" } else { "deadbeef" };
        text += &format!(
            "      - {{series: 'sidefuse_config_info{{revision=\"{other}\",instance=\"b\",job=\"sidefuse\"}}', values: '1x800'}}\n"
        );
        text += "    promql_expr_test:\n      - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n        eval_time: 13h\n";
        if !is_sick {
            text += "        exp_samples: []\n";
            continue;
        }
        text += "        exp_samples:\n";
        for alert in alerts
            .lines()
            .filter_map(|line| line.split_once("- alert: "))
        {
            text += &format!(
                "          - {{labels: '{{alertname=\"{}\"}}', value: 1}}\n",
                alert.1
            );
        }
        for question in blocks("promql", "") {
            let question = question.trim();
            text += &format!(
                "      - expr: 'count({question}) > bool 0'\n        eval_time: 13h\n        exp_samples: [{{labels: '{{}}', value: 1}}]\n"
            );
        }
    }
    text
}

#[test]
fn every_question_is_answered_and_every_alert_fires_in_trouble_and_none_when_all_is_well() {
    for (series, ..) in STORY {
        let labels: Vec<&str> = series.split(['{', ',']).skip(1).collect();
        let labels = labels.iter().filter_map(|label| label.split_once('='));
        let labels: Vec<&str> = labels
            .map(|(name, _)| name)
            .filter(|it| *it != "le")
            .collect();
        assert_eq!(labels, family(series).labels, "{series}");
    }
    let folder = tempfile::tempdir().unwrap();
    let alerts = alerts();
    let rules = folder.path().join("alerts.yaml");
    fs::write(&rules, &alerts).unwrap();
    promtool(&["check", "rules"], &rules);
    let told = folder.path().join("tests.yaml");
    fs::write(&told, tests(&alerts)).unwrap();
    promtool(&["test", "rules"], &told);
}

#[test]
fn prometheus_takes_the_ways_to_scrape_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let files = blocks("yml", "scrape_configs:");
    assert_eq!(files.len(), 2);
    for (place, text) in files.iter().enumerate() {
        let file = folder.path().join(format!("{place}.yaml"));
        fs::write(&file, text).unwrap();
        promtool(&["check", "config"], &file);
    }
}

#[test]
fn a_route_and_each_of_its_policies_have_as_many_series_as_the_page_says() {
    const POLICIES: [(&str, &str, usize); 9] = [
        ("retry", "retry: {attempts: 2}", 7),
        ("fallback", "fallback: {respond: {status: 200}}", 3),
        ("probe", "probe: {path: /, every: 24h}", 3),
        ("breaker-ramp", "breaker: {ramp: {}}", 1),
        ("breaker-key", "breaker: {key: {header: X-Tenant-ID}}", 4),
        ("shadow", "shadow: {strict: {failure_threshold: 1}}", 3),
        ("limits-concurrency", "limits: {concurrency: {max: 1}}", 23),
        ("throttle-wait", "throttle: {wait: 1s}", 21),
        ("stale", "fallback: {stale: {coalesce: true}}", 6),
    ];
    let origin = Origin::start(|_| Answer::status(200, &[], ""));
    let mut routes = vec![route("plain", &origin.url(), "")];
    for (name, settings, _) in POLICIES {
        routes.push(route(name, &origin.url(), settings));
    }
    let mut sidefuse = Sidefuse::start(&config(&routes));
    let series = |metrics: &Metrics, route: &str| {
        let labels = [format!("route=\"{route}\""), format!("breaker=\"{route}\"")];
        let all = metrics.series();
        let of = |series: &&&str| labels.iter().any(|label| series.contains(label));
        all.iter().filter(of).count()
    };
    let metrics = Metrics::of(sidefuse.health());
    let says = |what: &str| assert!(page().text.contains(what), "{what}");

    let idle = series(&metrics, "plain");
    let routes: usize = POLICIES.iter().map(|(.., more)| more + idle).sum();
    let own = metrics.series().len() - routes - idle;
    for (name, _, more) in POLICIES {
        assert_eq!(series(&metrics, name), idle + more, "{name}");
        // What `stale` has is in the row of `fallback`.
        if name != "stale" {
            says(&format!("| `{}` | {more}", name.replacen('-', ".", 1)));
        }
    }
    assert_eq!(
        Client::connect(sidefuse.proxy()).get("/plain/").status(),
        200
    );
    // It is counted after its caller has the answer.
    let is_access = |line: &Value| line.get("requestMethod").is_some();
    sidefuse.process().wait_for_lines(1, is_access);
    let called = series(&Metrics::of(sidefuse.health()), "plain");
    says(&format!(
        "Each route has {idle} series before its first call and {called} after it; the process has {own} of its own."
    ));
    for routes in [1_000, 10_000] {
        for each in [idle, called] {
            let count = routes * each + own;
            says(&format!("{} series", grouped(count)));
        }
    }
}

//! What good rules of `classify` mean.

use std::time::Duration;

use super::plan::{RefusalForm, RoutePlan};
use super::*;
use crate::resilience::{
    Conditions, Expected, Outcome, Pattern, Pointer, Rule, Rules, Scope, Signal, Statuses, Then,
    When,
};

fn plan_of(text: &str) -> RoutePlan {
    let route = good(text).plan.routes.remove("partner");
    std::sync::Arc::unwrap_or_clone(route.unwrap())
}

/// The rules as lines: what they ask for and decide.
fn told(rules: &Rules) -> Vec<String> {
    rules
        .iter()
        .map(|rule| match rule.when() {
            When::Answer(Conditions { json, .. }) => {
                let codes: Vec<String> = json
                    .iter()
                    .map(|(pointer, values)| {
                        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                        format!("{pointer} {}", values.join(" "))
                    })
                    .collect();
                format!("{} {}", codes.join(" "), rule.then().outcome.label())
            }
            When::Error(labels) => format!("{labels:?} {}", rule.then().outcome.label()),
        })
        .collect()
}

#[test]
fn a_rule_means_what_it_says() {
    let plan = plan_of(&route(
        "classify:
  - {status: [404, 500-503, 3xx], as: failure}
  - {header: {X-Mood: \"bad*\", X-Other: }, as: throttled, scope: key, pause: 30s}
  - json: {/error/code: [4, 200-299, \"-1\", RATE_*], /error/type: }
    as: alive
    config_error: true
  - {status: any, json: {/ok: false}, as: failure}
  - {error: [timeout, reset], as: ignored}
",
    ));
    let pointer = |text| Pointer::parse(text).unwrap();
    let number = |number| Expected::Numbers(number, number);
    let expected = [
        Rule::of_answers(
            Conditions::new(Statuses::of([(300, 399), (404, 404), (500, 503)])),
            Then::new(Outcome::Failure),
        ),
        Rule::of_answers(
            Conditions {
                headers: vec![
                    ("x-mood".parse().unwrap(), Some(Pattern::new("bad*"))),
                    ("x-other".parse().unwrap(), None),
                ],
                ..Conditions::new(Statuses::ANY)
            },
            Then {
                signal: Signal {
                    scope: Scope::Key,
                    pause: Some(Duration::from_secs(30)),
                },
                ..Then::new(Outcome::Throttled)
            },
        ),
        Rule::of_answers(
            Conditions {
                json: vec![
                    (
                        pointer("/error/code"),
                        vec![
                            number(4),
                            Expected::Numbers(200, 299),
                            number(-1),
                            Expected::Text(Pattern::new("RATE_*")),
                        ],
                    ),
                    (pointer("/error/type"), vec![]),
                ],
                ..Conditions::new(Statuses::REFUSING)
            },
            Then {
                config_error: true,
                ..Then::new(Outcome::Alive)
            },
        ),
        Rule::of_answers(
            Conditions {
                json: vec![(pointer("/ok"), vec![Expected::Text(Pattern::new("false"))])],
                ..Conditions::new(Statuses::ANY)
            },
            Then::new(Outcome::Failure),
        ),
        Rule::of_errors(vec!["timeout", "reset"], Then::new(Outcome::Ignored)),
    ];
    assert_eq!(plan.classify, expected.into_iter().collect());
}

#[test]
fn a_route_has_its_presets_rules_its_own_or_both() {
    let rules = |settings: &str| told(&plan_of(&route(settings)).classify);
    let of_preset = rules("preset: whatsapp");
    assert_eq!(of_preset.len(), 5);
    assert_eq!(
        of_preset.last().map(String::as_str),
        Some("/error/code  alive"),
        "the last takes every other code"
    );
    assert!(rules("").is_empty() && rules("preset: whatsapp\nclassify: []").is_empty());
    let own = "classify: [{json: {/error/code: 131026}, as: ignored}";
    assert_eq!(
        rules(&format!("preset: whatsapp\n{own}]")),
        ["/error/code 131026 ignored"]
    );
    let both = rules(&format!("preset: whatsapp\n{own}, inherited]"));
    assert_eq!(both[0], "/error/code 131026 ignored");
    assert_eq!(both[1..], of_preset);
}

#[test]
fn routes_with_the_same_rules_share_them() {
    let text = "\
version: 1
routes:
  a: {preset: whatsapp, upstream: https://a.example.com}
  b: {preset: whatsapp, upstream: https://b.example.com}
";
    let plan = good(text).plan;
    let first = |name: &str| std::ptr::from_ref(plan.routes[name].classify.iter().next().unwrap());
    assert_eq!(first("a"), first("b"));
}

#[test]
fn whatsapp_refuses_in_the_form_of_graph_unless_told_otherwise() {
    let form = |settings: &str| plan_of(&route(settings)).refusals;
    assert_eq!(form(""), RefusalForm::Problem);
    assert_eq!(form("preset: whatsapp"), RefusalForm::Graph);
    assert_eq!(
        form("preset: whatsapp\nrefusals: problem"),
        RefusalForm::Problem
    );
    assert_eq!(form("refusals: graph"), RefusalForm::Graph);
}

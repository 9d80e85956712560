//! Random rules give what a naive evaluator gives.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::resilience::rule::*;
use crate::resilience::{Label, Scope, Signal};

/// A rule as a person would hold it: everything spelt out.
#[derive(Clone, Debug)]
struct Written {
    statuses: Vec<(u16, u16)>,
    header: Option<(&'static str, Option<&'static str>)>,
    json: Option<(&'static str, Vec<i64>, Vec<&'static str>)>,
    errors: Vec<&'static str>,
    outcome: Outcome,
    key: bool,
}

const LABELS: [&str; 3] = ["timeout", "reset", "dns"];

fn written() -> impl Strategy<Value = Written> {
    let status = prop_oneof![Just(200_u16), Just(400), Just(429), Just(500), Just(503)];
    let header = (
        prop_oneof![Just("x-a"), Just("x-b")],
        proptest::option::of(prop_oneof![Just("one"), Just("o*"), Just("*"), Just("t*o")]),
    );
    let json = (
        prop_oneof![Just("/code"), Just("/error/code"), Just("/list/1")],
        vec(0_i64..4, 0..3),
        vec(prop_oneof![Just("one"), Just("true"), Just("t*")], 0..2),
    );
    (
        vec((status.clone(), status), 0..3),
        proptest::option::of(header),
        proptest::option::of(json),
        vec(proptest::sample::select(&LABELS[..]), 0..2),
        proptest::sample::select(&Outcome::ALL[..]),
        any::<bool>(),
    )
        .prop_map(|(statuses, header, json, errors, outcome, key)| Written {
            statuses,
            header,
            json,
            errors,
            outcome,
            key,
        })
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_i64..4).prop_map(Value::from),
        (0_i64..4).prop_map(|number| Value::from(number.to_string())),
        prop_oneof![Just("one"), Just("two"), Just("true")].prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([1])),
    ]
}

fn body() -> impl Strategy<Value = Option<Value>> {
    let some = (value(), value(), value())
        .prop_map(|(a, b, c)| json!({"code": a, "error": {"code": b}, "list": [null, c]}));
    proptest::option::of(some)
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let one = (
        prop_oneof![Just("x-a"), Just("x-b"), Just("retry-after")],
        prop_oneof![Just("one"), Just("two"), Just("3")],
    );
    vec(one, 0..4).prop_map(|all| {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        map
    })
}

fn compiled(written: &Written) -> Rule {
    let then = Then {
        outcome: written.outcome,
        signal: Signal {
            scope: if written.key {
                Scope::Key
            } else {
                Scope::Route
            },
            pause: None,
        },
        config_error: written.key,
    };
    if !written.errors.is_empty() {
        return Rule::of_errors(written.errors.clone(), then);
    }
    let statuses = if written.statuses.is_empty() {
        Statuses::ANY
    } else {
        Statuses::of(written.statuses.iter().copied())
    };
    let header = written
        .header
        .map(|(name, value)| (HeaderName::from_static(name), value.map(Pattern::new)));
    let json = written.json.as_ref().map(|(pointer, numbers, texts)| {
        let numbers = numbers
            .iter()
            .map(|number| Expected::Numbers(*number, *number));
        let texts = texts.iter().map(|text| Expected::Text(Pattern::new(text)));
        (
            Pointer::parse(pointer).unwrap(),
            numbers.chain(texts).collect(),
        )
    });
    let conditions = Conditions {
        statuses,
        headers: header.into_iter().collect(),
        json: json.into_iter().collect(),
    };
    Rule::of_answers(conditions, then)
}

/// One star at the most.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, end)) => {
            text.len() >= begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end)
        }
    }
}

fn holds(rule: &Written, answer: &Answer<'_>) -> bool {
    let status = rule.statuses.is_empty()
        || rule
            .statuses
            .iter()
            .any(|(a, b)| *a <= answer.status && answer.status <= *b);
    let header = rule.header.is_none_or(|(name, pattern)| {
        answer
            .headers
            .get_all(name)
            .iter()
            .any(|value| pattern.is_none_or(|pattern| like(pattern, value.to_str().unwrap())))
    });
    let json = rule.json.as_ref().is_none_or(|(pointer, numbers, texts)| {
        let Some(found) = answer.json.and_then(|body| body.pointer(pointer)) else {
            return false;
        };
        let written = match found {
            Value::Null | Value::Array(_) | Value::Object(_) => None,
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(found.to_string()),
        };
        if numbers.is_empty() && texts.is_empty() {
            return *found != Value::Null;
        }
        written.is_some_and(|written| {
            numbers.iter().any(|number| number.to_string() == written)
                || texts.iter().any(|text| like(text, &written))
        })
    });
    rule.errors.is_empty() && status && header && json
}

proptest! {
    #[test]
    fn rules_equal_a_naive_evaluator(
        written in vec(written(), 0..6),
        status in prop_oneof![Just(200_u16), Just(404), Just(429), Just(500), Just(503)],
        headers in headers(),
        body in body(),
    ) {
        let rules: Rules = written.iter().map(compiled).collect();
        let answer = Answer { status, headers: &headers, json: body.as_ref() };
        let found = rules.of_answer(&answer);
        let expected = written.iter().find(|rule| holds(rule, &answer));
        let outcome = expected.map_or_else(
            || Outcome::of_status(status, headers.contains_key("retry-after")),
            |rule| rule.outcome,
        );
        prop_assert_eq!(found.outcome, outcome);
        prop_assert_eq!(found.label, (outcome == Outcome::Failure).then_some(Label::Status(status)));
        prop_assert_eq!(found.signal.is_some(), outcome == Outcome::Throttled);
        prop_assert_eq!(found.config_error, expected.is_some_and(|rule| rule.key));
        if let Some(signal) = found.signal {
            prop_assert_eq!(signal.scope == Scope::Key, expected.is_some_and(|rule| rule.key));
        }
        for label in LABELS {
            let named = written.iter().find(|rule| rule.errors.contains(&label));
            prop_assert_eq!(rules.of_error(label).outcome, named.map_or(Outcome::Failure, |rule| rule.outcome));
        }
        // What is not wanted cannot matter.
        if !rules.want_body(status, &headers) {
            prop_assert_eq!(rules.of_answer(&Answer { json: None, ..answer }), found);
        }
    }

    #[test]
    fn a_covered_rule_never_decides(
        first in written(), second in written(), status in 100_u16..600, headers in headers(), body in body(),
    ) {
        let (first, second) = (compiled(&first), compiled(&second));
        if first.covers(&second) {
            let answer = Answer { status, headers: &headers, json: body.as_ref() };
            let alone: Rules = [first.clone()].into_iter().collect();
            let both: Rules = [first, second].into_iter().collect();
            prop_assert_eq!(both.find(&answer), alone.find(&answer));
        }
    }
}

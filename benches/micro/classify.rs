//! What an answer proves: by the default, by rules, and by a code in its body.

use std::hint::black_box;

use criterion::Criterion;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use sidefuse::resilience::{
    Answer, Conditions, Expected, Outcome, Pointer, Rule, Rules, Statuses, Then,
};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    for name in ["content-type", "date", "server", "x-fb-trace-id"] {
        headers.insert(name, HeaderValue::from_static("something"));
    }
    let mut group = criterion.benchmark_group("classify");
    group.bench_function("no rules", |bencher| {
        let (rules, answer) = (Rules::default(), answer(&headers, None));
        bencher.iter(|| rules.of_answer(black_box(&answer)));
    });
    group.bench_function("12 rules by code, want the body", |bencher| {
        let rules = by_code();
        bencher.iter(|| rules.want_body(black_box(400), &headers));
    });
    group.bench_function("12 rules by code, the last holds", |bencher| {
        let body = json!({"error": {"message": "Recipient not available", "code": 131_026}});
        let (rules, answer) = (by_code(), answer(&headers, Some(&body)));
        bencher.iter(|| rules.of_answer(black_box(&answer)));
    });
    group.finish();
}

fn answer<'a>(headers: &'a HeaderMap, json: Option<&'a Value>) -> Answer<'a> {
    Answer {
        status: 400,
        headers,
        json,
    }
}

/// Eleven codes, then any other.
fn by_code() -> Rules {
    let rule = |expected: Vec<Expected>| {
        let pointer = Pointer::parse("/error/code").expect("it is one");
        let conditions = Conditions {
            json: vec![(pointer, expected)],
            ..Conditions::new(Statuses::REFUSING)
        };
        Rule::of_answers(conditions, Then::new(Outcome::Alive))
    };
    (0..11)
        .map(|code| rule(vec![Expected::Numbers(code, code)]))
        .chain([rule(Vec::new())])
        .collect()
}

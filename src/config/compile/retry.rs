//! `retry:` of a route.

use super::{Scope, statuses::ends};
use crate::config::fields::Fields;
use crate::config::problem::{Code, Problem};
use crate::config::standard;
use crate::config::suggest::nearest;
use crate::config::tree::{Entry, Span, Value};
use crate::config::units::Invalid;
use crate::resilience::{RetryOn, RetrySpec};

/// One item of `retry_on`.
enum Item {
    Word(&'static str),
    Statuses(std::ops::RangeInclusive<u16>),
}

/// The retry policy of a route; `None` if it makes no retries.
pub(super) fn retry(fields: &mut Fields<'_, '_>, scope: Scope) -> Option<RetrySpec> {
    let entries = fields.entries();
    let place = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key.text == key);
        entry.map_or(Span::BUILT_IN, |Entry { key, .. }| key.span)
    };
    let mut spec = RetrySpec {
        attempts: fields.setting_with("attempts", |text| {
            (text == "0").then_some("write `1` for no retry: the first attempt counts")
        }),
        ..RetrySpec::default()
    };
    let names_nothing = entries.iter().any(|Entry { key, node }| {
        key.text == "retry_on" && matches!(&node.value, Value::Sequence(items) if items.is_empty())
    });
    let written = fields.list("retry_on", item);
    spec.on = written.map_or(spec.on, |items| {
        if names_nothing {
            let problem = Problem::error(
                Code::Retry,
                place("retry_on"),
                "`retry_on` names nothing, so nothing is ever retried",
            );
            fields.problems.push(
                problem.hint("remove it for the usual endings, or say `attempts: 1` for no retry"),
            );
        }
        list(&items)
    });
    spec.backoff.base = fields.setting("base");
    spec.backoff.max = fields
        .read("max")
        .unwrap_or_else(|| standard::longest_wait(spec.backoff.base));
    spec.max_retry_after = fields.setting("max_retry_after");
    spec.non_idempotent = fields.setting("retry_non_idempotent");
    let Scope::Route(route) = scope else {
        return None;
    };
    if spec.backoff.base > spec.backoff.max {
        let at = place("base").or(place("max")).or(route);
        fields.problems.push(Problem::error(
            Code::Retry,
            at,
            "`base` is longer than `max`, so the wait never grows",
        ));
    }
    (spec.attempts > 1).then_some(spec)
}

fn list(items: &[Item]) -> RetryOn {
    let words = items.iter().filter_map(|item| match item {
        Item::Word(word) => Some(*word),
        Item::Statuses(_) => None,
    });
    let ranges = items.iter().filter_map(|item| match item {
        Item::Statuses(range) => Some(range.clone()),
        Item::Word(_) => None,
    });
    RetryOn {
        words: words.collect(),
        statuses: ranges.flatten().collect(),
    }
}

/// `reset`, `503`, `5xx` or `500-504`.
fn item(text: &str) -> Result<Item, Invalid> {
    let words = RetryOn::WORDS;
    if let Some(word) = words.iter().find(|word| **word == text) {
        return Ok(Item::Word(word));
    }
    // Only two of the classes are failures; others count as unknown words.
    let is_known = !text.ends_with("xx") || ["4xx", "5xx"].contains(&text);
    match ends(text).filter(|_| is_known) {
        Some((low, high)) if low <= high && low >= 400 && high <= 599 => {
            Ok(Item::Statuses(low..=high))
        }
        Some((low, high)) if low > high => Err(Invalid::new(
            Code::OutOfRange,
            "holds a range that ends before it begins",
        )),
        Some(_) => Err(Invalid::new(
            Code::OutOfRange,
            "holds a status that is no failure: they are from 400 to 599",
        )),
        None => {
            let invalid = Invalid::new(
                Code::UnknownWord,
                format!(
                    "holds neither a status (`503`, `5xx`, `500-504`) nor one of {}",
                    words.map(|word| format!("`{word}`")).join(", ")
                ),
            );
            Err(match (of_others(text), nearest(text, words)) {
                (Some(ours), _) => invalid.hint(format!("write {ours}")),
                (None, Some(meant)) => invalid.hint(format!("did you mean `{meant}`?")),
                (None, None) => invalid,
            })
        }
    }
}

/// What Envoy and nginx call it.
fn of_others(word: &str) -> Option<&'static str> {
    Some(match word {
        "gateway-error" => "`502-504`",
        "connect-failure" => "`dns`, `connect`, `connect_timeout`",
        "refused-stream" | "reset-before-request" => "`reset`",
        "retriable-4xx" => "`409`",
        "retriable-status-codes" => "the statuses themselves",
        "envoy-ratelimited" | "http_429" => "`429`",
        "error" => "`connect`, `reset`",
        "invalid_header" => "`protocol`",
        "http_500" => "`500`",
        "http_502" => "`502`",
        "http_503" => "`503`",
        "http_504" => "`504`",
        _ => return None,
    })
}

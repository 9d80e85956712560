//! What the page of operations says of the keys of log lines; every line of every process that a test runs is held to it.

use std::collections::BTreeMap;

use serde_json::Value;
use sidefuse::docs::Page;

/// Each key with its type.
fn told() -> BTreeMap<&'static str, &'static str> {
    let page = Page::named("operations").unwrap();
    let log = page.section("The log").unwrap();
    let rows = log.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let mut cells = row.trim_start_matches("| ").split(" | ");
        let (keys, kind) = (cells.next().unwrap(), cells.next().unwrap());
        keys.split(", ")
            .map(move |key| (key.trim_matches('`'), kind))
    })
    .collect()
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "text" => value.is_string(),
        "number" => value.is_number(),
        "true" => *value == true,
        "true or false" => value.is_boolean(),
        "text or number" => value.is_string() || value.is_number(),
        other => panic!("no type: {other}"),
    }
}

/// What is wrong with the keys of these lines. What is no log line is passed over.
pub(super) fn wrong(lines: impl Iterator<Item = Value>) -> Vec<String> {
    let told = told();
    let mut wrong = Vec::new();
    for line in lines {
        let Some(keys) = line.as_object().filter(|keys| keys.contains_key("msg")) else {
            continue;
        };
        for (key, value) in keys {
            match told.get(&**key) {
                None => wrong.push(format!("the page has no `{key}`: {line}")),
                Some(kind) if is_of(value, kind) => {}
                Some(kind) => wrong.push(format!("`{key}` is told to be {kind}: {line}")),
            }
        }
    }
    wrong
}

mod tests {
    use serde_json::json;

    use super::*;
    use crate::support::source::Source;

    #[test]
    fn a_key_that_the_page_does_not_have_or_has_as_another_type_is_found() {
        let lines = [
            json!({"msg": "Endpoint ejected", "failuresInARow": 5, "endpoint": "a:1"}),
            json!({"msg": "Endpoint ejected", "failures": 5}),
            json!({"msg": "Endpoint ejected", "fail": "5"}),
            json!({"code": "C012"}),
        ];
        let found = wrong(lines.into_iter());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("`failures` is told to be text"));
        assert!(found[1].starts_with("the page has no `fail`"));
    }

    #[test]
    fn the_page_of_the_log_has_no_key_that_no_line_has() {
        let sources = Source::all_below("src");
        for key in told().keys() {
            let snake: String = key
                .chars()
                .map(|char| match char {
                    'A'..='Z' => format!("_{}", char.to_ascii_lowercase()),
                    _ => char.to_string(),
                })
                .collect();
            let is_there = |text: &str| text.contains(*key) || text.contains(&snake);
            assert!(sources.iter().any(|source| is_there(&source.text)), "{key}");
        }
    }
}

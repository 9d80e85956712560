//! Values one by one, each under its full key, also as JSON.

use serde_json::{Map, Value as Json};

use super::item::{Item, Style, Variable, What};
use super::yaml;

/// A value in force and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its key: `breaker.failure_threshold`, `fallback[0].stale.max_age`.
    pub key: String,
    /// The value; `None` if words say what counts.
    pub value: Option<Json>,
    /// The value as a file would have it, or the words.
    pub text: String,
    /// Where it comes from: `config.yaml:14:7`, `preset partner-api (config.yaml:9:5)`, `built-in`.
    pub origin: String,
}

/// The widest value that stands in one line with its origin.
const WIDEST: usize = 32;

/// The values below these items.
pub(super) fn rows(items: &[(String, Item)], file: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (key, item) in items {
        add(key, item, file, &mut rows);
    }
    rows
}

fn add(key: &str, item: &Item, file: &str, rows: &mut Vec<Row>) {
    match &item.what {
        What::Mapping(entries) if !entries.is_empty() && !item.is_whole => {
            for (inner, item) in entries {
                add(&format!("{key}.{inner}"), item, file, rows);
            }
        }
        What::List(items) if !item.is_whole && items.iter().any(Item::is_mapping) => {
            for (at, item) in items.iter().enumerate() {
                add(&format!("{key}[{at}]"), item, file, rows);
            }
        }
        What::Text(..) | What::Null | What::List(_) | What::Mapping(_) | What::Said(_) => {
            rows.push(Row {
                key: key.to_owned(),
                value: json(item),
                text: yaml::flow(item),
                origin: origin(item, file),
            });
        }
    }
}

/// The origin, with the variables of the environment that contribute.
fn origin(item: &Item, file: &str) -> String {
    let mut text = item.origin.show(file);
    for Variable { name, is_set } in item.all_variables() {
        text.push_str(", ");
        text.push_str(name);
        text.push_str(if *is_set { " is set" } else { " is not set" });
    }
    text
}

impl Row {
    /// As JSON: `{key, value, origin}`, or with `otherwise` if words say what counts.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut row = Map::new();
        row.insert("key".to_owned(), Json::from(self.key.as_str()));
        match &self.value {
            Some(value) => row.insert("value".to_owned(), value.clone()),
            None => row.insert("otherwise".to_owned(), Json::from(self.text.as_str())),
        };
        row.insert("origin".to_owned(), Json::from(self.origin.as_str()));
        Json::Object(row)
    }
}

/// The rows as a table for people.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let width = |text: &str| text.chars().count();
    let widest = |of: fn(&Row) -> &str| rows.iter().map(|row| width(of(row))).max().unwrap_or(0);
    let keys = widest(|row| &row.key);
    let fitting = rows.iter().map(|row| width(&row.text));
    let values = fitting.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut table = String::new();
    for Row {
        key, text, origin, ..
    } in rows
    {
        let line = if width(text) <= values {
            format!("{key:keys$}  {text:values$}  {origin}\n")
        } else {
            format!(
                "{key:keys$}  {text}\n{:1$}  {origin}\n",
                "",
                keys + 2 + values
            )
        };
        table.push_str(&line);
    }
    table
}

/// A value as JSON; `None` for words.
pub(super) fn json(item: &Item) -> Option<Json> {
    Some(match &item.what {
        What::Text(text, Style::Number) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str()))
        }
        What::Text(text, Style::Any | Style::Quoted | Style::Bare) => Json::from(text.as_str()),
        What::Null => Json::Null,
        What::List(items) => Json::Array(items.iter().filter_map(json).collect()),
        What::Mapping(entries) => Json::Object(
            entries
                .iter()
                .filter_map(|(key, item)| Some((key.clone(), json(item)?)))
                .collect(),
        ),
        What::Said(_) => return None,
    })
}

//! The descriptions of all keys as a JSON Schema (2020-12), for editors, Helm and other checks before a file is deployed.
//!
//! It refuses nothing that the walk takes. What it cannot say (that a preset exists, that two times fit together) the walk says.

use serde_json::{Map, Value, json};

use super::keys::{Choice, Conflict, FILE, Form, Key, Kind, Once, Section, Unwritten};
use super::units::{spell_size, spell_time};

/// A number with a unit, or without decimals.
const NUMBER: &str = r"[0-9]+(\.[0-9]+)?";

/// The schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut defs = Definitions::default();
    let file = defs.mapping(&FILE);
    let mut root = Map::new();
    root.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    root.insert("title".to_owned(), json!("sidefuse configuration"));
    root.insert(
        "description".to_owned(),
        json!("What `sidefuse check` takes. Texts may hold references to the environment: `${VAR}`, `${VAR:-default}`."),
    );
    root.extend(file);
    let mut all = texts();
    all.extend(
        defs.done
            .into_iter()
            .map(|(name, def)| (name.to_owned(), def)),
    );
    root.insert("$defs".to_owned(), Value::Object(all));
    Value::Object(root)
}

/// Texts that stand for values of some type.
fn texts() -> Map<String, Value> {
    let parts = ["h", "m", "s", "ms"]
        .map(|unit| format!("({NUMBER}{unit})?"))
        .concat();
    let text = |what: &str, pattern: String| json!({"description": what, "type": "string", "pattern": pattern});
    let mut texts = Map::new();
    for (name, def) in [
        (
            "reference",
            text(
                "a text with a reference to the environment",
                r"\$\{".to_owned(),
            ),
        ),
        (
            "duration",
            text(
                "a duration such as `500ms`, `30s` or `1m30s`",
                format!("^(?=.){parts}$"),
            ),
        ),
        (
            "size",
            text(
                "a size such as `64KiB` or `10MB`",
                format!("^{NUMBER}(B|KB|MB|GB|KiB|MiB|GiB)$"),
            ),
        ),
        (
            "share",
            text(
                "a share such as `25%` or `0.5%`",
                r"^(0|0*(100(\.0*)?|[0-9]{1,2}(\.[0-9]+)?)%)$".to_owned(),
            ),
        ),
    ] {
        texts.insert(name.to_owned(), def);
    }
    texts
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// One of several, those of a choice within it being of this one.
fn any_of(kinds: impl IntoIterator<Item = Value>) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for mut kind in kinds {
        let inner = match kind.as_object_mut() {
            Some(kind) if kind.len() == 1 => kind.remove("anyOf"),
            Some(_) | None => None,
        };
        match inner {
            Some(Value::Array(inner)) => all.extend(inner),
            Some(_) | None => all.push(kind),
        }
    }
    let mut seen = Vec::with_capacity(all.len());
    all.retain(|kind| {
        let is_new = !seen.contains(kind);
        seen.push(kind.clone());
        is_new
    });
    json!({"anyOf": all})
}

/// Mappings, each defined once however many keys hold one.
#[derive(Default)]
struct Definitions {
    done: Vec<(&'static str, Value)>,
}

impl Definitions {
    fn section(&mut self, section: &'static Section) -> Value {
        if !self.done.iter().any(|(name, _)| *name == section.name) {
            // Its place first, so that definitions stand in the order of the documentation.
            let at = self.done.len();
            self.done.push((section.name, Value::Null));
            let def = Value::Object(self.mapping(section));
            if let Some(place) = self.done.get_mut(at) {
                place.1 = def;
            }
        }
        reference(section.name)
    }

    fn mapping(&mut self, section: &'static Section) -> Map<String, Value> {
        let required: Vec<&str> = section
            .keys()
            .filter(|key| matches!(key.unwritten, Unwritten::Refused))
            .map(|key| key.name)
            .collect();
        let may_be_nothing =
            required.is_empty() && matches!(section.choice, Choice::Any | Choice::OneAtMost(_));
        let mut mapping = Map::new();
        let kind = if may_be_nothing {
            json!(["object", "null"])
        } else {
            json!("object")
        };
        mapping.insert("type".to_owned(), kind);
        let properties: Map<String, Value> = section
            .keys()
            .map(|key| (key.name.to_owned(), self.property(key)))
            .collect();
        mapping.insert("properties".to_owned(), Value::Object(properties));
        if !required.is_empty() {
            mapping.insert("required".to_owned(), json!(required));
        }
        mapping.insert("additionalProperties".to_owned(), json!(false));
        mapping.extend(choice(section.choice));
        mapping.extend(conflict(section).map(|rule| ("allOf".to_owned(), json!([rule]))));
        mapping
    }

    fn property(&mut self, key: &'static Key) -> Value {
        let mut property = Map::new();
        property.insert("description".to_owned(), json!(describe(key)));
        if let Unwritten::Value(text) = key.unwritten {
            property.insert("default".to_owned(), as_json(&key.kind, text));
        }
        if let Value::Object(kind) = self.kind(&key.kind) {
            property.extend(kind);
        }
        if let (Unwritten::Refused, Kind::Named(..)) = (key.unwritten, key.kind) {
            property.insert("type".to_owned(), json!("object"));
            property.insert("minProperties".to_owned(), json!(1));
        }
        property.extend(once(key));
        Value::Object(property)
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Flag => any_of([
                json!({"enum": [true, false, "true", "false"]}),
                reference("reference"),
            ]),
            Kind::Number(least, most) => number("integer", &json!(least), &json!(most)),
            Kind::Decimal(least, most) => number("number", &json!(least), &json!(most)),
            Kind::Time(..) => any_of([reference("duration"), reference("reference")]),
            Kind::Size(..) => any_of([reference("size"), reference("reference")]),
            Kind::Share => any_of([
                reference("share"),
                json!({"const": 0}),
                reference("reference"),
            ]),
            Kind::Word(words) => {
                any_of([json!({"enum": spelled(&words())}), reference("reference")])
            }
            Kind::Text(form) => text(form),
            Kind::List(kind, least, most) => self.list(kind, *least, *most),
            Kind::OneOrMore(kind, most) => {
                let one = self.kind(kind);
                any_of([one, self.list(kind, 1, *most)])
            }
            Kind::Section(section) => self.section(section),
            Kind::Short(section, key) => {
                let short = section.key(key).map(|key| self.kind(&key.kind));
                any_of(short.into_iter().chain([self.section(section)]))
            }
            Kind::Named(form, kind, most) => {
                let mut names = Map::new();
                names.insert("type".to_owned(), json!(["object", "null"]));
                names.insert("propertyNames".to_owned(), json!({"pattern": form.pattern}));
                names.insert("additionalProperties".to_owned(), self.kind(kind));
                if *most < usize::MAX {
                    names.insert("maxProperties".to_owned(), json!(most));
                }
                Value::Object(names)
            }
            Kind::Or(word, kind) => any_of([json!({"const": word}), self.kind(kind)]),
            Kind::Either(one, other) => any_of([self.kind(one), self.kind(other)]),
            Kind::Maybe(kind) => any_of([json!({"type": "null"}), self.kind(kind)]),
            Kind::Json => json!({}),
        }
    }

    fn list(&mut self, kind: &Kind, least: usize, most: usize) -> Value {
        let mut list = json!({"type": "array", "items": self.kind(kind)});
        if let Some(list) = list.as_object_mut() {
            if least > 0 {
                list.insert("minItems".to_owned(), json!(least));
            }
            if most < usize::MAX {
                list.insert("maxItems".to_owned(), json!(most));
            }
        }
        list
    }
}

/// With that key.
fn has(name: &str) -> Value {
    json!({"required": [name]})
}

fn choice(choice: Choice) -> Map<String, Value> {
    let rule = match choice {
        Choice::Any => None,
        Choice::Some => Some(("minProperties", json!(1))),
        Choice::One(names) => Some(("oneOf", names.iter().copied().map(has).collect())),
        Choice::OneAtMost(names) => {
            let pairs = names.iter().enumerate().flat_map(|(at, one)| {
                names[at + 1..]
                    .iter()
                    .map(move |other| json!({"required": [one, other]}))
            });
            Some(("not", any_of(pairs)))
        }
        Choice::Apart(alone, others) => {
            let others = any_of(others.iter().copied().map(has));
            Some(("oneOf", json!([has(alone), others])))
        }
    };
    rule.into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// What the value of one key forbids of that mapping.
fn conflict(section: &Section) -> Option<Value> {
    let rule = match section.conflict? {
        Conflict::NoChoiceWith(key, statuses) => {
            let plain = statuses.iter().map(|status| json!(status.as_u16()));
            let quoted = statuses.iter().map(|status| json!(status.as_str()));
            let statuses: Vec<Value> = plain.chain(quoted).collect();
            let choices = section.choices().iter().copied().map(has);
            json!({
                "if": {"properties": {key: {"enum": statuses}}, "required": [key]},
                "then": {"not": any_of(choices)},
            })
        }
        Conflict::TrueOrList(flag, list) => json!({"not": {
            "properties": {flag: {"enum": [true, "true"]}, list: {"minItems": 1}},
            "required": [flag, list],
        }}),
        Conflict::OnlyTrue(key) => json!({"not": {
            "properties": {key: {"enum": [false, "false"]}},
            "required": [key],
        }}),
    };
    Some(rule)
}

/// What stands in the list of that key once at the most. Of anything else than a list it says nothing.
fn once(key: &Key) -> Map<String, Value> {
    let one = |what: Value| json!({"contains": what, "minContains": 0, "maxContains": 1});
    let rule = match key.once {
        Some(Once::Word(word)) => one(json!({"const": word})),
        Some(Once::With(key)) => one(json!({"required": [key], "type": "object"})),
        Some(Once::Each) => json!({"uniqueItems": true}),
        None => Value::Null,
    };
    rule.as_object().cloned().unwrap_or_default()
}

/// A number as YAML has it, or the same in quotes.
fn number(kind: &str, least: &Value, most: &Value) -> Value {
    let digits = if kind == "integer" {
        "^[0-9]+$"
    } else {
        r"^[0-9]*\.?[0-9]*$"
    };
    any_of([
        json!({"type": kind, "minimum": least, "maximum": most}),
        json!({"type": "string", "pattern": digits}),
        reference("reference"),
    ])
}

/// A text; what YAML takes for a number or a flag is one as well, where any text is good.
fn text(form: &Form) -> Value {
    let text = if form.pattern.is_empty() {
        json!({"description": form.name, "type": "string"})
    } else {
        json!({"description": form.name, "type": "string", "pattern": form.pattern})
    };
    let number = form.numbers.map(|numbers| match numbers {
        (i64::MIN, i64::MAX) => json!({"type": ["number", "boolean"]}),
        (least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
    });
    let reference = (!form.pattern.is_empty()).then(|| reference("reference"));
    any_of([text].into_iter().chain(number).chain(reference))
}

/// Words, and the numbers that YAML makes of some of them.
fn spelled(words: &[&str]) -> Vec<Value> {
    let mut all: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    for word in words {
        if let Ok(number) = serde_json::from_str::<serde_json::Number>(word) {
            all.push(Value::Number(number));
        }
    }
    all
}

/// The meaning of a key, with its range and default if the type cannot say them.
fn describe(key: &Key) -> String {
    let mut text = key.meaning.to_owned();
    if let Some(range) = range(&key.kind) {
        text.push_str(&format!(" {range}."));
    }
    if let Unwritten::Said(said) = key.unwritten {
        text.push_str(&format!(" Without it: {said}."));
    }
    text
}

fn range(kind: &Kind) -> Option<String> {
    if let Kind::Or(_, kind) = kind {
        return range(kind);
    }
    let (least, most) = if let Kind::Time(least, most) = kind {
        (spell_time(*least), spell_time(*most))
    } else if let Kind::Size(least, most) = kind {
        (spell_size(*least), spell_size(*most))
    } else {
        return None;
    };
    Some(format!("From {least} to {most}"))
}

/// A value as a file would have it.
fn as_json(kind: &Kind, text: &str) -> Value {
    if let Kind::Or(word, kind) = kind
        && text != *word
    {
        return as_json(kind, text);
    }
    let is_plain = matches!(kind, Kind::Flag | Kind::Number(..) | Kind::Decimal(..));
    serde_json::from_str(text)
        .ok()
        .filter(|_| is_plain)
        .unwrap_or_else(|| json!(text))
}

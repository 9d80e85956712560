//! The reference of every key, made from the descriptions.

use std::path::Path;

use super::keys::{FILE, Key, Kind, ROUTE, Section, Unwritten};
use super::units::{spell_size, spell_time};
use super::*;

const HEAD: &str = "\
# Reference

Every key: what it may hold, what counts where it is not written, what it means. NAME stands for a name of yours. A value may be a reference
to the environment (`${VAR}`), and shares, durations and sizes have their units. A mapping that is not written is as if all of its keys were not,
and – is nothing: what the key would turn on is off.

";

#[test]
fn the_page_is_that_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/reference.md");
    generated(&path, &page());
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&presets());
    let mut told = Vec::new();
    tell(&FILE, "", &mut told, &mut page);
    page.truncate(page.trim_end().len());
    page + "\n"
}

/// What the built-in presets bring, as it comes out of them.
fn presets() -> String {
    let mut table = String::from(
        "## Built-in presets\n\n| preset | `timeout` | `breaker.failure_threshold` | `breaker.reset_timeout` | besides |\n|---|---|---|---|---|\n",
    );
    for name in built_in_names() {
        let plan = good(&route(&format!("preset: {name}"))).plan;
        let route = &plan.routes["partner"];
        let breaker = route.breaker.keys();
        let mut besides = Vec::new();
        let pool = &route.upstream.pool;
        if pool.max != 256 {
            besides.push(format!(
                "a pool of {} to {} connections, kept for {}",
                pool.min,
                pool.max,
                spell_time(pool.idle_timeout)
            ));
        }
        if route.classify.iter().next().is_some() {
            besides.push(
                "rules for the codes of Meta's Graph API, and refusals in its form".to_owned(),
            );
        }
        if name == preset::DEFAULT {
            besides.push("that of a route which names none".to_owned());
        }
        table.push_str(&format!(
            "| `{name}` | `{}` | {} | `{}` | {} |\n",
            spell_time(route.timeout),
            breaker.failure_threshold,
            spell_time(breaker.reset_timeout),
            if besides.is_empty() {
                "–".to_owned()
            } else {
                besides.join("; ")
            },
        ));
    }
    table
        + "\nAll of them are for calls of HTTP: `database` and `redis` for services in front of such, since no route carries their own protocols.\n\n"
}

/// A section, then those that it holds, each once.
fn tell(section: &'static Section, path: &str, told: &mut Vec<&'static str>, page: &mut String) {
    if told.contains(&section.name) {
        return;
    }
    told.push(section.name);
    if path.is_empty() {
        page.push_str("## The file\n\n");
    } else {
        page.push_str(&format!("## `{path}`\n\n"));
    }
    let shared = match section.name {
        "defaults" | "presets" | "preset" => Some((&ROUTE, "a route")),
        "candidate" => Some((
            breaker(),
            "the breaker, which count where a candidate does not say otherwise",
        )),
        _ => None,
    };
    let is_shared = |key: &Key| {
        shared.is_some_and(|(other, _)| {
            other
                .key(key.name)
                .is_some_and(|other| other.meaning == key.meaning)
        })
    };
    let own: Vec<&Key> = section.keys().filter(|key| !is_shared(key)).collect();
    if !own.is_empty() {
        page.push_str("| key | value | without it | meaning |\n|---|---|---|---|\n");
    }
    for key in &own {
        let row = [
            format!("`{}`", key.name),
            value(&key.kind),
            unwritten(key),
            key.meaning.to_owned(),
        ];
        let row = row.map(|cell| cell.replace('|', "\\|"));
        page.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    if let Some((_, whose)) = shared {
        let names: Vec<String> = section
            .keys()
            .filter(|key| is_shared(key))
            .map(|key| format!("`{}`", key.name))
            .collect();
        let gap = if own.is_empty() { "" } else { "\n" };
        page.push_str(&format!("{gap}As in {whose}: {}.\n", names.join(", ")));
    }
    if !section.later.is_empty() {
        let names = section.later.join("`, `");
        page.push_str(&format!(
            "\nNot in this version, and refused (C013): `{names}`.\n"
        ));
    }
    page.push('\n');
    for key in section.keys() {
        let Some(inner) = key.kind.section() else {
            continue;
        };
        // Routes come first, since the layers below them are told by them.
        if section.name == "file" && matches!(key.name, "defaults" | "presets") {
            continue;
        }
        tell(inner, &below(path, key), told, page);
    }
    if section.name == "file" {
        for name in ["defaults", "presets"] {
            let key = section.key(name).unwrap();
            tell(key.kind.section().unwrap(), &below(path, key), told, page);
        }
    }
}

fn breaker() -> &'static Section {
    ROUTE
        .key("breaker")
        .and_then(|key| key.kind.section())
        .unwrap()
}

/// The path of what stands under a key.
fn below(path: &str, key: &Key) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    let name = if key.kind.is_named() { ".NAME" } else { "" };
    format!("{path}{dot}{}{name}", key.name)
}

fn unwritten(key: &Key) -> String {
    match key.unwritten {
        Unwritten::Nothing => "–".to_owned(),
        Unwritten::Value(value) => format!("`{value}`"),
        Unwritten::Said(said) => said.to_owned(),
        Unwritten::Refused => "must be set".to_owned(),
    }
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Number(least, most) => format!("number, {least} to {most}"),
        Kind::Decimal(least, most) => format!("number with decimals, {least} to {most}"),
        Kind::Time(least, most) => {
            format!("duration, {} to {}", spell_time(*least), spell_time(*most))
        }
        Kind::Size(least, most) => format!("size, {} to {}", spell_size(*least), spell_size(*most)),
        Kind::Share => "share, 0% to 100%".to_owned(),
        Kind::Word(words) => {
            let words: Vec<String> = words().iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::Text(form) => form.name.to_owned(),
        Kind::List(kind, least, most) => {
            let bounds = match (least, most) {
                (0, &usize::MAX) => String::new(),
                (least, &usize::MAX) => format!(" of {least} or more"),
                (least, most) => format!(" of {least} to {most}"),
            };
            format!("list{bounds}: {}", value(kind))
        }
        Kind::OneOrMore(kind, _) => format!("{}; or a list of them", value(kind)),
        Kind::Section(_) => "mapping".to_owned(),
        Kind::Short(section, key) => {
            let short = section
                .key(key)
                .map(|key| value(&key.kind))
                .unwrap_or_default();
            format!("{short}; or a mapping")
        }
        Kind::Named(form, kind, most) => {
            let bound = if *most < usize::MAX {
                format!(" (at most {most})")
            } else {
                String::new()
            };
            format!("mapping{bound} from {} to {}", form.name, value(kind))
        }
        Kind::Or(word, kind) => format!("`{word}`, or {}", value(kind)),
        Kind::Either(one, other) => format!("{}; or {}", value(one), value(other)),
        Kind::Maybe(kind) => format!("nothing, or {}", value(kind)),
        Kind::Json => "anything".to_owned(),
    }
}

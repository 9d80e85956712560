//! The schema says what the walk does, as far as a schema can: an independent validator is asked about the same files.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::catalogue::{Disk, catalogue};
use super::effective::{LAYERED, examples};
use super::keys::{FILE, Kind, Section};
use super::tree::{Node, Value};
use super::units::{spell_size, spell_time};
use super::*;

/// Uses every key there is.
pub(super) const EVERYTHING: &str = include_str!("everything.yaml");
/// What the README calls the smallest file.
pub(super) const SMALLEST: &str =
    "version: 1\nroutes:\n  whatsapp: {preset: whatsapp, upstream: https://graph.facebook.com}\n";

/// What the validator finds wrong with each of the files.
fn judge(files: &[String]) -> Vec<Option<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".venv/bin/python");
    assert!(
        python.is_file(),
        ".venv is absent; run tests/run once, it installs the Python packages"
    );
    let mut child = Command::new(python)
        .arg(root.join("src/config/tests/validate.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let task = serde_json::json!({"schema": schema(), "files": files});
    let mut input = child.stdin.take().unwrap();
    input.write_all(task.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let verdicts: Vec<Option<String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts.len(), files.len());
    verdicts
}

#[test]
fn good_files_fit_the_schema() {
    let disk = Disk::new();
    let files = [EXAMPLE, EVERYTHING, SMALLEST].map(str::to_owned);
    let counting = files.each_ref().map(|text| {
        let loaded = load(text, "config.yaml", &disk.env());
        let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
        Effective::of(&loaded.source).unwrap().yaml()
    });
    let mut all = [files, counting].concat();
    all.push(LAYERED.to_owned());
    all.extend(examples(&disk.env()));
    all.extend(seeds().filter(|text| load(text, "config.yaml", &disk.env()).is_ok()));
    for (text, verdict) in all.iter().zip(judge(&all)) {
        assert_eq!(verdict, None, "{text}");
    }
}

/// What the fuzzer begins with, as far as it is text.
fn seeds() -> impl Iterator<Item = String> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let files = std::fs::read_dir(corpus).unwrap();
    files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
}

/// The rest is what a schema cannot say: names that must exist, times that must fit together, files, what YAML itself forbids.
#[test]
fn bad_files_that_the_schema_lets_pass_are_as_reviewed() {
    let disk = Disk::new();
    let (names, files): (Vec<_>, Vec<_>) = catalogue().into_iter().unzip();
    let mut passed = String::new();
    for ((name, text), verdict) in names.iter().zip(&files).zip(judge(&files)) {
        let report = load(text, "config.yaml", &disk.env()).unwrap_err();
        if verdict.is_none() {
            let errors = report
                .problems()
                .filter(|problem| problem.severity == Severity::Error);
            let codes: BTreeSet<&str> = errors.map(|problem| problem.code.as_str()).collect();
            let codes: Vec<&str> = codes.into_iter().collect();
            passed.push_str(&format!("{}: {name}\n", codes.join(" ")));
        }
    }
    insta::assert_snapshot!(passed);
}

/// A key, with the file that would be around its value.
struct Place {
    /// The mapping that has it, and its name there.
    key: (&'static str, &'static str),
    path: String,
    kind: Kind,
    before: String,
    after: String,
}

fn places() -> Vec<Place> {
    let mut all = Vec::new();
    add_keys(&FILE, "", "", "", &mut all);
    all
}

/// The same, each key of a mapping that several others hold once.
fn distinct_places() -> Vec<Place> {
    let mut all = places();
    // What a route has, in a route.
    all.sort_by_key(|place| !place.path.starts_with("/routes"));
    let mut seen = BTreeSet::new();
    all.retain(|place| seen.insert(place.key));
    all
}

fn add_keys(section: &Section, path: &str, before: &str, after: &str, all: &mut Vec<Place>) {
    for key in section.keys() {
        let beside = beside(section.name, key.name);
        let place = Place {
            key: (section.name, key.name),
            path: format!("{path}/{}", key.name),
            kind: key.kind,
            before: format!("{before}{{{beside}{}: ", key.name),
            after: format!("}}{after}"),
        };
        let inner = (
            place.path.clone(),
            place.before.clone(),
            place.after.clone(),
        );
        all.push(place);
        add_kind(&key.kind, &inner.0, &inner.1, &inner.2, all);
    }
}

fn add_kind(kind: &Kind, path: &str, before: &str, after: &str, all: &mut Vec<Place>) {
    match kind {
        Kind::Section(section) | Kind::Short(section, _) => {
            add_keys(section, path, before, after, all);
        }
        Kind::Or(_, kind) | Kind::Maybe(kind) | Kind::Either(_, kind) => {
            add_kind(kind, path, before, after, all);
        }
        Kind::List(kind, ..) | Kind::OneOrMore(kind, _) => {
            add_kind(kind, path, &format!("{before}["), &format!("]{after}"), all);
        }
        Kind::Named(_, kind, _) => {
            let name = if path.ends_with("presets") {
                "mine"
            } else {
                "partner"
            };
            let (before, after) = (format!("{before}{{{name}: "), format!("}}{after}"));
            add_kind(kind, &format!("{path}/NAME"), &before, &after, all);
        }
        Kind::Flag
        | Kind::Number(..)
        | Kind::Decimal(..)
        | Kind::Time(..)
        | Kind::Size(..)
        | Kind::Share
        | Kind::Word(_)
        | Kind::Text(_)
        | Kind::Json => {}
    }
}

/// What must stand beside a key.
fn beside(section: &str, key: &str) -> &'static str {
    match (section, key) {
        ("file", "version") => "routes: {partner: {upstream: https://a.example.com}}, ",
        ("file", "routes") => "version: 1, ",
        ("file", _) => "version: 1, routes: {partner: {upstream: https://a.example.com}}, ",
        ("route", key) if key != "upstream" => "upstream: https://a.example.com, ",
        ("upstream", key) if key != "url" => "url: https://a.example.com, ",
        ("override", key) if key != "force" => "force: open, ",
        ("rule", "error" | "status") => "as: failure, ",
        ("rule", "as") => "status: 404, ",
        ("rule", "scope" | "pause") => "status: 404, as: throttled, ",
        ("rule", _) => "status: 404, as: alive, ",
        ("fallback", "on_failure") => "respond: {}, ",
        _ => "",
    }
}

/// Values that are good for a kind, that are bad, and that are bad in a way that a schema cannot tell.
fn samples(kind: &Kind) -> [Vec<String>; 3] {
    let all = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let none = Vec::new();
    match kind {
        Kind::Flag => [
            all(&["true", "false", "\"true\""]),
            all(&["maybe", "1"]),
            none,
        ],
        Kind::Number(least, most) => {
            let good = vec![least.to_string(), most.to_string(), format!("\"{most}\"")];
            let mut bad = vec![(most + 1).to_string(), "-1".to_owned(), "x".to_owned()];
            bad.extend(least.checked_sub(1).map(|less| less.to_string()));
            [good, bad, vec![format!("\"{}\"", most + 1)]]
        }
        Kind::Decimal(least, most) => {
            let good = vec![least.to_string(), most.to_string()];
            let bad = vec![
                (most + 1.0).to_string(),
                (least / 2.0).to_string(),
                "x".to_owned(),
            ];
            [good, bad, none]
        }
        Kind::Time(least, most) => {
            let late = format!("{}ms", most.as_millis() + 1);
            [
                vec![spell_time(*least), spell_time(*most)],
                all(&["15", "soon"]),
                vec![late],
            ]
        }
        Kind::Size(least, most) => {
            let large = format!("{}B", most + 1);
            [
                vec![spell_size(*least), spell_size(*most)],
                all(&["15", "big"]),
                vec![large],
            ]
        }
        Kind::Share => [
            all(&["0", "0%", "0.5%", "100%"]),
            all(&["101%", "0.5", "1", "half"]),
            none,
        ],
        Kind::Word(words) => [all(&words()), all(&["banana"]), none],
        Kind::Or(word, kind) => {
            let [mut good, bad, beyond] = samples(kind);
            good.push((*word).to_owned());
            [good, bad, beyond]
        }
        Kind::Text(_)
        | Kind::List(..)
        | Kind::OneOrMore(..)
        | Kind::Section(_)
        | Kind::Short(..)
        | Kind::Named(..)
        | Kind::Either(..)
        | Kind::Maybe(_)
        | Kind::Json => [none.clone(), none.clone(), none],
    }
}

/// Every good value of every key in every place, each as a file; some are good by themselves only.
pub(super) fn single_values() -> Vec<String> {
    let files = places().into_iter().flat_map(|place| {
        let [good, ..] = samples(&place.kind);
        good.into_iter()
            .map(move |value| format!("{}{value}{}", place.before, place.after))
    });
    files.collect()
}

/// What the loader says of values as such.
fn loader_refuses(text: &str) -> bool {
    let values = [
        Code::WrongKind,
        Code::UnknownWord,
        Code::NoUnit,
        Code::Malformed,
        Code::OutOfRange,
        Code::Version,
    ];
    match load(text, "config.yaml", &no_env) {
        Ok(_) => false,
        Err(report) => report
            .problems()
            .any(|problem| values.contains(&problem.code)),
    }
}

#[test]
fn the_walk_and_the_schema_agree_on_the_values_of_every_key() {
    let mut asked = Vec::new();
    for place in distinct_places() {
        let [good, bad, beyond] = samples(&place.kind);
        let cases = [
            (good, false, false),
            (bad, true, true),
            (beyond, true, false),
        ];
        for (values, loader, validator) in cases {
            for value in values {
                let text = format!("{}{value}{}", place.before, place.after);
                asked.push((text, loader, validator));
            }
        }
    }
    assert!(asked.len() > 500, "{}", asked.len());
    let files: Vec<String> = asked.iter().map(|(text, ..)| text.clone()).collect();
    let mut wrong = Vec::new();
    for ((text, loader, validator), verdict) in asked.iter().zip(judge(&files)) {
        if loader_refuses(text) != *loader {
            wrong.push(format!("the loader: {text}"));
        }
        // A good value by itself, of which nothing is left to tell keys by.
        let is_no_key = text.contains("key: {host: false}");
        if verdict.is_some() != (*validator || is_no_key) {
            wrong.push(format!(
                "the schema: {text} {}",
                verdict.unwrap_or_default()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_key_that_is_described_is_read() {
    let mut files = Vec::new();
    for place in distinct_places()
        .into_iter()
        .filter(|place| !matches!(place.kind, Kind::Json))
    {
        // Neither a value, nor a mapping, nor a list of either.
        let text = format!("{}[[]]{}", place.before, place.after);
        let Err(report) = load(&text, "config.yaml", &no_env) else {
            panic!("{}: nobody reads it", place.path);
        };
        let column = place.before.chars().count();
        let mut codes = report
            .problems()
            .filter(|problem| problem.column + 3 > column)
            .map(|problem| problem.code);
        assert!(
            codes.any(|code| code == Code::WrongKind)
                && !codes.any(|code| code == Code::UnknownKey),
            "{}: {report}",
            place.path
        );
        files.push(text);
    }
    for (text, verdict) in files.iter().zip(judge(&files)) {
        assert!(verdict.is_some(), "{text}");
    }
}

#[test]
fn the_file_with_everything_has_every_key() {
    fn visit(kind: &Kind, node: &Node, path: &str, seen: &mut BTreeSet<String>) {
        match (kind, &node.value) {
            (Kind::Section(section) | Kind::Short(section, _), Value::Mapping(entries)) => {
                for entry in entries {
                    let path = format!("{path}/{}", entry.key.text);
                    let key = section.key(&entry.key.text).unwrap();
                    visit(&key.kind, &entry.node, &path, seen);
                    seen.insert(path);
                }
            }
            (Kind::Named(_, kind, _), Value::Mapping(entries)) => {
                for entry in entries {
                    visit(kind, &entry.node, &format!("{path}/NAME"), seen);
                }
            }
            (Kind::List(kind, ..) | Kind::OneOrMore(kind, _), Value::Sequence(items)) => {
                for item in items {
                    visit(kind, item, path, seen);
                }
            }
            (
                Kind::OneOrMore(kind, _)
                | Kind::Or(_, kind)
                | Kind::Either(_, kind)
                | Kind::Maybe(kind),
                _,
            ) => visit(kind, node, path, seen),
            _ => {}
        }
    }
    let mut seen = BTreeSet::new();
    let tree = yaml::parse(EVERYTHING, &mut problem::Problems::default()).unwrap();
    visit(&Kind::Section(&FILE), &tree, "", &mut seen);
    let all: BTreeSet<String> = places().into_iter().map(|place| place.path).collect();
    // Presets and `defaults` share what they hold with routes.
    let missing: Vec<_> = all
        .difference(&seen)
        .filter(|path| !path.starts_with("/presets/NAME/") && !path.starts_with("/defaults/"))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_published_schema_is_that_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/config.schema.json");
    let schema = format!("{:#}\n", schema());
    generated(&path, &schema);
}

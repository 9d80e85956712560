//! The loader as a whole: every rule in a catalogue of bad files, hostile input, and what a good file means.

mod catalogue;
mod certificates;
mod codes;
mod crowded;
mod dictionary;
mod effective;
mod fallbacks;
mod hostile;
mod meaning;
mod reference;
mod rules;
mod schema;
mod together;

use super::*;

/// An environment without variables.
fn no_env(_: &str) -> Option<String> {
    None
}

/// Loads a good file, of which what counts is a file that means the same.
fn good(text: &str) -> Loaded {
    let loaded = load(text, "config.yaml", &no_env).unwrap_or_else(|report| panic!("{report}"));
    // Many routes with all that counts are more than a file may hold.
    if loaded.plan.routes.len() < 100 {
        effective::means_the_same(&loaded, &no_env);
    }
    loaded
}

fn bad(text: &str) -> Report {
    match load(text, "config.yaml", &no_env) {
        Ok(_) => panic!("this must be refused:\n{text}"),
        Err(report) => report,
    }
}

/// A file with one route, `settings` standing beside its upstream.
fn route(settings: &str) -> String {
    let mut text =
        String::from("version: 1\nroutes:\n  partner:\n    upstream: https://api.example.com\n");
    for line in settings.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

/// A file with one route, `settings` standing above the routes.
fn file(settings: &str) -> String {
    format!("version: 1\n{settings}\nroutes: {{partner: {{upstream: https://api.example.com}}}}\n")
}

const EXAMPLE: &str = include_str!("../../../config.example.yaml");

#[test]
fn the_example_loads_on_a_fresh_machine() {
    let loaded =
        load(EXAMPLE, "config.example.yaml", &no_env).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    insta::assert_debug_snapshot!(loaded.plan);
}

/// Holds a file that is made from the code to what it must be; with `INSTA_UPDATE=always` it is made anew.
fn generated(path: &std::path::Path, text: &str) {
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == text,
        "{} is out of date: run this test with INSTA_UPDATE=always and read the difference",
        path.display()
    );
}

//! Holds the source to habits that no compiler knows. Each failure names the place and the rule.

use std::fs;

use crate::architecture::hold;
use crate::support::source::{Source, names};
use crate::support::tools::repository;

const LONGEST_FILE: usize = 400;
const LONGEST_MAIN: usize = 60;

const TOP_LEVEL: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "config.example.yaml",
    "tests",
    "benches",
    "Dockerfile",
    "helm",
    "README.md",
];

#[test]
fn files_are_short_enough_to_be_read_whole() {
    let sources = Source::all_below("src")
        .into_iter()
        .chain(Source::all_below("tests"));
    hold(sources.filter_map(|source| {
        let lines = if source.path.starts_with("tests/") {
            source.text.lines().count()
        } else {
            source.product_lines()
        };
        (lines > LONGEST_FILE).then(|| {
            format!(
                "{}: {lines} lines without its tests, at most {LONGEST_FILE}: divide it by nouns",
                source.path
            )
        })
    }));
}

#[test]
fn the_front_page_of_each_folder_says_what_it_is_for() {
    let sources = Source::all_below("src")
        .into_iter()
        .chain(Source::all_below("tests"));
    let pages =
        sources.filter(|source| source.path.ends_with("/mod.rs") || source.path == "src/lib.rs");
    hold(
        pages
            .filter(|source| !source.text.starts_with("//! "))
            .map(|source| format!("{}:1: begin it with `//! `", source.path)),
    );
}

#[test]
fn main_only_calls_the_command_line() {
    let main = fs::read_to_string(repository().join("src/main.rs")).unwrap();
    let lines = main.lines().count();
    assert!(
        lines <= LONGEST_MAIN,
        "src/main.rs: {lines} lines, at most {LONGEST_MAIN}: move the rest to src/cli"
    );
}

#[test]
fn nothing_is_left_for_later() {
    hold(everywhere().iter().flat_map(|source| {
        let marks =
            names(&source.prose).filter(|(_, name)| matches!(*name, "TODO" | "FIXME" | "XXX"));
        marks.map(|(position, name)| {
            format!(
                "{}: {name}: do it, or open an issue",
                source.place(position)
            )
        })
    }));
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    hold(everywhere().iter().flat_map(|source| {
        let allowed = ["#[allow(", "#![allow("]
            .into_iter()
            .flat_map(|attribute| source.code.match_indices(attribute));
        allowed.map(|(position, _)| {
            format!(
                "{}: write #[expect(…, reason = \"…\")]",
                source.place(position)
            )
        })
    }));
}

#[test]
fn no_test_waits_for_time_to_pass() {
    hold(everywhere().iter().flat_map(|source| {
        let calls = names(&source.code).filter(|(position, name)| {
            *name == "sleep" && source.code[position + name.len()..].starts_with('(')
        });
        calls.map(|(position, _)| {
            format!(
                "{}: wait for an event, a gate or a paused clock; a sleep is a guess",
                source.place(position)
            )
        })
    }));
}

#[test]
fn the_top_level_holds_only_what_the_design_names() {
    let entries = fs::read_dir(repository()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let named = |name: &str| {
        TOP_LEVEL.contains(&name)
            || name == "target"
            || name.starts_with('.')
            || name.starts_with("LICENSE")
    };
    hold(
        names
            .filter(|name| !named(name))
            .map(|name| format!("{name}: not among {TOP_LEVEL:?}, LICENSE* and dotfiles")),
    );
}

fn everywhere() -> Vec<Source> {
    ["src", "tests", "benches"]
        .into_iter()
        .flat_map(Source::all_below)
        .collect()
}

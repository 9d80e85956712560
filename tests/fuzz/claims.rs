//! What must hold of any bytes that are given as a configuration. The fuzzer asks it of new ones, an ordinary test of those it has kept.

use std::path::Path;

use serde_json::Value;
use sidefuse::config::{Loaded, Look, Problem, Report, load_content};

/// The value of every variable whose name says that it is secret. No report may show it.
const CANARY: &str = "canary-4711-of-the-environment";
/// Far beyond what a person reads, and far below what would fill a log.
const LONGEST_REPORT: usize = 4_000_000;

/// Holds the bytes to all claims; panics with the one that is broken.
pub(crate) fn hold(content: &[u8]) {
    match (read(content), read(content)) {
        (Ok(one), Ok(again)) => {
            assert_eq!(one, again, "a good file means the same each time");
            assert_eq!(one.warnings.error_count(), 0, "a good file has no errors");
            hold_report(&one.warnings, content);
        }
        (Err(one), Err(again)) => {
            assert_eq!(one, again, "a bad file is told the same each time");
            assert!(one.error_count() > 0, "a bad file has an error");
            hold_report(&one, content);
        }
        (one, again) => panic!("good once and bad once: {one:?} {again:?}"),
    }
}

fn read(content: &[u8]) -> Result<Loaded, Report> {
    load_content(
        content.to_vec(),
        Path::new("config.yaml"),
        &|name| match name {
            "HOST" => Some("a.example.com".to_owned()),
            "NUMBER" => Some("5".to_owned()),
            "TIME" => Some("5s".to_owned()),
            "SECRET" => Some(CANARY.to_owned()),
            "LINES" => Some(format!("{CANARY}\n{CANARY}")),
            _ => None,
        },
    )
}

fn hold_report(report: &Report, content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    let lines = lines(text.strip_prefix('\u{feff}').unwrap_or(&text));
    for problem in report.problems() {
        hold_place(problem, &lines);
    }
    let count = report.problems().count();

    let told = report.render();
    hold_text(&told, &text);
    assert_eq!(told.is_empty(), count == 0, "a report shows its problems");
    let coloured = report.render_in(Look::Coloured).replace('\u{1b}', "");
    hold_text(&coloured, &text);

    let commands = report.github();
    hold_text(&commands, &text);
    let more = usize::from(report.untold() > 0);
    assert_eq!(
        commands.lines().count(),
        count + more,
        "a command for each problem"
    );
    for command in commands.lines() {
        assert!(
            command.starts_with("::error file=") || command.starts_with("::warning file="),
            "no command: {command}"
        );
    }

    let json = report.json().to_string();
    hold_secret(&json, &text);
    let read: Value = serde_json::from_str(&json).expect("JSON that can be read");
    assert_eq!(
        read.as_array().map(Vec::len),
        Some(count),
        "an object for each problem"
    );
}

/// A place is in the file, and what is marked ends with its line.
fn hold_place(problem: &Problem, lines: &[&str]) {
    let Problem {
        line,
        column,
        width,
        ..
    } = problem;
    if *line == 0 {
        return;
    }
    assert!(*line <= lines.len(), "there is no line {line}: {problem:?}");
    let length = lines[line - 1].chars().count();
    assert!(*column >= 1 && *width >= 1, "no place: {problem:?}");
    assert!(
        column + width <= length + 2,
        "beyond its line of {length}: {problem:?}"
    );
}

/// What people see on a terminal or in a browser is what it says: no escape sequence, no text that runs backwards, no secret.
fn hold_text(told: &str, text: &str) {
    assert!(
        told.len() < LONGEST_REPORT,
        "a report of {} bytes",
        told.len()
    );
    let unfit = told.chars().find(|c| {
        c.is_control() && *c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
    });
    assert!(unfit.is_none(), "{unfit:?} reaches the terminal: {told}");
    hold_secret(told, text);
}

fn hold_secret(told: &str, text: &str) {
    assert!(
        !told.contains(CANARY) || text.contains(CANARY),
        "a secret is told: {told}"
    );
}

/// The lines of a YAML text: `\n`, `\r\n` and `\r` end one.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        let ending = if rest[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = &rest[end + ending..];
    }
    lines.push(rest);
    lines
}

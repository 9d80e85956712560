//! `sidefuse demo` as a person runs it: what it tells, and that nothing is left of it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{fs, str};

use tempfile::TempDir;

use crate::support::process::command;

/// The demo, with a folder for temporary files of its own.
fn demo(temporary: &TempDir) -> Command {
    let mut command = command();
    command
        .arg("demo")
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null());
    command
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// The lines between a heading and the next empty line, without their indent.
fn below<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(heading));
    assert!(lines.next().is_some(), "no `{heading}` in\n{text}");
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect()
}

/// The state, and the rest of the row, of each breaker in an act.
fn scene<'a>(text: &'a str, heading: &str) -> [(&'a str, String); 3] {
    let act = below(text, heading);
    ["whatsapp", "email", "partner"].map(|route| {
        let row = act
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&route))
            .unwrap_or_else(|| panic!("no row of {route} in {act:#?}"));
        (row[1], row[2..].join(" "))
    })
}

#[test]
fn a_breaker_trips_and_recovers_before_the_callers_eyes() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(&temporary).output().unwrap();
    let text = str::from_utf8(&output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{text}\n--- stderr ---\n{complaints}"
    );
    assert_eq!(complaints, "");
    assert!(!text.contains('\x1b'), "colours in a pipe:\n{text}");

    let acts = [
        ("1  ", "CLOSED", "200 OK"),
        ("2  ", "OPEN", "504 Gateway Timeout"),
        ("3  ", "OPEN", "503 Service Unavailable"),
        ("4  ", "HALF-OPEN", "503 Service Unavailable"),
        ("5  ", "CLOSED", "200 OK"),
    ];
    for (heading, state, answer) in acts {
        let [(seen, row), others @ ..] = scene(text, heading);
        assert_eq!(seen, state, "act {heading}in\n{text}");
        assert!(row.contains(answer), "act {heading}in\n{text}");
        for (seen, row) in others {
            assert_eq!(seen, "CLOSED", "act {heading}in\n{text}");
            assert!(row.ends_with("200 OK"), "act {heading}in\n{text}");
        }
    }
    assert!(text.contains("\"msg\":\"Circuit breaker opened\""));
    assert!(text.contains("because 5 consecutive calls failed (5 timeout)"));
    assert!(text.contains("\"msg\":\"Request refused\""));
    assert!(text.contains("Retry-After: "));
    assert!(text.contains("  sidefuse run -c sidefuse.yaml"));
    assert!(is_empty(temporary.path()), "something is left behind");
    check_configuration(text);
}

/// The configuration that was shown must be one that can be used, with the change that is advised: without the line `listen`.
fn check_configuration(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let shown = below(text, "The configuration of this demo");
    let kept = shown.iter().filter(|line| !line.starts_with("listen:"));
    let kept: Vec<&str> = kept.copied().collect();
    assert_eq!(kept.len(), shown.len() - 1);
    let file = folder.path().join("sidefuse.yaml");
    fs::write(&file, kept.join("\n")).unwrap();
    let checked = command().arg("check").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("ok, 3 routes"), "{said}");
    assert_eq!(checked.status.code(), Some(0));
}

/// Starts the demo and returns when the proxy carries traffic, with what is still to be read.
fn underway(temporary: &TempDir) -> (Child, impl Read + use<>) {
    let mut child = demo(temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("CLOSED") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "it ended early");
    }
    assert!(!is_empty(temporary.path()));
    (child, reader)
}

#[test]
fn a_signal_ends_it_in_the_middle_and_nothing_is_left_behind() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let temporary = tempfile::tempdir().unwrap();
        let (mut child, mut rest) = underway(&temporary);
        let id = child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        let mut text = String::new();
        rest.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert!(!text.contains("Try next"), "{signal} did not end it");
        assert!(is_empty(temporary.path()), "{signal} left something behind");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_in_peace() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut child, rest) = underway(&temporary);
    drop(rest);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(is_empty(temporary.path()));
}

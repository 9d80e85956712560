//! The comparison with other proxies runs, and leaves nothing behind. What it measures is not for a test to judge.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::tools::repository;

/// The bench with the sidefuse of this build, with a folder of its own and the programs that are there. Other tests run beside it
/// and go first: it is full load by design.
fn bench(folder: &TempDir) -> Command {
    let mut command = Command::new("nice");
    command
        .args(["-n", "19"])
        .arg(repository().join("benches/peers/run"))
        .args(["--as-is", "--seconds", "1"])
        .args(["--binary", env!("CARGO_BIN_EXE_sidefuse")])
        .arg("--directory")
        .arg(folder.path())
        .stdin(Stdio::null());
    command
}

/// The processes whose command line names the folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap();
    let mut found: Vec<String> = entries
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect();
    found.sort();
    found
}

#[test]
fn a_round_of_the_first_scenario_fills_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let output = bench(&folder)
        .args(["--scenario", "small", "--rounds", "1", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "run tests/run once if a program is missing\n{text}\n{said}"
    );

    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("µs"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[1]).collect();
    assert_eq!(names[..2], ["sidefuse", "nginx"], "{text}");
    for row in &rows {
        let [_, _, cpu, ratio, rate, p50, p99, memory, rounds, _] = row[..] else {
            panic!("{row:?} has not the columns of the header\n{text}");
        };
        // On a busy machine a round may be a thousand times slower.
        let is_time = |cell: &str| [" µs", " ms", " s"].iter().any(|unit| cell.ends_with(unit));
        assert!(is_time(cpu) && is_time(p50) && is_time(p99), "{row:?}");
        assert!(rate.starts_with(|digit: char| digit.is_ascii_digit()));
        assert!(memory.ends_with(" MiB"));
        assert_eq!(ratio.is_empty(), row[1] == "sidefuse", "{text}");
        assert_eq!(rounds, "1", "{text}");
    }
    assert!(text.contains("| small JSON, CPU to nginx's | 0.85 × |"));

    let figures: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    for name in names {
        let round = &figures["scenarios"]["small"]["rounds"][name][0];
        assert!(round["requests"].as_u64() > Some(0), "{figures}");
        assert!(round["cpu"].as_f64() > Some(0.0), "{figures}");
    }
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[test]
fn slow_callers_and_a_lasting_turn_are_measured_by_memory() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(&folder)
        .args(["--scenario", "slow-down-1m", "--scenario", "lasting"])
        .args(["--peer", "nginx", "--rounds", "1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{said}");
    let row_below = |title: &str| -> Vec<&str> {
        let table = text.split(title).nth(1).unwrap();
        let row = table.lines().find(|line| line.starts_with("| sidefuse |"));
        row.unwrap().split('|').map(str::trim).collect()
    };
    let [_, _, before, most, each, rounds, _] = row_below("### slow-down-1m")[..] else {
        panic!("{text}");
    };
    assert!(before.ends_with(" MiB") && most.ends_with(" MiB") && each.ends_with(" KiB"));
    assert_eq!(rounds, "1", "{text}");
    let [_, _, calls, _, tenth, half, end, most, rounds, _] = row_below("### lasting")[..] else {
        panic!("{text}");
    };
    assert!(calls.starts_with(|digit: char| digit.is_ascii_digit()));
    for memory in [tenth, half, end, most] {
        assert!(memory.ends_with(" MiB"), "{text}");
    }
    assert_eq!(rounds, "1", "{text}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[test]
fn a_signal_ends_every_process_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = bench(&folder)
        .args(["--scenario", "small", "--rounds", "60"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(bench.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("round 1 of 60") {
        let read = said.read_line(&mut line).unwrap();
        assert_ne!(
            read, 0,
            "run tests/run once if a program is missing\n{line}"
        );
    }
    assert!(processes_of(folder.path()).len() > 2);
    let id = bench.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
    said.read_to_string(&mut line).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(130), "{line}");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[test]
fn a_busy_port_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let output = bench(&folder)
        .args(["--scenario", "small", "--rounds", "1"])
        .args(["--port", &port.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("cannot have port {port}: Address already in use"))
            && said.contains("choose others with --port"),
        "{said}"
    );
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

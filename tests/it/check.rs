//! `sidefuse check`, `explain`, `docs` and `schema`: what they say, where, and with which exit code.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::command;

const GOOD: &str = "version: 1\nroutes: {partner: {upstream: https://api.example.com}}\n";
const BAD: &str = "version: 1\nroutes:\n  partner:\n    upstream: https://api.example.com\n    timeuot: 5s\n    headers: {request: {set: {Cookie: hush}}}\n";

/// A run in a folder with a good and a bad file.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(arguments: &[&str]) -> Ran {
    run_where(&[], arguments)
}

/// The same where the environment has these variables.
fn run_where(variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("good.yaml"), GOOD).unwrap();
    fs::write(folder.path().join("bad.yaml"), BAD).unwrap();
    let output = command()
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

#[test]
fn people_read_findings_on_standard_error_without_colour_where_no_terminal_is() {
    let ran = run(&["check", "good.yaml", "bad.yaml"]);
    assert_eq!(ran.code, Some(78));
    assert!(
        ran.out.starts_with("good.yaml: ok, 1 route, revision "),
        "{}",
        ran.out
    );
    assert!(
        ran.err
            .contains("error[C012]: unknown key `timeuot`\n --> bad.yaml:5:5\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("1 error, 1 warning\n"), "{}", ran.err);
    assert!(!ran.err.contains('\u{1b}') && !ran.err.contains("hush"));
}

#[test]
fn a_terminal_gets_colour_unless_somebody_wants_none() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("bad.yaml"), BAD).unwrap();
    let on_terminal = |variables: &[(&str, &str)]| {
        let program = command();
        let mut terminal = Command::new("python3");
        terminal
            .args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])"])
            .arg(program.get_program())
            .args(["check", "bad.yaml"])
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null());
        String::from_utf8(terminal.output().unwrap().stdout).unwrap()
    };
    for (variables, is_coloured) in [
        (&[][..], true),
        (&[("NO_COLOR", "")], true),
        (&[("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        let said = on_terminal(variables);
        assert!(said.contains("timeuot"), "{said}");
        assert_eq!(
            said.contains('\u{1b}'),
            is_coloured,
            "{variables:?}: {said}"
        );
    }
}

#[test]
fn programs_read_one_document_on_standard_output() {
    let ran = run(&[
        "check",
        "--format",
        "json",
        "good.yaml",
        "bad.yaml",
        "none.yaml",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(78), ""));
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let [good, bad, none] = &told["files"].as_array().unwrap()[..] else {
        panic!("three files expected: {told:#}")
    };
    assert_eq!(good["ok"], true);
    assert_eq!(
        (&good["routes"], &good["problems"]),
        (&json!(1), &json!([]))
    );
    assert_eq!(
        (
            &bad["ok"],
            &bad["revision"],
            &bad["errors"],
            &bad["warnings"]
        ),
        (&json!(false), &json!(null), &json!(1), &json!(1))
    );
    assert_eq!(
        bad["problems"][0],
        json!({
            "severity": "error",
            "code": "C012",
            "title": "No such key exists here",
            "message": "unknown key `timeuot`",
            "line": 5,
            "column": 5,
            "endColumn": 12,
            "hint": "did you mean `timeout`?",
            "help": bad["problems"][0]["help"],
        })
    );
    assert_eq!(bad["problems"][1]["code"], "C062");
    assert_eq!(
        (&none["problems"][0]["code"], &none["problems"][0]["line"]),
        (&json!("C006"), &json!(null))
    );
    assert!(!ran.out.contains("hush"));
}

#[test]
fn github_reads_commands_with_the_place() {
    let ran = run(&["check", "--format", "github", "good.yaml", "bad.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(78), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.out);
    assert!(
        lines[0].starts_with("::error file=bad.yaml,line=5,col=5,endColumn=12,title=C012%3A No such key exists here::unknown key `timeuot`%0Adid you mean `timeout`?%0Aallowed here: "),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].starts_with("::warning file=bad.yaml,line=6,"),
        "{}",
        lines[1]
    );
}

/// To open a file that somebody has a lease of waits for that one; so does to read some files of the system.
#[test]
fn a_file_that_lets_its_readers_wait_is_refused_at_once() {
    const LEASE: &str = "\
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
files = [open(name, 'rb+') for name in sys.argv[1:]]
for file in files:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("config.yaml"), GOOD).unwrap();
    fs::write(path("secret"), "hush").unwrap();
    let naming = "headers: {request: {set: {X-A: {file: secret}}}}}";
    fs::write(
        path("naming.yaml"),
        GOOD.replacen('}', &format!(", {naming}"), 1),
    )
    .unwrap();
    let mut holder = Command::new("python3")
        .args(["-c", LEASE])
        .args([path("config.yaml"), path("secret")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(holder.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    let files = if said == "held\n" {
        &[("config.yaml", "C006"), ("naming.yaml", "C063")][..]
    } else {
        eprintln!("no leases on this file system, so nothing is tested");
        &[]
    };
    for (file, code) in files {
        let mut check = command();
        check.args(["check", file]).current_dir(folder.path());
        let output = check.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(
            said.contains(code) && said.contains("has to wait"),
            "{said}"
        );
    }
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

#[test]
fn good_files_are_a_success_in_every_format_and_an_unknown_format_is_bad_usage() {
    for format in ["human", "json", "github"] {
        assert_eq!(
            run(&["check", "--format", format, "good.yaml"]).code,
            Some(0),
            "{format}"
        );
    }
    assert_eq!(
        run(&["check", "--format", "xml", "good.yaml"]).code,
        Some(2)
    );
    let ran = run(&["check"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("SIDEFUSE_CONFIG"), "{}", ran.err);
}

#[test]
fn the_file_to_check_is_named_as_that_to_run() {
    let ran = run(&["check", "-c", "bad.yaml"]);
    assert_eq!(ran.code, Some(78));
    assert_eq!(ran.err, run(&["check", "bad.yaml"]).err);
    assert_eq!(run(&["check", "good.yaml", "-c", "bad.yaml"]).code, Some(2));
    for (arguments, code) in [(&["check"][..], 78), (&["check", "good.yaml"], 0)] {
        let ran = run_where(&[("SIDEFUSE_CONFIG", "bad.yaml")], arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}");
    }
    // An empty name is none, and in nobody's way.
    let empty = [("SIDEFUSE_CONFIG", "")];
    for (arguments, code) in [
        (&["check", "good.yaml"][..], 0),
        (&["check"], 2),
        (&["run"], 2),
        (&[], 2),
    ] {
        let ran = run_where(&empty, arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(
            code == 0 || ran.err.contains("no configuration"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn explain_prints_the_section_of_a_code_and_an_unknown_one_is_bad_usage() {
    let ran = run(&["explain", "C012"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    for short in ["c012", "C12", "12"] {
        assert_eq!(run(&["explain", short]).out, ran.out, "{short}");
    }
    assert!(
        ran.out.starts_with("## C012: No such key exists here\n\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("failure_treshold") && !ran.out.contains("C013"),
        "{}",
        ran.out
    );
    let ran = run(&["explain", "C999"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(
        ran.err.contains("no diagnostic has that code"),
        "{}",
        ran.err
    );
}

#[test]
fn schema_prints_the_published_schema() {
    let ran = run(&["schema"]);
    assert_eq!(ran.code, Some(0));
    let published = crate::support::tools::repository().join("helm/config.schema.json");
    assert_eq!(ran.out, fs::read_to_string(published).unwrap());
}

#[test]
fn docs_lists_the_pages_prints_one_and_refuses_another() {
    let ran = run(&["docs"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    for page in sidefuse::docs::PAGES {
        assert!(ran.out.contains(&format!("\n{}", page.name)) || ran.out.starts_with(page.name));
        let ran = run(&["docs", page.name]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), page.text));
    }
    let ran = run(&["docs", "refrence"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(
        ran.err.contains("a similar value exists: 'reference'")
            && ran.err.contains("start, configuration, routes, reference"),
        "{}",
        ran.err
    );
    let help = run(&["docs", "--help"]).out;
    for page in sidefuse::docs::PAGES {
        let line = format!("- {}:", page.name);
        let line = help.lines().find(|it| it.trim().starts_with(&line));
        assert!(line.is_some_and(|it| it.ends_with(page.title())), "{help}");
    }
}

#[test]
fn what_cannot_be_written_is_no_success_but_for_a_reader_that_has_gone() {
    let sidefuse = |command: &str| {
        let mut asked = Command::new(env!("CARGO_BIN_EXE_sidefuse"));
        asked.args(command.split(' ')).stdin(Stdio::null());
        asked
    };
    for command in ["schema", "docs codes", "explain C001", "version"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = sidefuse(command).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert_eq!(
            said,
            "error: cannot write to standard output: No space left on device (os error 28)\n"
        );
    }
    let mut reader = sidefuse("docs codes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(reader.stdout.take());
    assert_eq!(reader.wait().unwrap().code(), Some(0));
}

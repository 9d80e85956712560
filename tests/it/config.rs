//! `sidefuse config`: what counts, where it comes from, and what goes wrong.

use std::fs;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::client;
use crate::support::process::{Sidefuse, command};

const FILE: &str = "\
version: 1
defaults: {idle_timeout: 1m}
routes:
  whatsapp: {preset: whatsapp, upstream: \"${WHATSAPP_URL:-https://graph.facebook.com}\"}
  partner:
    upstream: https://partner.example.com
    timeout: 5s
    headers: {request: {set: {X-Api-Key: hush, Authorization: \"Bearer ${TOKEN}\"}}}
";

/// Runs it in a folder with that file as `sidefuse.yaml`, and a broken one.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (TempDir, Output) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("sidefuse.yaml"), FILE).unwrap();
    fs::write(folder.path().join("bad.yaml"), "version: 1\nroutez: {}\n").unwrap();
    let mut command = command();
    command.arg("config").args(arguments);
    command.env("TOKEN", "hush").envs(variables.iter().copied());
    let output = command.current_dir(folder.path()).output().unwrap();
    (folder, output)
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn what_is_printed_is_a_good_file_without_secrets() {
    for arguments in [&["sidefuse.yaml"][..], &["-c", "sidefuse.yaml"]] {
        let (folder, output) = run(arguments, &[]);
        assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
        let text = out(&output);
        assert!(!text.contains("hush"), "{text}");
        assert!(
            text.contains("      idle_timeout: 1m\n") || text.contains("    idle_timeout: 1m\n")
        );
        fs::write(folder.path().join("all.yaml"), text).unwrap();
        let mut check = command();
        check.args(["check", "all.yaml"]).env("TOKEN", "hush");
        let check = check.current_dir(folder.path()).output().unwrap();
        assert_eq!(check.status.code(), Some(0), "{}", err(&check));
    }
    let (_, output) = run(
        &["--format", "json"],
        &[("SIDEFUSE_CONFIG", "sidefuse.yaml")],
    );
    let json: Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!(
        json["routes"]["partner"]["breaker"]["failure_threshold"],
        10
    );
    assert_eq!(
        json["routes"]["whatsapp"]["breaker"]["failure_threshold"],
        5
    );
}

#[test]
fn each_value_of_a_route_is_explained_with_its_origin() {
    let (_, output) = run(&["sidefuse.yaml", "--explain", "whatsapp"], &[]);
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    let line = |key: &str| {
        let mut lines = out(&output).lines();
        let line = lines.find(|line| line.split(' ').next() == Some(key));
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("preset"), "preset whatsapp sidefuse.yaml:4:22");
    assert_eq!(line("timeout"), "timeout 15s built-in preset whatsapp");
    assert_eq!(
        line("idle_timeout"),
        "idle_timeout 1m defaults (sidefuse.yaml:2:26)"
    );
    assert_eq!(line("retry.attempts"), "retry.attempts 1 built-in");
    assert!(out(&output).contains("sidefuse.yaml:4:42, WHATSAPP_URL is not set\n"));

    let set = [("WHATSAPP_URL", "https://hush.example.com")];
    let (_, output) = run(
        &["sidefuse.yaml", "--explain", "whatsapp", "--format", "json"],
        &set,
    );
    let json: Value = serde_json::from_str(out(&output)).unwrap();
    let settings = json["settings"].as_array().unwrap();
    let url = settings
        .iter()
        .find(|row| row["key"] == "upstream.url")
        .unwrap();
    assert_eq!(url["value"], "${WHATSAPP_URL:-https://graph.facebook.com}");
    assert_eq!(url["origin"], "sidefuse.yaml:4:42, WHATSAPP_URL is set");
    assert!(!out(&output).contains("hush"));
}

#[test]
fn a_bad_file_is_told_as_by_check_and_an_unknown_route_is_bad_usage() {
    let (_, output) = run(&["bad.yaml"], &[]);
    assert_eq!((output.status.code(), out(&output)), (Some(78), ""));
    assert!(
        err(&output).contains("did you mean `routes`?"),
        "{}",
        err(&output)
    );

    let (_, output) = run(&["sidefuse.yaml", "--explain", "whatsap"], &[]);
    assert_eq!((output.status.code(), out(&output)), (Some(2), ""));
    assert_eq!(
        err(&output),
        "error: sidefuse.yaml has no route \"whatsap\"; did you mean `whatsapp`?\n"
    );

    for arguments in [&[][..], &["sidefuse.yaml", "-c", "bad.yaml"]] {
        assert_eq!(
            run(arguments, &[]).1.status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    let named = [("SIDEFUSE_CONFIG", "bad.yaml")];
    assert_eq!(run(&["sidefuse.yaml"], &named).1.status.code(), Some(0));
}

/// What is in force is shown, not what lies in the file by now.
#[test]
fn the_port_shows_what_is_in_force_as_the_command_shows_a_file() {
    let listen = "listen: {proxy: 127.0.0.1:0, admin: 127.0.0.1:0}";
    let config = |timeout: &str| {
        format!(
            "version: 1\n{listen}\nroutes:\n  partner: {{upstream: \"http://127.0.0.1:9\", timeout: {timeout}}}\n"
        )
    };
    let sidefuse = Sidefuse::start(&config("7s"));
    let shown = || client::get(sidefuse.admin(), "/config/routes/partner").json();
    let explained = || {
        let mut command = command();
        command.args(["config", "--explain", "partner", "--format", "json", "-c"]);
        let output = command.arg(sidefuse.config_path()).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(shown(), explained());
    let before = shown();

    sidefuse.write_config(&config("soon"));
    let refused = client::post(sidefuse.admin(), "/config/reload", &serde_json::json!({}));
    assert_eq!(refused.status(), 422);
    assert_eq!(shown(), before);

    sidefuse.write_config(&config("8s"));
    let applied = client::post(sidefuse.admin(), "/config/reload", &serde_json::json!({}));
    assert_eq!(applied.status(), 200);
    assert_eq!(shown(), explained());
    assert_ne!(shown(), before);
}

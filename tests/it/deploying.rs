//! What the page for operators tells to deploy is there, and what it says is not there is not.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use sidefuse::docs::Page;

use crate::support::blocks::blocks_of;
use crate::support::client;
use crate::support::config::{config, route};
use crate::support::process::{Sidefuse, command};
use crate::support::tools::python;

fn page() -> Page {
    Page::named("operations").unwrap()
}

fn block(language: &str) -> String {
    let mut blocks = blocks_of(page().text).into_iter();
    blocks.find(|it| it.language == language).unwrap().text
}

/// The documents of a file in YAML.
fn parse(yaml: &str) -> Vec<Value> {
    let read = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.argv[1]))))";
    let output = Command::new(python()).args(["-c", read, yaml]).output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_pod_of_the_page_starts_and_probes_what_there_is() {
    let documents = parse(&block("yml"));
    let [map, pod] = documents.as_slice() else {
        panic!("a ConfigMap and a pod");
    };
    let file = map["data"]["sidefuse.yaml"].as_str().unwrap();
    if let Err(report) = sidefuse::config::load(file, "sidefuse.yaml", &|_| None) {
        panic!("{report}");
    }
    assert!(file.contains("health: 0.0.0.0:7902"), "{file}");
    let ours = &pod["spec"]["initContainers"][0];
    assert_eq!(ours["restartPolicy"], "Always");
    let folder = ours["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let path = format!("{folder}/sidefuse.yaml");
    assert_eq!(ours["args"], json!(["run", "-c", path]));
    assert_eq!(ours["ports"][0]["containerPort"], 7902);
    let map = &map["metadata"]["name"];
    assert_eq!(&pod["spec"]["volumes"][0]["configMap"]["name"], map);

    let sidefuse = Sidefuse::start(&config(&[route("r", "http://127.0.0.1:9", "")]));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let asked = &ours[probe]["httpGet"];
        assert_eq!(asked["port"], ours["ports"][0]["name"], "{probe}");
        let path = asked["path"].as_str().unwrap();
        assert_eq!(client::get(sidefuse.health(), path).status(), 200, "{path}");
    }
}

#[test]
fn the_unit_of_the_page_gives_arguments_that_there_are() {
    let unit = block("ini");
    let started = unit.lines().find_map(|it| it.strip_prefix("ExecStart="));
    let mut words = started.unwrap().split(' ');
    assert!(words.next().unwrap().ends_with("/sidefuse"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidefuse.yaml");
    fs::write(&file, "version: 2\n").unwrap();
    let usual = "/etc/sidefuse/sidefuse.yaml";
    let arguments: Vec<_> = words
        .map(|word| word.replace(usual, file.to_str().unwrap()))
        .collect();
    let ran = command().args(&arguments).output().unwrap();
    // It came as far as the file, and such an end is not followed by a start.
    assert_eq!(ran.status.code(), Some(78), "{arguments:?}");
    assert!(unit.contains("\nRestartPreventExitStatus=2 78\n"), "{unit}");
}

#[test]
fn what_the_page_says_is_not_there_is_not_there() {
    let section = page().section("What is not there yet").unwrap();
    let commands: Vec<&str> = section
        .split("`sidefuse ")
        .skip(1)
        .filter_map(|rest| rest.split('`').next())
        .filter(|words| !words.starts_with("docs ") && *words != "schema")
        .collect();
    assert_eq!(commands, ["completions"]);
    for name in commands {
        let ran = command().arg(name).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{name}");
    }
    let sidefuse = Sidefuse::start(&config(&[route("r", "http://127.0.0.1:9", "")]));
    assert!(section.contains("`GET /events`"), "{section}");
    assert_eq!(client::get(sidefuse.admin(), "/events").status(), 404);
}

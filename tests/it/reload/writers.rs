//! Writers that take their time, by whatever name sidefuse knows their file.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{config, idle, reload, revision, wait_applied};
use crate::support::process::Sidefuse;

fn is_waiting(line: &Value) -> bool {
    line["msg"] == "Configuration is being written; waiting for its writer"
}

fn content(version: &str) -> String {
    let routes = ["a", "b", "c"].map(|route| idle(&format!("{version}-{route}")));
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    config(&routes).replace("routes:", "logs: {level: debug}\nroutes:")
}

/// Writes a file in two halves, each of which would be a configuration: only the whole is ever applied.
fn write_slowly(sidefuse: &mut Sidefuse, file: &Path, version: &str) {
    let (before, after) = (reload(sidefuse)["revision"].clone(), content(version));
    let lines = sidefuse.process().lines();
    let said = lines.iter().filter(|line| is_waiting(line)).count();
    let (first, last) = after.split_at(after.rfind("  ").unwrap());
    let mut writer = File::create(file).unwrap();
    writer.write_all(first.as_bytes()).unwrap();
    sidefuse.process().wait_for_lines(said + 1, is_waiting);
    assert_eq!(reload(sidefuse)["revision"], before, "half a file");
    writer.write_all(last.as_bytes()).unwrap();
    drop(writer);
    wait_applied(sidefuse, &after);
    let lines = sidefuse.process().lines();
    assert!(
        lines
            .iter()
            .all(|line| line["revision"] != *revision(first)),
        "half a file was applied"
    );
}

/// Sidefuse in its directory, told of its file in whatever words.
fn started_in_place(furnish: impl FnOnce(&Path) -> PathBuf) -> Sidefuse {
    let wrap = |mut command: Command, directory: &Path| {
        command.current_dir(directory);
        Some(command)
    };
    Sidefuse::start_as(furnish, wrap).unwrap()
}

#[test]
fn a_writer_is_waited_for_where_the_path_is_relative_case_144() {
    for name in ["f.yaml", "./f.yaml", "etc/../f.yaml"] {
        let mut sidefuse = started_in_place(|directory| {
            fs::create_dir(directory.join("etc")).unwrap();
            fs::write(directory.join("f.yaml"), content("first")).unwrap();
            name.into()
        });
        let file = sidefuse.directory().join("f.yaml");
        write_slowly(&mut sidefuse, &file, "second");
    }
}

#[test]
fn a_writer_is_waited_for_behind_every_link_that_leads_to_the_file_case_144() {
    let mut sidefuse = started_in_place(|directory| {
        for (folder, version) in [("real", "first"), ("other", "third")] {
            fs::create_dir(directory.join(folder)).unwrap();
            fs::write(directory.join(folder).join("r.yaml"), content(version)).unwrap();
        }
        symlink("real", directory.join("current")).unwrap();
        symlink("current/r.yaml", directory.join("middle.yaml")).unwrap();
        symlink(directory.join("middle.yaml"), directory.join("link.yaml")).unwrap();
        directory.join("link.yaml")
    });
    let place = |name: &str| sidefuse.directory().join(name);
    let [real, other, current, new] = ["real/r.yaml", "other/r.yaml", "current", "new"].map(place);
    write_slowly(&mut sidefuse, &real, "second");

    symlink("other", &new).unwrap();
    fs::rename(&new, &current).unwrap();
    wait_applied(&mut sidefuse, &content("third"));
    write_slowly(&mut sidefuse, &other, "fourth");
}

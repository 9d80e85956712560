//! Where the system tells nothing of changes, or cannot: the poll sees them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{config, idle, in_force, revision, wait_applied};
use crate::support::namespaces::{in_namespaces, quoted};
use crate::support::process::{Sidefuse, write_whole};

const CANNOT: &str = "Cannot watch for changes; looking every other second";

fn furnish(directory: &Path) -> PathBuf {
    let file = directory.join("sidefuse.yaml");
    fs::write(&file, config(&[&idle("first")])).unwrap();
    file
}

#[test]
fn without_any_watch_left_the_poll_takes_over_and_says_so_once() {
    // Of both limits: no watch at all, and none on a directory.
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let script = format!("echo 0 > /proc/sys/user/{limit}");
        let wrap = |command, _: &Path| in_namespaces(&script, &command);
        let Some(mut sidefuse) = Sidefuse::start_as(furnish, wrap) else {
            return;
        };
        let line = sidefuse.event(CANNOT);
        assert_eq!(line["level"], "warn");
        assert_eq!(
            line["directory"],
            sidefuse.directory().display().to_string()
        );
        for name in ["second", "third"] {
            let next = config(&[&idle(name)]);
            sidefuse.write_config(&next);
            wait_applied(&mut sidefuse, &next);
        }
        let lines = sidefuse.process().lines();
        let said = lines.iter().filter(|line| line["msg"] == CANNOT).count();
        assert_eq!(said, 1, "{limit}");
    }
}

#[test]
fn a_file_that_is_mounted_by_itself_is_warned_about_and_another_mount_is_seen_case_159() {
    let script = |directory: &Path| {
        let path = |name: &str| quoted(&directory.join(name));
        let (file, other) = (path("sidefuse.yaml"), path("volume.yaml"));
        let swapped = path("swapped.yaml");
        let go = path("go");
        // Whoever swaps the mount is in the same namespace; it waits for a word in a pipe.
        format!(
            "mkfifo {go}; mount --bind {other} {file}; (read word < {go}; umount {file}; mount --bind {swapped} {file}) &"
        )
    };
    let [volume, swapped] = ["volume", "swapped"].map(|name| config(&[&idle(name)]));
    let furnish = |directory: &Path| {
        fs::write(directory.join("volume.yaml"), &volume).unwrap();
        fs::write(directory.join("swapped.yaml"), &swapped).unwrap();
        furnish(directory)
    };
    let wrap = |command, directory: &Path| in_namespaces(&script(directory), &command);
    let Some(mut sidefuse) = Sidefuse::start_as(furnish, wrap) else {
        return;
    };
    assert_eq!(in_force(&sidefuse)["revision"], *revision(&volume));
    let line = sidefuse.process().wait_for_line(|line| {
        let text = line["msg"].as_str().unwrap_or_default();
        text.starts_with("A file is mounted by itself")
    });
    assert_eq!(line["file"], sidefuse.config_path().display().to_string());
    assert_eq!(line["level"], "warn");

    // Kubernetes would write another file and never mount it.
    write_whole(&sidefuse.directory().join("volume.yaml"), "version: 1\n");
    fs::write(sidefuse.directory().join("go"), "go\n").unwrap();
    wait_applied(&mut sidefuse, &swapped);
}

//! Where a new configuration comes from: ConfigMaps, editors, signals, operators, and files that go away.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{
    config, idle, in_force, is_reload, reload, revision, wait_applied, wait_recovered, wait_refused,
};
use crate::support::client;
use crate::support::namespaces::bound_by_permissions;
use crate::support::process::{Sidefuse, Signal, write_whole};

#[test]
fn a_config_map_is_applied_at_each_swap_of_its_data_link_case_142() {
    let content = |version: usize| config(&[&idle(&format!("v{version}"))]);
    let swap = |directory: &Path, version: usize| {
        let data = directory.join(format!("..v{version}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("sidefuse.yaml"), content(version)).unwrap();
        symlink(format!("..v{version}"), directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    };
    let mut sidefuse = Sidefuse::start_in(|directory| {
        swap(directory, 0);
        let file = directory.join("sidefuse.yaml");
        symlink("..data/sidefuse.yaml", &file).unwrap();
        file
    });
    for version in 1..=10 {
        swap(sidefuse.directory(), version);
        let old = sidefuse.directory().join(format!("..v{}", version - 1));
        fs::remove_dir_all(old).unwrap();
        let line = wait_applied(&mut sidefuse, &content(version));
        assert_eq!(line["changes"], "+1 ~0 -1 routes");
    }
    assert_eq!(in_force(&sidefuse)["revision"], *revision(&content(10)));
}

#[test]
fn whatever_an_editor_does_no_half_file_is_ever_applied_case_144() {
    let contents: Vec<String> = (0..4)
        .map(|version| {
            let routes: Vec<String> = (0..30).map(|n| idle(&format!("v{version}-{n}"))).collect();
            let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
            config(&routes).replace("routes:", "logs: {level: debug}\nroutes:")
        })
        .collect();
    let mut sidefuse = Sidefuse::start(&contents[0]);
    let path = sidefuse.config_path();

    fs::write(&path, &contents[1]).unwrap();
    wait_applied(&mut sidefuse, &contents[1]);

    sidefuse.write_config(&contents[2]);
    wait_applied(&mut sidefuse, &contents[2]);

    let is_waiting =
        |line: &Value| line["msg"] == "Configuration is being written; waiting for its writer";
    let said = sidefuse
        .process()
        .lines()
        .iter()
        .filter(|line| is_waiting(line))
        .count();
    // Every piece ends with a line, so each half would be a configuration too.
    let mut file = File::create(&path).unwrap();
    let lines: Vec<&str> = contents[3].split_inclusive('\n').collect();
    for piece in lines.chunks(12) {
        file.write_all(piece.concat().as_bytes()).unwrap();
        sidefuse.process().wait_for_lines(said + 1, is_waiting);
        let answer = reload(&sidefuse);
        assert_eq!(answer["revision"], *revision(&contents[2]), "{answer}");
    }
    drop(file);
    wait_applied(&mut sidefuse, &contents[3]);

    let applied: Vec<Value> = sidefuse
        .process()
        .lines()
        .into_iter()
        .filter(is_reload)
        .map(|line| line["revision"].clone())
        .collect();
    assert_eq!(
        applied,
        contents[1..]
            .iter()
            .map(|content| revision(content))
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_file_that_goes_away_in_whatever_way_changes_nothing_until_it_is_back_case_147() {
    let good = config(&[&idle("crm")]);
    let furnish = |directory: &Path| {
        fs::create_dir(directory.join("etc")).unwrap();
        let file = directory.join("etc/sidefuse.yaml");
        fs::write(&file, &good).unwrap();
        file
    };
    let bound = |command, _: &Path| Some(bound_by_permissions(command));
    let mut sidefuse = Sidefuse::start_as(furnish, bound).unwrap();
    let file = sidefuse.config_path();
    let directory = file.parent().unwrap().to_owned();
    let remove = || fs::remove_file(&file).unwrap();
    let pipe = || {
        remove();
        assert!(
            Command::new("mkfifo")
                .arg(&file)
                .status()
                .unwrap()
                .success()
        );
    };
    let forbid = || fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let losses: [(&str, &dyn Fn()); 6] = [
        ("deleted", &remove),
        ("with its directory", &|| {
            fs::remove_dir_all(&directory).unwrap()
        }),
        ("a directory", &|| {
            remove();
            fs::create_dir(&file).unwrap();
        }),
        ("a pipe", &pipe),
        ("a link to itself", &|| {
            remove();
            symlink("sidefuse.yaml", &file).unwrap();
        }),
        ("forbidden", &forbid),
    ];
    let reads = || {
        let mut reading = Command::new("cat");
        reading.arg(&file);
        let read = bound_by_permissions(reading).output().unwrap();
        read.status.success()
    };
    let mut refused = 0;
    for (what, lose) in losses {
        lose();
        // Some superusers cannot give away that they read what is forbidden to all.
        if what != "forbidden" || !reads() {
            refused += 1;
            let diagnostics = wait_refused(&mut sidefuse, refused);
            assert!(diagnostics.contains("cannot read"), "{what}: {diagnostics}");
            assert_eq!(in_force(&sidefuse)["revision"], *revision(&good), "{what}");
        }
        if file.is_dir() {
            fs::remove_dir(&file).unwrap();
        }
        fs::create_dir_all(&directory).unwrap();
        write_whole(&file, &good);
        wait_recovered(&mut sidefuse, refused);
    }
    let next = config(&[&idle("next")]);
    write_whole(&file, &next);
    wait_applied(&mut sidefuse, &next);
}

#[test]
fn file_signal_and_operator_take_one_path_and_apply_a_content_once_case_156() {
    let mut sidefuse = Sidefuse::start(&config(&[&idle("crm")]));
    let next = config(&[&idle("next")]);
    sidefuse.write_config(&next);
    sidefuse.process().signal(Signal::Hup);
    let answer = reload(&sidefuse);
    assert_eq!(answer["revision"], *revision(&next));
    sidefuse.process().signal(Signal::Hup);
    sidefuse
        .process()
        .wait_for_line(|line| line["msg"] == "Configuration unchanged" && line["by"] == "SIGHUP");
    let again = reload(&sidefuse);
    assert_eq!(
        (&again["changed"], &again["revision"]),
        (&json!(false), &json!(revision(&next)))
    );
    let reloads = sidefuse
        .process()
        .lines()
        .into_iter()
        .filter(is_reload)
        .count();
    assert_eq!(reloads, 1);

    sidefuse.write_config("version: 1\nroutes: 5\n");
    sidefuse.process().signal(Signal::Hup);
    let response = client::post(sidefuse.admin(), "/config/reload", &json!({}));
    assert_eq!(response.status(), 422, "{}", response.text());
    assert!(
        response.text().contains("sidefuse.yaml:2:9"),
        "{}",
        response.text()
    );
}

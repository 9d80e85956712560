//! Files that the configuration names change by themselves: secrets, trusted certificates, bodies. Nobody asks for a reload here.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;

use super::{config, in_force, is_refusal, is_reload, wait_recovered, wait_refused};
use crate::support::answer::Answer;
use crate::support::client;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal, write_whole};

/// What must never be seen.
const CANARY: &str = "canary-3f9a";

/// What a call sends up is its answer.
fn mirror() -> Origin {
    Origin::start(|request| Answer::ok(request.head.header("authorization").unwrap_or("none")))
}

fn route_with_secret(origin: &Origin, secret: &Path) -> String {
    format!(
        "crm: {{upstream: \"{}\", headers: {{request: {{set: {{Authorization: {{file: \"{}\", prefix: \"Bearer \"}}}}}}}}}}",
        origin.url(),
        secret.display()
    )
}

/// Waits until so many reloads happened, and gives the last.
fn wait_reloads(sidefuse: &mut Sidefuse, count: usize) -> Value {
    let mut lines = sidefuse.process().wait_for_lines(count, is_reload);
    lines.remove(count - 1)
}

fn called(sidefuse: &Sidefuse) -> String {
    client::get(sidefuse.proxy(), "/crm/x").text().to_owned()
}

#[test]
fn a_secret_that_rotates_is_used_and_one_that_is_bad_leaves_the_old_in_use_and_is_never_seen_cases_160_and_187()
 {
    let origin = mirror();
    let secret_of = |version: usize| format!("{CANARY}-{version}");
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let (secret, file) = (directory.join("token"), directory.join("sidefuse.yaml"));
        fs::write(&secret, secret_of(1) + "\n").unwrap();
        let text = config(&[&route_with_secret(&origin, &secret)]);
        fs::write(
            &file,
            text.replace("routes:", "logs: {level: trace}\nroutes:"),
        )
        .unwrap();
        file
    });
    let secret = sidefuse.directory().join("token");
    assert_eq!(called(&sidefuse), format!("Bearer {}", secret_of(1)));

    write_whole(&secret, &secret_of(2));
    let line = wait_reloads(&mut sidefuse, 1);
    assert_eq!(
        (&line["by"], &line["changes"], &line["migrated"]),
        (&"file".into(), &"+0 ~1 -0 routes".into(), &1.into())
    );
    assert_eq!(called(&sidefuse), format!("Bearer {}", secret_of(2)));

    let lose = || fs::remove_file(&secret).unwrap();
    let cut = || fs::write(&secret, format!("{CANARY}-3\n{CANARY}-4\n")).unwrap();
    let swell = || fs::write(&secret, CANARY.repeat(200_000)).unwrap();
    let losses: [(&str, &dyn Fn()); 3] = [
        ("gone", &lose),
        ("of two lines", &cut),
        ("too large", &swell),
    ];
    for (at, (what, lose)) in losses.into_iter().enumerate() {
        lose();
        let diagnostics = wait_refused(&mut sidefuse, at + 1);
        assert!(diagnostics.contains("error[C063]"), "{what}: {diagnostics}");
        assert_eq!(called(&sidefuse), format!("Bearer {}", secret_of(2)));
        assert_eq!(in_force(&sidefuse)["lastError"]["diagnostics"], diagnostics);
    }
    write_whole(&secret, &secret_of(5));
    wait_reloads(&mut sidefuse, 2);
    assert_eq!(called(&sidefuse), format!("Bearer {}", secret_of(5)));
    assert_eq!(in_force(&sidefuse)["lastError"], Value::Null);

    let pages = [
        "/config",
        "/circuit-breakers",
        "/circuit-breakers/crm",
        "/metrics",
    ];
    for page in pages {
        let page = client::get(sidefuse.admin(), page);
        assert!(!page.text().contains(CANARY), "{}", page.text());
    }
    sidefuse.process().signal(Signal::Term);
    assert_eq!(sidefuse.process().wait_exit(), 0);
    let said = sidefuse.process().stdout() + &sidefuse.process().stderr();
    assert!(!said.contains(CANARY), "{said}");
}

#[test]
fn a_mounted_secret_is_used_after_each_swap_of_its_data_link() {
    let origin = mirror();
    let swap = |mount: &Path, version: usize| {
        let data = mount.join(format!("..v{version}"));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("token"), version.to_string()).unwrap();
        symlink(format!("..v{version}"), mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let mount = directory.join("secrets");
        swap(&mount, 0);
        symlink("..data/token", mount.join("token")).unwrap();
        let file = directory.join("sidefuse.yaml");
        fs::write(
            &file,
            config(&[&route_with_secret(&origin, &mount.join("token"))]),
        )
        .unwrap();
        file
    });
    for version in 1..=5 {
        let mount = sidefuse.directory().join("secrets");
        swap(&mount, version);
        fs::remove_dir_all(mount.join(format!("..v{}", version - 1))).unwrap();
        wait_reloads(&mut sidefuse, version);
        assert_eq!(called(&sidefuse), format!("Bearer {version}"));
    }
}

#[test]
fn another_authority_is_trusted_once_its_certificate_is_there_and_a_bad_one_leaves_the_old_trust() {
    let old = Origin::start_tls(|_| Answer::ok("old"));
    let new = Origin::start_tls(|_| Answer::ok("new"));
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let ca = directory.join("ca.pem");
        fs::copy(old.ca_file(), &ca).unwrap();
        let route = |name: &str, origin: &Origin| {
            format!(
                "{name}: {{upstream: {{url: \"{}\", tls: {{ca_file: \"{}\"}}}}}}",
                origin.url(),
                ca.display()
            )
        };
        let file = directory.join("sidefuse.yaml");
        fs::write(&file, config(&[&route("old", &old), &route("new", &new)])).unwrap();
        file
    });
    let ca = sidefuse.directory().join("ca.pem");
    let status = |sidefuse: &Sidefuse, path| client::get(sidefuse.proxy(), path).status();
    assert_eq!(status(&sidefuse, "/old/x"), 200);
    assert_eq!(status(&sidefuse, "/new/x"), 502);

    write_whole(&ca, "no certificate at all\n");
    wait_refused(&mut sidefuse, 1);
    assert_eq!(status(&sidefuse, "/old/x"), 200);
    assert_eq!(
        Metrics::of(sidefuse.health()).value(super::SUCCESSFUL),
        Some(0.0)
    );

    write_whole(&ca, &fs::read_to_string(new.ca_file()).unwrap());
    let line = wait_reloads(&mut sidefuse, 1);
    assert_eq!(line["reset"], "new (connections), old (connections)");
    assert_eq!(status(&sidefuse, "/new/x"), 200);
    assert_eq!(status(&sidefuse, "/old/x"), 502, "its authority is out");
}

#[test]
fn a_file_that_was_only_touched_changes_nothing_and_one_that_is_back_as_it_was_is_said_to_be() {
    let origin = mirror();
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let (secret, file) = (directory.join("token"), directory.join("sidefuse.yaml"));
        fs::write(&secret, "one").unwrap();
        fs::write(&file, config(&[&route_with_secret(&origin, &secret)])).unwrap();
        file
    });
    let secret = sidefuse.directory().join("token");
    write_whole(&secret, "one");
    sidefuse
        .process()
        .wait_for_line(|line| line["msg"] == "Configuration unchanged" && line["by"] == "file");

    let aside = secret.with_extension("aside");
    fs::rename(&secret, &aside).unwrap();
    wait_refused(&mut sidefuse, 1);
    fs::rename(&aside, &secret).unwrap();
    wait_recovered(&mut sidefuse, 1);
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    sidefuse
        .process()
        .wait_for_lines(2, |line| line["msg"] == "Configuration unchanged");
    let lines = sidefuse.process().lines();
    assert_eq!(lines.iter().filter(|line| is_refusal(line)).count(), 1);
    assert!(!lines.iter().any(is_reload));
}

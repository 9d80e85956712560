//! Many changes at once, and changes that are no configuration at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::{
    config, idle, in_force, is_refusal, is_reload, reload, revision, wait_applied, wait_recovered,
    wait_refused,
};
use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal, write_whole};

fn reloads(sidefuse: &mut Sidefuse) -> Vec<Value> {
    let mut lines = sidefuse.process().lines();
    lines.retain(is_reload);
    lines
}

#[test]
fn of_a_file_that_flaps_the_last_content_comes_into_force_and_calls_go_on_case_150() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let content = |version: usize| {
        let crm = format!(
            "crm: {{upstream: \"{}\", timeout: {}s}}",
            origin.url(),
            1 + version
        );
        config(&[&crm])
    };
    let mut sidefuse = Sidefuse::start(&content(0));
    let mut caller = Client::connect(sidefuse.proxy());
    for version in 1..=400 {
        // In one step and in place, in turns.
        if version % 2 == 0 {
            sidefuse.write_config(&content(version));
        } else {
            fs::write(sidefuse.config_path(), content(version)).unwrap();
        }
        assert_eq!(caller.get("/crm/x").status(), 200);
    }
    wait_applied(&mut sidefuse, &content(400));
    let written: Vec<String> = (0..=400)
        .map(|version| revision(&content(version)))
        .collect();
    let place = |line: &Value| written.iter().position(|one| line["revision"] == *one);
    let applied: Vec<Option<usize>> = reloads(&mut sidefuse).iter().map(place).collect();
    assert!(applied.is_sorted(), "{applied:?}");
    assert!(applied.iter().all(Option::is_some), "{applied:?}");
    let refused = sidefuse.process().lines().into_iter().filter(is_refusal);
    assert_eq!(refused.count(), 0);
}

#[test]
fn signals_and_operators_in_a_storm_load_one_after_the_other_and_all_get_an_answer_case_156() {
    let mut sidefuse = Sidefuse::start(&config(&[&idle("crm")]));
    let next = config(&[&idle("next")]);
    sidefuse.write_config(&next);
    let admin = sidefuse.admin();
    let headers = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";
    let asking = format!("POST /config/reload HTTP/1.1\r\n{headers}\r\n{{}}");
    let mut operators: Vec<Client> = (0..40)
        .map(|place| {
            let mut operator = Client::connect(admin);
            operator.send(&asking);
            if place % 4 == 0 {
                sidefuse.process().signal(Signal::Hup);
            }
            operator
        })
        .collect();
    for operator in &mut operators {
        let answer = operator.read();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json()["revision"], *revision(&next));
    }
    assert_eq!(reloads(&mut sidefuse).len(), 1);
    assert_eq!(reload(&sidefuse)["changed"], false);
    let metrics = Metrics::of(sidefuse.health());
    assert!(metrics.mentions("\"next\"") && !metrics.mentions("\"crm\""));
}

#[test]
fn a_secret_that_is_slowly_written_is_waited_for() {
    let origin =
        Origin::start(|request| Answer::ok(request.head.header("x-key").unwrap_or("none")));
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let (secret, file) = (directory.join("key"), directory.join("sidefuse.yaml"));
        fs::write(&secret, "one").unwrap();
        let crm = format!(
            "crm: {{upstream: \"{}\", headers: {{request: {{set: {{X-Key: {{file: \"{}\"}}}}}}}}}}",
            origin.url(),
            secret.display()
        );
        let text = config(&[&crm]).replace("routes:", "logs: {level: debug}\nroutes:");
        fs::write(&file, text).unwrap();
        file
    });
    let mut secret = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(sidefuse.directory().join("key"))
        .unwrap();
    secret.write_all(b"half").unwrap();
    sidefuse.event("Configuration is being written; waiting for its writer");
    let answer = client::post(sidefuse.admin(), "/config/reload", &json!({}));
    assert_eq!(answer.status(), 422, "{}", answer.text());
    assert!(answer.text().contains("still being written"));
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "one");
    secret.write_all(b" and half").unwrap();
    drop(secret);
    sidefuse.process().wait_for_line(is_reload);
    let answer = client::get(sidefuse.proxy(), "/crm/x");
    assert_eq!(answer.text(), "half and half");
}

#[test]
fn what_is_no_file_of_a_sensible_size_is_refused_at_once_as_configuration_and_as_secret_case_147() {
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let (secret, file) = (directory.join("key"), directory.join("sidefuse.yaml"));
        fs::write(&secret, "one").unwrap();
        let crm = format!(
            "crm: {{upstream: \"http://127.0.0.1:9\", headers: {{request: {{set: {{X-Key: {{file: \"{}\"}}}}}}}}}}",
            secret.display()
        );
        fs::write(&file, config(&[&crm])).unwrap();
        file
    });
    let places = [sidefuse.config_path(), sidefuse.directory().join("key")];
    let mut refused = 0;
    for place in places {
        let good = fs::read_to_string(&place).unwrap();
        let aside = place.with_extension("aside");
        let endless = || symlink("/dev/zero", &place).unwrap();
        // No byte of it is on the disk.
        let huge = || File::create(&place).unwrap().set_len(50 << 20).unwrap();
        let folder = || fs::create_dir(&place).unwrap();
        let nobody = || symlink("/dev/fd/999", &place).unwrap();
        let losses: [(&dyn Fn(), &str); 4] = [
            (&endless, "not a regular file"),
            (&huge, "larger than"),
            (&folder, "not a regular file"),
            (&nobody, "no such file"),
        ];
        for (lose, why) in losses {
            fs::rename(&place, &aside).unwrap();
            lose();
            // Between the two it may have been seen as gone.
            refused += 1;
            while !wait_refused(&mut sidefuse, refused).contains(why) {
                refused += 1;
            }
            if place.is_dir() {
                fs::remove_dir(&place).unwrap();
            }
            let recoveries = sidefuse
                .process()
                .lines()
                .into_iter()
                .filter(|line| line["msg"] == "Configuration is again what is in force");
            let recoveries = recoveries.count();
            fs::rename(&aside, &place).unwrap();
            wait_recovered(&mut sidefuse, recoveries + 1);
        }
        assert_eq!(fs::read_to_string(&place).unwrap(), good);
    }
    assert_eq!(in_force(&sidefuse)["lastError"], Value::Null);
    write_whole(&sidefuse.config_path(), &config(&[&idle("next")]));
    wait_applied(&mut sidefuse, &config(&[&idle("next")]));
}

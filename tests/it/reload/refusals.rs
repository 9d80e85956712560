//! What is refused, wholly, and how it heals.

use std::fs::{self};
use std::net::TcpListener;

use serde_json::Value;

use super::{
    SUCCESSFUL, config, idle, in_force, is_refusal, wait_applied, wait_recovered, wait_refused,
    with_listen,
};
use crate::support::answer::Answer;
use crate::support::client;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

#[test]
fn a_bad_file_changes_nothing_says_where_and_is_forgotten_once_it_is_good_case_146() {
    let origin = Origin::start(|_| Answer::ok("old"));
    let good = config(&[&format!("crm: {{upstream: \"{}\"}}", origin.url())]);
    let mut sidefuse = Sidefuse::start(&good);
    let first = sidefuse.first_revision();
    let bad = [
        ("version: 1\nroutes: {crm: [\n", ":2:"),
        ("version: 1\nroutes:\n  crm: {upstream: 5}\n", ":3:19"),
        (
            "version: 1\nroutes:\n  crm: {upstream: \"http://a\", tiemout: 1s}\n",
            ":3:31",
        ),
        ("version: 1\nroutes: {}\nroutes: {}\n", ":3:1"),
        ("", "sidefuse.yaml"),
    ];
    for (at, (content, place)) in bad.iter().enumerate() {
        sidefuse.write_config(content);
        let diagnostics = wait_refused(&mut sidefuse, at + 1);
        assert!(diagnostics.contains(place), "no {place} in {diagnostics}");
        let config = in_force(&sidefuse);
        assert_eq!(config["revision"], *first);
        assert_eq!(config["lastError"]["diagnostics"], *diagnostics);
        assert_eq!(Metrics::of(sidefuse.health()).value(SUCCESSFUL), Some(0.0));
        assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "old");

        sidefuse.write_config(&good);
        wait_recovered(&mut sidefuse, at + 1);
        assert_eq!(in_force(&sidefuse)["lastError"], Value::Null);
        assert_eq!(Metrics::of(sidefuse.health()).value(SUCCESSFUL), Some(1.0));
    }
}

#[test]
fn a_taken_port_or_an_absent_certificate_refuses_all_of_it_and_heals_by_itself_case_154() {
    let mut sidefuse = Sidefuse::start(&config(&[&idle("crm")]));
    let first = sidefuse.first_revision();
    let taken = TcpListener::bind("127.0.0.41:0").unwrap();
    let address = taken.local_addr().unwrap();
    let socket = sidefuse.directory().join("admin.sock");
    let next = with_listen(
        &format!(
            "{{proxy: [127.0.0.1:0, \"{address}\"], admin: [127.0.0.1:0, \"unix:{}\"], health: 127.0.0.1:0}}",
            socket.display()
        ),
        &[&idle("crm"), &idle("fresh")],
    );
    // Both listeners before and behind the taken one must be given up again.
    let next = next
        .replace("[127.0.0.1:0, \"unix", "[\"unix")
        .replace("sock\"]", "sock\", 127.0.0.1:0]");
    sidefuse.write_config(&next);
    let diagnostics = wait_refused(&mut sidefuse, 1);
    assert!(
        diagnostics.contains(&address.to_string()) && diagnostics.contains("listen.proxy"),
        "{diagnostics}"
    );
    assert_eq!(in_force(&sidefuse)["revision"], *first);
    assert_eq!(
        client::get(sidefuse.admin(), "/circuit-breakers/fresh").status(),
        404
    );
    assert!(!Metrics::of(sidefuse.health()).mentions("\"fresh\""));
    assert!(!socket.exists());

    drop(taken);
    let line = wait_applied(&mut sidefuse, &next);
    assert!(
        line["proxy"]
            .as_str()
            .unwrap()
            .contains(&address.to_string()),
        "{line}"
    );
    assert_eq!(client::get(address, "/nowhere").status(), 404);
    assert!(socket.exists());

    let ca = sidefuse.directory().join("ca.pem");
    let upstream = format!(
        "{{url: \"https://127.0.0.1:9\", tls: {{ca_file: \"{}\"}}}}",
        ca.display()
    );
    let third = config(&[
        &idle("a-new-one"),
        &format!("crm: {{upstream: {upstream}}}"),
    ]);
    sidefuse.write_config(&third);
    let diagnostics = wait_refused(&mut sidefuse, 2);
    assert!(diagnostics.contains("ca.pem"), "{diagnostics}");
    fs::write(&ca, "no certificate\n").unwrap();
    wait_refused(&mut sidefuse, 3);
    assert!(!Metrics::of(sidefuse.health()).mentions("\"a-new-one\""));
    let origin = Origin::start_tls(|_| Answer::ok(""));
    fs::copy(origin.ca_file(), &ca).unwrap();
    wait_applied(&mut sidefuse, &third);
    assert!(!socket.exists(), "a listener that went leaves its file");
    // A file that is as bad as before is not reported each time somebody looks.
    assert_eq!(
        sidefuse
            .process()
            .lines()
            .iter()
            .filter(|line| is_refusal(line))
            .count(),
        3
    );
}

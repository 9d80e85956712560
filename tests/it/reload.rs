//! A new configuration: when it is applied, when it is refused, and what it leaves alone.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::answer::Answer;
use crate::support::client::{self, Client};
use crate::support::gate::Gate;
use crate::support::metrics::Metrics;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal, write_whole};
use crate::support::traffic::Traffic;

const LISTEN: &str = "{proxy: 127.0.0.1:0, admin: 127.0.0.1:0, health: 127.0.0.1:0}";
const SUCCESSFUL: &str = "sidefuse_config_last_reload_successful";

/// A configuration with these routes, each one line.
fn config(routes: &[&str]) -> String {
    with_listen(LISTEN, routes)
}

fn with_listen(listen: &str, routes: &[&str]) -> String {
    let mut text = format!("version: 1\nlisten: {listen}\nroutes:\n");
    for route in routes {
        text.push_str(&format!("  {route}\n"));
    }
    text
}

/// A route that nobody calls.
fn idle(name: &str) -> String {
    format!("{name}: {{upstream: \"http://127.0.0.1:9\"}}")
}

/// What names a content: the first 8 digits of its SHA-256.
fn revision(content: &str) -> String {
    let digest = Sha256::digest(content);
    let digits = digest.iter().take(4).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn is_reload(line: &Value) -> bool {
    line["msg"] == "Configuration reloaded"
}

fn is_refusal(line: &Value) -> bool {
    line["msg"] == "Configuration refused; nothing was changed"
}

/// Waits until that content is in force.
fn wait_applied(sidefuse: &mut Sidefuse, content: &str) -> Value {
    let revision = revision(content);
    sidefuse
        .process()
        .wait_for_line(|line| is_reload(line) && line["revision"] == *revision)
}

/// Waits until that many contents were refused, and gives the diagnostics of the last.
fn wait_refused(sidefuse: &mut Sidefuse, count: usize) -> String {
    let lines = sidefuse.process().wait_for_lines(count, is_refusal);
    lines[count - 1]["diagnostics"].as_str().unwrap().to_owned()
}

/// Waits until it was said that often that the file is again what is in force.
fn wait_recovered(sidefuse: &mut Sidefuse, count: usize) {
    sidefuse.process().wait_for_lines(count, |line| {
        line["msg"] == "Configuration is again what is in force"
    });
}

fn reload(sidefuse: &Sidefuse) -> Value {
    client::post(sidefuse.admin(), "/config/reload", &json!({})).json()
}

fn breaker(sidefuse: &Sidefuse, name: &str) -> Value {
    client::get(sidefuse.admin(), &format!("/circuit-breakers/{name}")).json()
}

fn in_force(sidefuse: &Sidefuse) -> Value {
    client::get(sidefuse.admin(), "/config").json()
}

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
fn a_file_that_goes_away_in_whatever_way_changes_nothing_until_it_is_back_case_147() {
    let good = config(&[&idle("crm")]);
    let mut sidefuse = Sidefuse::start_in(|directory| {
        fs::create_dir(directory.join("etc")).unwrap();
        let file = directory.join("etc/sidefuse.yaml");
        fs::write(&file, &good).unwrap();
        file
    });
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
    let mut refused = 0;
    for (what, lose) in losses {
        lose();
        // The superuser reads what is forbidden to all.
        if what != "forbidden" || File::open(&file).is_err() {
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
fn there_and_back_again_resets_no_state_case_151() {
    let origin = Origin::start(|_| Answer::status(500, &[], ""));
    let here = config(&[&format!(
        "crm: {{upstream: \"{}\", breaker: {{failure_threshold: 2, reset_timeout: 10m}}}}",
        origin.url()
    )]);
    let there = here.replace("10m", "20m");
    let sidefuse = Sidefuse::start(&here);
    for _ in 0..2 {
        client::get(sidefuse.proxy(), "/crm/x");
    }
    let before = breaker(&sidefuse, "crm");
    assert_eq!(before["state"], "open");
    for _ in 0..20 {
        sidefuse.write_config(&there);
        sidefuse.write_config(&here);
    }
    let answer = reload(&sidefuse);
    assert_eq!(answer["revision"], *revision(&here));
    let after = breaker(&sidefuse, "crm");
    assert_eq!(
        (&after["state"], &after["since"]),
        (&before["state"], &before["since"])
    );
    assert_eq!(after["nextProbeAt"], before["nextProbeAt"]);
}

#[test]
fn a_surviving_route_keeps_its_state_and_a_removed_one_leaves_nothing_case_152() {
    let origin = Origin::start(|request| match request.head.target() {
        "/fail" => Answer::status(500, &[], ""),
        _ => Answer::ok("fine"),
    });
    let crm = |threshold: u32| {
        format!(
            "crm: {{upstream: \"{}\", breaker: {{failure_threshold: {threshold}, reset_timeout: 10m}}}}",
            origin.url()
        )
    };
    let new = format!("fresh: {{upstream: \"{}\"}}", origin.url());
    let mut sidefuse = Sidefuse::start(&config(&[&crm(2), &idle("gone")]));
    for _ in 0..2 {
        client::get(sidefuse.proxy(), "/crm/fail");
    }
    let before = breaker(&sidefuse, "crm");
    assert_eq!(before["state"], "open");
    assert!(Metrics::of(sidefuse.health()).mentions("\"gone\""));

    let unchanged = config(&[&crm(2), &new]);
    sidefuse.write_config(&unchanged);
    let line = wait_applied(&mut sidefuse, &unchanged);
    assert_eq!(line["changes"], "+1 ~0 -1 routes");
    assert_eq!(breaker(&sidefuse, "crm")["since"], before["since"]);
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 503);
    let metrics = Metrics::of(sidefuse.health());
    assert!(!metrics.mentions("\"gone\""), "an orphan series");
    assert_eq!(
        metrics.value("sidefuse_breaker_state{breaker=\"fresh\",state=\"closed\"}"),
        Some(1.0)
    );
    assert_eq!(client::get(sidefuse.proxy(), "/fresh/x").text(), "fine");
    assert_eq!(client::get(sidefuse.proxy(), "/gone/x").status(), 404);
    assert_eq!(
        client::get(sidefuse.admin(), "/circuit-breakers/gone").status(),
        404
    );

    let changed = config(&[&crm(7), &new]);
    sidefuse.write_config(&changed);
    wait_applied(&mut sidefuse, &changed);
    let after = breaker(&sidefuse, "crm");
    assert_eq!(
        (&after["state"], &after["since"]),
        (&before["state"], &before["since"])
    );
    assert_eq!(
        after["settings"]["breaker"]["failureThreshold"], 7,
        "{after}"
    );
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").status(), 503);
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

#[test]
fn listeners_come_move_and_go_while_their_connections_live_on_case_154() {
    let origin = Origin::start(|_| Answer::ok("fine"));
    let route = format!("crm: {{upstream: \"{}\"}}", origin.url());
    let mut sidefuse = Sidefuse::start(&config(&[&route]));
    let old = sidefuse.proxy();
    let mut kept = Client::connect(old);
    assert_eq!(kept.get("/crm/1").text(), "fine");

    let proxies = |line: &Value| -> Vec<SocketAddr> {
        let list = line["proxy"].as_str().unwrap().split(',');
        list.map(|address| address.parse().unwrap()).collect()
    };
    let two = with_listen(
        "{proxy: [127.0.0.1:0, 127.0.0.42:0], admin: 127.0.0.1:0, health: off}",
        &[&route],
    );
    sidefuse.write_config(&two);
    let line = wait_applied(&mut sidefuse, &two);
    let [same, other] = proxies(&line)[..] else {
        panic!("{line}")
    };
    assert_eq!(same, old);
    for address in [same, other] {
        assert_eq!(client::get(address, "/crm/2").text(), "fine");
    }
    TcpStream::connect(sidefuse.health()).expect_err("the health listener went");

    let moved = with_listen(
        "{proxy: 127.0.0.42:0, admin: 127.0.0.1:0, health: off}",
        &[&route],
    );
    sidefuse.write_config(&moved);
    let line = wait_applied(&mut sidefuse, &moved);
    assert_eq!(proxies(&line), [other]);
    assert_eq!(client::get(other, "/crm/3").text(), "fine");
    TcpStream::connect(old).expect_err("nobody listens there any more");
    assert_eq!(
        kept.get("/crm/4").text(),
        "fine",
        "what it accepted lives on"
    );
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

#[test]
fn reloads_under_traffic_fail_no_request_and_those_in_flight_finish_as_they_began_case_149() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| match request.head.target() {
        "/held" => Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold"),
        _ => Answer::ok("fine"),
    });
    let crm = |round: usize| {
        // Another breaker, another upstream, another timeout: everything of the route is made anew.
        format!(
            "crm: {{upstream: {{url: \"{}\", pool: {{max: {}}}}}, timeout: {}s, breaker: {{failure_threshold: {}}}}}",
            origin.url(),
            64 + round,
            20 + round,
            5 + round
        )
    };
    let old = format!("old: {{upstream: \"{}\"}}", origin.url());
    let mut sidefuse = Sidefuse::start(&config(&[&crm(0), &old]));
    let mut in_flight = Client::connect(sidefuse.proxy());
    in_flight.send("GET /old/held HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.wait_for_requests(1);

    let traffic = Traffic::start(sidefuse.proxy(), 4, "/crm/x");
    for round in 1..=20 {
        traffic.wait_for_more(8);
        sidefuse.write_config(&config(&[&crm(round)]));
        let answer = reload(&sidefuse);
        assert_eq!(
            answer["revision"],
            *revision(&config(&[&crm(round)])),
            "{answer}"
        );
    }
    traffic.wait_for_more(8);
    assert_eq!(client::get(sidefuse.proxy(), "/old/x").status(), 404);
    gate.open();
    let response = in_flight.read();
    assert_eq!((response.status(), response.text()), (200, "old"));
    let calls = traffic.stop();

    let metrics = Metrics::of(sidefuse.health());
    let counted = metrics.value(
        "sidefuse_requests_total{route=\"crm\",method=\"GET\",code_class=\"2xx\",outcome=\"success\"}",
    );
    assert_eq!(counted, Some(calls as f64));
    sidefuse.process().signal(Signal::Term);
    assert_eq!(sidefuse.process().wait_exit(), 0);
    let lines = sidefuse.process().lines();
    let of = |route: &str| {
        lines
            .iter()
            .filter(|line| line["route"] == *route && line["statusCode"] == 200)
            .count()
    };
    assert_eq!((of("crm"), of("old")), (calls, 1));
}

#[test]
fn a_rotated_secret_is_read_again_on_demand_although_the_file_is_the_same() {
    let origin =
        Origin::start(|request| Answer::ok(request.head.header("authorization").unwrap_or("none")));
    let mut sidefuse = Sidefuse::start_in(|directory| {
        let (secret, file) = (directory.join("token"), directory.join("sidefuse.yaml"));
        fs::write(&secret, "one\n").unwrap();
        let route = format!(
            "crm: {{upstream: \"{}\", headers: {{request: {{set: {{Authorization: {{file: \"{}\", prefix: \"Bearer \"}}}}}}}}}}",
            origin.url(),
            secret.display()
        );
        fs::write(&file, config(&[&route, &idle("other")])).unwrap();
        file
    });
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "Bearer one");
    fs::write(sidefuse.directory().join("token"), "two\n").unwrap();
    sidefuse.process().signal(Signal::Hup);
    let line = sidefuse.process().wait_for_line(is_reload);
    assert_eq!(line["changes"], "+0 ~1 -0 routes");
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "Bearer two");
    assert_eq!(reload(&sidefuse)["changed"], false);

    // A secret that is gone keeps the one in force.
    fs::remove_file(sidefuse.directory().join("token")).unwrap();
    sidefuse.process().signal(Signal::Hup);
    wait_refused(&mut sidefuse, 1);
    assert_eq!(client::get(sidefuse.proxy(), "/crm/x").text(), "Bearer two");
}

//! `sidefuse ctl` and `sidefuse healthcheck` against a running sidefuse: what they say, and with which exit code.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal, command};

const ROUTES: &str = "routes: {email: {upstream: \"http://127.0.0.1:9\"}, whatsapp: {upstream: \"http://127.0.0.1:9\"}}\n";

fn with_admin(listen: &str) -> String {
    format!("version: 1\nlisten: {{proxy: 127.0.0.1:0, {listen}}}\n{ROUTES}")
}

/// What a command says, and its exit code.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

fn ask(admin: &str, arguments: &[&str]) -> Said {
    let mut command = command();
    command.args(arguments).env("SIDEFUSE_ADMIN", admin);
    command.output().unwrap().into()
}

fn ctl(sidefuse: &Sidefuse, arguments: &[&str]) -> Said {
    let whole = [&["ctl"], arguments].concat();
    ask(&sidefuse.admin().to_string(), &whole)
}

#[test]
fn breakers_tells_which_is_open_and_why_and_ends_with_3_if_that_was_the_question() {
    let sidefuse = Sidefuse::start(&with_admin("admin: 127.0.0.1:0"));
    let calm = ctl(&sidefuse, &["breakers", "--exit-code"]);
    assert_eq!((calm.code, &*calm.err), (Some(0), ""), "{}", calm.out);

    let opened = ctl(
        &sidefuse,
        &["open", "email", "--for", "15m", "--reason", "INC \"7\""],
    );
    assert_eq!(opened.code, Some(0), "{}", opened.err);
    assert!(
        opened
            .out
            .starts_with("email: open, forced_open; forced open since "),
        "{}",
        opened.out
    );
    assert!(opened.out.contains("by loopback until "), "{}", opened.out);

    let open = ctl(&sidefuse, &["breakers", "--exit-code"]);
    assert_eq!(open.code, Some(3), "{}", open.err);
    assert!(
        open.out.starts_with("1 open, 0 half-open, 1 closed"),
        "{}",
        open.out
    );
    assert!(open.out.contains("(INC \"7\")"), "{}", open.out);
    assert_eq!(ctl(&sidefuse, &["breakers"]).code, Some(0));

    let listed = ctl(&sidefuse, &["-o", "json", "breakers", "--state", "open"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(listed["breakers"][0]["name"], "email", "{listed}");
    assert_eq!(listed["breakers"].as_array().unwrap().len(), 1);

    let inspected = ctl(&sidefuse, &["inspect", "email"]);
    assert!(
        inspected.out.contains("  closed -> open (forced_open)"),
        "{}",
        inspected.out
    );
    let again = ctl(&sidefuse, &["open", "email", "--for", "15m"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    for changed in ["", "; nothing was changed"] {
        let auto = ctl(&sidefuse, &["auto", "email"]);
        let expected =
            format!("email: closed, auto; closed; 0 of 10 consecutive failures{changed}\n");
        assert_eq!((auto.code, auto.out), (Some(0), expected));
    }
}

#[test]
fn an_order_that_is_not_carried_out_says_why_and_ends_with_1() {
    let sidefuse = Sidefuse::start(&with_admin("admin: 127.0.0.1:0"));
    for (arguments, said) in [
        (&["open", "emial"][..], "did you mean `email`?"),
        (
            &["open", "email", "--for", "15x"],
            "`for` is no duration; durations are written like",
        ),
        (&["clear", "email", "--key", "tenant-7"], "`breaker.key`"),
        (&["breakers", "--state", "opn"], "closed, open, half_open"),
    ] {
        for form in [&[][..], &["-o", "json"]] {
            let arguments = [form, arguments].concat();
            let failed = ctl(&sidefuse, &arguments);
            assert_eq!((failed.code, &*failed.out), (Some(1), ""), "{arguments:?}");
            let lines = failed.err.lines().count();
            assert!(
                failed.err.starts_with("error: ") && failed.err.contains(said) && lines == 1,
                "{arguments:?}: {}",
                failed.err
            );
        }
    }
    let path = ctl(&sidefuse, &["open", "email/open"]);
    assert_eq!(path.code, Some(2), "{}", path.err);
    let calm = ctl(&sidefuse, &["breakers", "--exit-code"]);
    assert_eq!(calm.code, Some(0), "{}", calm.out);
}

#[test]
fn a_reload_of_a_bad_file_shows_what_is_wrong_with_it() {
    let sidefuse = Sidefuse::start(&with_admin("admin: 127.0.0.1:0"));
    let unchanged = ctl(&sidefuse, &["reload"]);
    let revision = sidefuse.first_revision();
    let expected = format!("revision {revision} was in force already\n");
    assert_eq!((unchanged.code, unchanged.out), (Some(0), expected));
    fs::write(
        sidefuse.config_path(),
        "version: 1\nroutes: {email: {upstraem: x}}\n",
    )
    .unwrap();
    let refused = ctl(&sidefuse, &["reload"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(
        refused.err.contains("the one in force stays")
            && refused.err.contains("did you mean `upstream`?"),
        "{}",
        refused.err
    );
}

#[test]
fn the_configuration_says_where_to_ask_and_with_which_token() {
    let sidefuse = Sidefuse::start_in(|folder| {
        let file = |name: &str| folder.join(name).display().to_string();
        fs::write(file("operator"), "canary-operator\n").unwrap();
        fs::write(file("wrong"), "canary-wrong\n").unwrap();
        let config = with_admin(&format!("admin: [\"unix:{}\", 127.0.0.1:0]", file("sock")));
        let tokens = format!("admin: {{operator_token_file: {}}}\n", file("operator"));
        fs::write(file("sidefuse.yaml"), config + &tokens).unwrap();
        file("sidefuse.yaml").into()
    });
    let file = |name: &str| sidefuse.directory().join(name).display().to_string();
    let said = |arguments: &[&str]| -> Said {
        let mut command = command();
        command.arg("ctl").args(arguments);
        command.output().unwrap().into()
    };
    let config = file("sidefuse.yaml");

    let over_the_socket = said(&["open", "email", "-c", &config]);
    assert_eq!(over_the_socket.code, Some(0), "{}", over_the_socket.err);
    assert!(
        over_the_socket.out.contains(" by uid "),
        "{}",
        over_the_socket.out
    );

    let admin = sidefuse.admin().to_string();
    let by_token = said(&["auto", "email", "-c", &config, "--admin", &admin]);
    assert_eq!(by_token.code, Some(0), "{}", by_token.err);
    let without = said(&["auto", "email", "--admin", &admin]);
    assert_eq!(without.code, Some(1));
    assert!(
        without.err.contains("needs the operator's token"),
        "{}",
        without.err
    );
    let wrong = said(&[
        "auto",
        "email",
        "--admin",
        &admin,
        "--token-file",
        &file("wrong"),
    ]);
    assert_eq!(wrong.code, Some(1));
    assert!(!wrong.err.contains("canary"), "{}", wrong.err);
    let missing = said(&[
        "auto",
        "email",
        "--admin",
        &admin,
        "--token-file",
        &file("none"),
    ]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.err.contains("cannot read the token in "),
        "{}",
        missing.err
    );

    // The file that is broken at three in the morning is not the one in force.
    fs::write(&config, "version: 1\nroutes: [").unwrap();
    let beside = said(&[
        "breakers",
        "-c",
        &config,
        "--admin",
        &format!("unix:{}", file("sock")),
    ]);
    assert_eq!(beside.code, Some(0), "{}", beside.err);
    assert!(beside.err.contains("cannot be loaded"), "{}", beside.err);
}

#[test]
fn where_nobody_answers_it_says_where_it_asked() {
    for command in [&["ctl", "breakers"][..], &["healthcheck"]] {
        let failed = ask("127.0.0.1:9", command);
        assert_eq!(failed.code, Some(1));
        assert!(
            failed.err.contains("http://127.0.0.1:9: ") && failed.err.contains("`--admin`"),
            "{}",
            failed.err
        );
    }
}

#[test]
fn a_healthcheck_fails_once_sidefuse_is_about_to_end_and_it_still_lives() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&held)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")
    });
    let mut sidefuse = Sidefuse::start(&format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: 127.0.0.1:0}}\nroutes: {{email: {{upstream: \"{}\"}}}}\n",
        origin.url()
    ));
    let admin = sidefuse.admin().to_string();
    let asked = |probe: &str| {
        let said = ask(&admin, &["healthcheck", probe]);
        (said.code, said.out + &said.err)
    };
    assert_eq!(asked("ready"), (Some(0), "ready\n".to_owned()));
    assert_eq!(asked("startup"), (Some(0), "started\n".to_owned()));
    let mut caller = Client::connect(sidefuse.proxy());
    caller.send("GET /email/x HTTP/1.1\r\nHost: sidefuse\r\n\r\n");
    origin.wait_for_requests(1);
    sidefuse.process().signal(Signal::Term);
    sidefuse
        .process()
        .wait_for_line(|line| line["signal"] == "SIGTERM");
    assert_eq!(asked("ready"), (Some(1), "error: draining\n".to_owned()));
    assert_eq!(asked("live"), (Some(0), "alive\n".to_owned()));
    gate.open();
    assert_eq!(caller.read().status(), 200);
    assert_eq!(sidefuse.process().wait_exit(), 0);
}

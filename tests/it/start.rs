//! Starting, and not starting: with what exit code, with what words, and with nothing left behind.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::client;
use crate::support::process::{Process, Sidefuse, Signal, command};
use crate::support::tools::repository;

const ROUTES: &str = "routes: {crm: {upstream: \"http://127.0.0.1:9\"}}\n";

/// A configuration with these listeners.
fn config(listen: &str) -> String {
    format!("version: 1\nlisten: {listen}\n{ROUTES}")
}

/// What a run that does not start says, in a directory of its own.
fn run(directory: &TempDir, config: &str) -> Output {
    let path = directory.path().join("sidefuse.yaml");
    fs::write(&path, config).unwrap();
    output(command().arg("run").arg("-c").arg(&path))
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn out(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_bad_configuration_is_told_whole_with_78_and_binds_nothing_case_158() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("admin.sock");
    let config = format!(
        "version: 1\nlisten: {{admin: \"unix:{}\"}}\nroutes:\n  crm: {{upstream: \"http://127.0.0.1:9\", timeout: 30, retires: 1}}\n",
        socket.display()
    );
    let output = run(&directory, &config);
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(out(&output), "");
    let err = err(&output);
    for part in [
        "sidefuse.yaml:4:50",
        "`timeout`",
        "retires",
        "2 errors",
        "does not start",
    ] {
        assert!(err.contains(part), "no {part} in:\n{err}");
    }
    assert!(!socket.exists());
}

#[test]
fn no_configuration_is_bad_usage_case_158() {
    let output = output(command().arg("run"));
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("SIDEFUSE_CONFIG"), "{output:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_clear_error() {
    let directory = TempDir::new().unwrap();
    for (path, why) in [
        (directory.path().join("absent.yaml"), "no such file"),
        (directory.path().to_owned(), "not a regular file"),
    ] {
        let output = output(command().arg("-c").arg(&path));
        assert_eq!(output.status.code(), Some(78));
        let err = err(&output);
        assert!(
            err.contains(&path.display().to_string()) && err.contains(why),
            "{err}"
        );
        assert_eq!(err.matches("error[").count(), 1, "{err}");
    }
}

#[test]
fn a_port_in_use_is_one_clear_error_and_leaves_nothing_half_up() {
    let directory = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let socket = directory.path().join("admin.sock");
    let config = config(&format!(
        "{{proxy: 127.0.0.1:0, admin: \"unix:{}\", health: \"{taken}\"}}",
        socket.display()
    ));
    let output = run(&directory, &config);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(out(&output), "");
    let err = err(&output);
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(
        err.contains(&taken.to_string()) && err.contains("listen.health"),
        "{err}"
    );
    assert!(!socket.exists(), "a socket was left behind");
}

#[test]
fn a_secret_that_is_absent_is_a_bad_configuration() {
    let directory = TempDir::new().unwrap();
    let output = run(
        &directory,
        "version: 1\nroutes:\n  crm:\n    upstream: http://127.0.0.1:9\n    headers: {request: {set: {Authorization: {file: /nowhere/token}}}}\n",
    );
    assert_eq!(output.status.code(), Some(78));
    assert!(err(&output).contains("/nowhere/token"), "{output:?}");
}

#[test]
fn a_secret_that_no_header_can_hold_is_a_bad_configuration() {
    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("token");
    fs::write(&secret, "one\ntwo\n").unwrap();
    let output = run(
        &directory,
        &format!(
            "version: 1\nroutes:\n  crm:\n    upstream: http://127.0.0.1:9\n    headers: {{request: {{set: {{Authorization: {{file: \"{}\"}}}}}}}}\n",
            secret.display()
        ),
    );
    assert_eq!(output.status.code(), Some(78));
    let err = err(&output);
    assert!(
        err.contains("one line of printable text") && !err.contains("two"),
        "{err}"
    );
}

#[test]
fn the_example_starts_as_it_is() {
    let example = fs::read_to_string(repository().join("config.example.yaml")).unwrap();
    let mut config = example;
    for port in ["7900", "7901", "7902"] {
        let address = format!("127.0.0.1:{port}\n");
        assert_eq!(config.matches(&address).count(), 1);
        config = config.replace(&address, "127.0.0.1:0\n");
    }
    let sidefuse = Sidefuse::start(&config);
    assert_eq!(client::get(sidefuse.health(), "/readyz").status(), 200);
}

#[test]
fn the_environment_names_the_configuration_where_the_command_line_does_not() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("sidefuse.yaml");
    fs::write(&path, config("{proxy: 127.0.0.1:0, admin: off}")).unwrap();
    let named = [path.to_str().unwrap(), "/nowhere"];
    let ways = [
        (&["run"][..], named[0]),
        (&[], named[0]),
        (&["run", named[0]], named[1]),
        (&["run", "-c", named[0]], named[1]),
        (&["-c", named[0]], named[1]),
    ];
    for (arguments, variable) in ways {
        let mut command = command();
        command.args(arguments).env("SIDEFUSE_CONFIG", variable);
        let mut process = Process::spawn(command);
        process.wait_for_line(|line| line["msg"] == "sidefuse is ready");
        process.signal(Signal::Term);
        assert_eq!(process.wait_exit(), 0);
        assert_eq!(process.stderr(), "");
    }
    // And it is no obstacle to the other commands.
    let checked = output(
        command()
            .arg("check")
            .arg(&path)
            .env("SIDEFUSE_CONFIG", &path),
    );
    assert_eq!(checked.status.code(), Some(0));
}

#[test]
fn the_version_is_that_of_the_package() {
    for argument in ["version", "--version"] {
        let output = output(command().arg(argument));
        assert_eq!(
            out(&output),
            concat!("sidefuse ", env!("CARGO_PKG_VERSION"), "\n")
        );
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn check_says_what_a_start_would_say_and_contacts_nobody_case_157() {
    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("token");
    fs::write(&secret, "one\ntwo\n").unwrap();
    let unusable = format!(
        "version: 1\nroutes: {{crm: {{upstream: \"http://127.0.0.1:9\", headers: {{request: {{set: {{A: {{file: \"{}\"}}}}}}}}}}}}\n",
        secret.display()
    );
    let bad = [
        "",
        "version: 1\nroutes: {crm: {upstream: 5}}\n",
        "version: 1\nversion: 1\n",
        "a: [\n",
        &unusable,
    ];
    for config in bad {
        let live = run(&directory, config);
        let path = directory.path().join("sidefuse.yaml");
        let checked = output(command().arg("check").arg(&path));
        assert_eq!(
            (live.status.code(), checked.status.code()),
            (Some(78), Some(78)),
            "{config}"
        );
        let said = err(&live)
            .trim_end()
            .trim_end_matches("; sidefuse does not start");
        assert_eq!(err(&checked).trim_end(), said);
    }
    // A port that is taken now may be free later: `check` looks at the file only.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let good = directory.path().join("good.yaml");
    let listen = format!("{{proxy: \"{}\"}}", taken.local_addr().unwrap());
    fs::write(&good, config(&listen)).unwrap();
    let checked = output(command().arg("check").arg(&good));
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(out(&checked).contains("ok, 1 route,"), "{checked:?}");

    let both = output(
        command()
            .arg("check")
            .arg(directory.path().join("sidefuse.yaml"))
            .arg(&good),
    );
    assert_eq!(both.status.code(), Some(78));
    assert!(out(&both).contains("good.yaml: ok"), "{both:?}");
}

#[test]
fn several_listeners_with_port_0_are_as_many_ports() {
    let mut sidefuse = Sidefuse::start(&config(
        "{proxy: [127.0.0.1:0, 127.0.0.1:0], admin: off, health: 127.0.0.1:0}",
    ));
    let ready = sidefuse.process().lines().remove(0);
    let proxies: Vec<&str> = ready["proxy"].as_str().unwrap().split(',').collect();
    assert!(proxies.len() == 2 && proxies[0] != proxies[1], "{ready}");
    for proxy in proxies {
        assert_eq!(
            client::get(proxy.parse().unwrap(), "/nowhere").status(),
            404
        );
    }
    sidefuse.process().signal(Signal::Term);
    assert_eq!(sidefuse.process().wait_exit(), 0);
}

fn with_socket(path: &Path) -> String {
    config(&format!(
        "{{proxy: 127.0.0.1:0, admin: \"unix:{}\", health: 127.0.0.1:0}}",
        path.display()
    ))
}

#[test]
fn a_stale_socket_is_replaced_a_living_one_and_any_other_file_are_not_case_200() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead socket's file stays");

    let mut first = Sidefuse::start(&with_socket(&path));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    UnixStream::connect(&path).unwrap();

    let second = run(&directory, &with_socket(&path));
    assert_eq!(second.status.code(), Some(1));
    assert!(
        err(&second).contains(&path.display().to_string()),
        "{second:?}"
    );
    UnixStream::connect(&path).expect("the living one goes on");

    first.process().kill();
    let mut third = Sidefuse::start(&with_socket(&path));
    third.process().signal(Signal::Term);
    assert_eq!(third.process().wait_exit(), 0);
    assert!(!path.exists(), "an orderly end leaves no socket behind");

    fs::write(&path, "precious").unwrap();
    let fourth = run(&directory, &with_socket(&path));
    assert_eq!(fourth.status.code(), Some(1));
    assert!(fs::metadata(&path).unwrap().file_type().is_file());
    assert!(!fs::metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn after_a_kill_the_same_ports_are_bound_again_at_once_case_200() {
    let port = free_port();
    let config = config(&format!(
        "{{proxy: \"127.0.0.1:{port}\", admin: off, health: off}}"
    ));
    let mut first = Sidefuse::start(&config);
    let mut client = client::Client::connect(first.proxy());
    assert_eq!(client.get("/nowhere").status(), 404);
    first.process().kill();
    let second = Sidefuse::start(&config);
    assert_eq!(client::get(second.proxy(), "/nowhere").status(), 404);
}

//! Signals at a bad moment, and signals that ask for nothing.

use std::fs;
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sidefuse::app::{self, Options};
use tokio::sync::Notify;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::origin::Origin;
use crate::support::process::{Sidefuse, Signal};

/// Sends a signal to this very process.
fn signal(name: &str) {
    let me = process::id().to_string();
    let status = Command::new("kill").args([name, &me]).status();
    assert!(status.unwrap().success(), "kill {name}");
}

#[test]
fn a_signal_during_the_start_kills_nobody_halfway_and_is_obeyed_once_it_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("sidefuse.yaml");
    fs::write(
        &config,
        "version: 1\nlisten: {proxy: 127.0.0.1:0, admin: off}\nroutes: {crm: {upstream: \"http://127.0.0.1:9\"}}\n",
    )
    .unwrap();
    let was_started = Arc::new(AtomicBool::new(false));
    let sent = AtomicBool::new(false);
    let options = Options {
        config,
        // Asked for while the configuration is being read: long before anything listens.
        environment: Box::new(move |_| {
            if !sent.swap(true, Ordering::Relaxed) {
                signal("-HUP");
                signal("-TERM");
            }
            None
        }),
        sink: Box::new(std::io::sink()),
        is_terminal: false,
        stop: Arc::new(Notify::new()),
    };
    let ended = app::run(options, |_| was_started.store(true, Ordering::Relaxed));
    assert_eq!(ended.unwrap(), 0);
    assert!(was_started.load(Ordering::Relaxed));
}

#[test]
fn signals_that_ask_for_nothing_here_cost_a_line_and_no_call() {
    let gate = Gate::closed();
    let opened = gate.clone();
    let origin = Origin::start(move |_| {
        Answer::script()
            .pass(&opened)
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let mut sidefuse = Sidefuse::start(&format!(
        "version: 1\nlisten: {{proxy: 127.0.0.1:0, admin: off}}\nroutes: {{crm: {{upstream: \"{}\"}}}}\n",
        origin.url()
    ));
    let mut in_flight = Client::connect(sidefuse.proxy());
    in_flight.send("GET /crm/held HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.wait_for_requests(1);
    for (signal, name, told) in [
        (Signal::Usr1, "SIGUSR1", "Nothing to reopen: "),
        (Signal::Usr2, "SIGUSR2", "Passed over a signal "),
    ] {
        sidefuse.process().signal(signal);
        let line = sidefuse
            .process()
            .wait_for_line(|line| line["signal"] == name);
        assert_eq!(line["level"], "info");
        assert!(line["msg"].as_str().unwrap().starts_with(told), "{line}");
    }
    gate.open();
    assert_eq!(in_flight.read().status(), 200);
}

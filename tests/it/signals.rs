//! Signals at a bad moment.

use std::fs;
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sidefuse::app::{self, Options};
use tokio::sync::Notify;

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

//! Peers that break off, on real sockets, and many at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use super::{asking, hosts, lines, refusal, text, through};
use crate::support::answer::Answer;
use crate::support::client;
use crate::support::config::{config, route};
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// Closes a connection with a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

fn start(address: &str) -> Sidefuse {
    let url = format!("http://{address}");
    let settings = "timeout: 20s, breaker: {failure_threshold: 1000}";
    Sidefuse::start(&config(&[route("r", &url, settings)]))
}

fn told(line: &Value) -> [Option<&str>; 3] {
    ["outcome", "reason", "level"].map(|key| text(line, key))
}

fn failures(sidefuse: &Sidefuse) -> Value {
    let breaker = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    breaker["statistics"]["failures"].clone()
}

/// How many connections to the upstream there are.
fn open(sidefuse: &Sidefuse) -> Value {
    let breaker = client::get(sidefuse.admin(), "/circuit-breakers/r").json();
    breaker["pool"]["size"].clone()
}

#[test]
fn case_105_an_upstream_that_resets_before_its_first_byte_has_failed_whoever_was_to_speak() {
    let at_once = hosts(reset);
    let after_hello = hosts(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        reset(stream);
    });
    for address in [at_once, after_hello] {
        let mut sidefuse = start(&address);
        for _ in 0..5 {
            let mut client = asking(&sidefuse, &address, "");
            if client.read_head().is_ok_and(|head| head.status() == 200) {
                let _ = client.try_send("x");
                assert_eq!(client.read_to_end(), b"");
            }
        }
        for line in lines(&mut sidefuse, 5) {
            // One that comes at once may be seen as early as by the connect.
            let reason = text(&line, "reason").unwrap();
            assert!(["reset", "connect"].contains(&reason), "{line}");
            assert_eq!(told(&line), ["failure", reason, "error"].map(Some));
        }
        assert_eq!(failures(&sidefuse), 5);
    }
}

#[test]
fn a_reset_in_the_middle_is_told_and_does_not_count() {
    let address = hosts(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(b"half").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        reset(stream);
    });
    let mut sidefuse = start(&address);
    let mut client = through(&sidefuse, &address);
    client.send("x");
    assert_eq!(client.read_bytes(4), b"half");
    client.send("x");
    assert_eq!(client.read_to_end(), b"");
    let line = &lines(&mut sidefuse, 1)[0];
    assert_eq!(told(line), ["success", "reset", "info"].map(Some));
    assert_eq!(text(line, "msg"), Some("Request cut off"));
    assert_eq!(failures(&sidefuse), 0);
}

#[test]
fn a_caller_that_resets_its_connection_in_any_phase_ends_the_upstreams_and_blames_nobody() {
    let origin = Origin::start(|_| Answer::script().echo());
    let address = origin.address().to_string();
    let mut sidefuse = start(&address);
    for phase in 0..4 {
        let mut stream = TcpStream::connect(sidefuse.proxy()).unwrap();
        // In one piece: the system drops what it still holds of a stream that is reset.
        let asked = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        if phase > 0 {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
        }
        if phase > 1 {
            // The origin speaks HTTP: it waits for the rest of this.
            stream.write_all(b"GET /").unwrap();
        }
        if phase > 2 {
            stream.write_all(&vec![b'x'; 1 << 20]).unwrap();
        }
        reset(stream);
    }
    for line in lines(&mut sidefuse, 4) {
        assert_eq!(
            told(&line),
            ["ignored", "client_gone", "info"].map(Some),
            "{line}"
        );
    }
    while open(&sidefuse) != 0 {}
    assert_eq!(failures(&sidefuse), 0);
}

#[test]
fn a_flood_of_wishes_for_unknown_hosts_dials_nobody_and_hurts_nobody() {
    const CALLERS: usize = 8;
    const EACH: usize = 50;
    let origin = Origin::start(|_| Answer::ok("ok"));
    let mut sidefuse = start(&origin.address().to_string());
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let sidefuse = &sidefuse;
            scope.spawn(move || {
                for number in 0..EACH {
                    let target = format!("h{caller}-{number}.example:443");
                    assert_eq!(refusal(sidefuse, &target).status(), 403);
                }
            });
        }
        for _ in 0..EACH {
            assert_eq!(client::get(sidefuse.proxy(), "/r/x").text(), "ok");
        }
    });
    lines(&mut sidefuse, CALLERS * EACH);
    let process = client::get(sidefuse.admin(), "/metrics");
    assert!(!process.text().contains("example"), "no series of theirs");
    assert_eq!(origin.requests().len(), EACH);
}

#[test]
fn a_thousand_tunnels_come_and_go_and_leave_nothing_behind() {
    let address = hosts(super::echo);
    let mut sidefuse = start(&address);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let mut client = through(&sidefuse, &address);
                    client.send("ping");
                    assert_eq!(client.read_bytes(4), b"ping");
                }
            });
        }
    });
    while open(&sidefuse) != 0 {}
    lines(&mut sidefuse, 1000);
}

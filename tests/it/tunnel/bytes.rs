//! What goes through a tunnel, and what its line says.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;

use serde_json::Value;

use super::{asking, echo, host, lines, number, text, through};
use crate::support::config::{config, route};
use crate::support::message::Head;
use crate::support::process::Sidefuse;

fn start(address: &str) -> Sidefuse {
    let url = format!("http://{address}");
    Sidefuse::start(&config(&[route("r", &url, "timeout: 30s")]))
}

#[test]
fn case_6_bytes_pass_both_ways_and_a_half_close_keeps_the_other_half() {
    let (address, serving) = host(echo);
    let mut sidefuse = start(&address);
    let mut client = asking(&sidefuse, &address, "early");
    let head = client.read_head().unwrap();
    assert_eq!(head.status(), 200);
    assert!(head.header("x-correlation-id").is_some());
    assert_eq!(head.header("x-request-id"), head.header("x-correlation-id"));
    for absent in ["content-length", "transfer-encoding", "connection", "via"] {
        assert_eq!(head.header(absent), None, "{absent}");
    }
    assert_eq!(client.read_bytes(5), b"early", "none of it is lost");
    client.send("ping");
    assert_eq!(client.read_bytes(4), b"ping");
    client.send("last");
    client.finish();
    assert_eq!(client.read_to_end(), b"last");
    serving.join().unwrap();
    let line = &lines(&mut sidefuse, 1)[0];
    assert_eq!(text(line, "tunnel"), Some(&*address));
    assert_eq!(text(line, "upstream"), Some(&*address));
    assert_eq!(text(line, "route"), Some("r"));
    assert_eq!(text(line, "msg"), Some("Request completed"));
    assert_eq!(text(line, "outcome"), Some("success"));
    assert_eq!(
        (line.get("reason"), line.get("targetHost")),
        (None::<&Value>, None)
    );
    assert_eq!(
        ["statusCode", "attempts", "bytesIn", "bytesOut"].map(|key| number(line, key)),
        [200, 1, 13, 13]
    );
    assert!(!sidefuse.process().stdout().contains("canary"));
}

#[test]
fn ten_megabytes_pass_unchanged_both_ways_at_once() {
    const SIZE: usize = 10 << 20;
    let (address, serving) = host(echo);
    let mut sidefuse = start(&address);
    let mut stream = TcpStream::connect(sidefuse.proxy()).unwrap();
    write!(
        stream,
        "CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"
    )
    .unwrap();
    let sent: Vec<u8> = (0..SIZE as u32 / 4).flat_map(u32::to_le_bytes).collect();
    let (mut writer, bytes) = (stream.try_clone().unwrap(), sent.clone());
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut reader = BufReader::new(stream);
    assert_eq!(Head::read(&mut reader).unwrap().unwrap().status(), 200);
    let mut got = Vec::new();
    reader.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    serving.join().unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    let line = &lines(&mut sidefuse, 1)[0];
    assert_eq!(
        (number(line, "bytesIn"), number(line, "bytesOut")),
        (SIZE as u64, SIZE as u64)
    );
}

#[test]
fn an_upstream_that_speaks_first_is_heard_and_its_end_reaches_the_caller() {
    let (address, serving) = host(|mut stream| {
        stream.write_all(b"220 hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        assert_eq!(got, "thanks");
    });
    let mut sidefuse = start(&address);
    let mut client = through(&sidefuse, &address);
    assert_eq!(client.read_to_end(), b"220 hello");
    client.send("thanks");
    client.finish();
    serving.join().unwrap();
    let line = &lines(&mut sidefuse, 1)[0];
    assert_eq!(text(line, "outcome"), Some("success"));
    assert_eq!((number(line, "bytesIn"), number(line, "bytesOut")), (6, 9));
}

#[test]
fn http_1_0_asks_for_tunnels_too() {
    let (address, serving) = host(echo);
    let mut sidefuse = start(&address);
    let mut stream = TcpStream::connect(sidefuse.proxy()).unwrap();
    // So does Python's http.client before 3.12.
    write!(stream, "CONNECT {address} HTTP/1.0\r\n\r\nping").unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert_eq!(Head::read(&mut reader).unwrap().unwrap().status(), 200);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = String::new();
    reader.read_to_string(&mut got).unwrap();
    assert_eq!(got, "ping");
    serving.join().unwrap();
    assert_eq!(
        text(&lines(&mut sidefuse, 1)[0], "outcome"),
        Some("success")
    );
}

//! Bodies: streamed both ways, counted to the byte, ended once however they end.

mod broken;
mod early;
mod hops;
mod resets;
mod slow;
mod whole;

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use crate::support::config::{config, route};
use crate::support::message::Head;
use crate::support::origin::Origin;
use crate::support::process::Sidefuse;

/// How an access line tells an ending: status, outcome, reason, attempts, whether the caller was gone.
fn ending(line: &Value) -> String {
    format!(
        "{} {} {} {} {}",
        line["statusCode"],
        line["outcome"].as_str().unwrap_or("-"),
        line["reason"].as_str().unwrap_or("-"),
        line["attempts"],
        if line["clientGone"] == true {
            "gone"
        } else {
            "there"
        },
    )
}

fn bytes(line: &Value) -> (u64, u64) {
    (
        line["bytesIn"].as_u64().unwrap(),
        line["bytesOut"].as_u64().unwrap(),
    )
}

fn sidefuse_to(origin: &Origin, settings: &str) -> Sidefuse {
    Sidefuse::start(&config(&[route("r", &origin.url(), settings)]))
}

/// An upstream of one connection, which is `serve`'s once the head of its request has been read; gives its URL.
fn upstream_of_one(serve: impl FnOnce(BufReader<TcpStream>, TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        Head::read(&mut reader).unwrap();
        serve(reader, stream);
    });
    url
}

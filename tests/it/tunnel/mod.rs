//! CONNECT (case 6): a tunnel to what a route names, and to nothing else; transparent both ways, one verdict, one line at the end.

mod attack;
mod bytes;
mod clients;
mod life;
mod pace;
mod refused;
mod stage;
mod streams;
mod verdict;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::support::client::{Client, Response};
use crate::support::process::Sidefuse;

/// A host that serves one connection so.
fn host(serve: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (
        address,
        thread::spawn(move || serve(listener.accept().unwrap().0)),
    )
}

fn echo(stream: TcpStream) {
    let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
    std::io::copy(&mut from, &mut to).unwrap();
    to.shutdown(Shutdown::Write).unwrap();
}

/// One that serves every connection so, for as long as the test runs.
fn hosts(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A caller who asks for a tunnel to `target` and has said `more` right behind.
fn asking(sidefuse: &Sidefuse, target: &str, more: &str) -> Client {
    let mut client = Client::connect(sidefuse.proxy());
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic canary\r\n\r\n{more}"
    ));
    client
}

/// A caller who has a tunnel to `target`.
fn through(sidefuse: &Sidefuse, target: &str) -> Client {
    let mut client = asking(sidefuse, target, "");
    assert_eq!(client.read_head().unwrap().status(), 200);
    client
}

/// What a caller gets who asks for a tunnel and does not get it.
fn refusal(sidefuse: &Sidefuse, target: &str) -> Response {
    asking(sidefuse, target, "").read()
}

/// The lines of all that asked for a tunnel, in their order; waits for so many.
fn lines(sidefuse: &mut Sidefuse, count: usize) -> Vec<Value> {
    let is_one = |line: &Value| line["requestMethod"] == "CONNECT";
    let found = sidefuse.process().wait_for_lines(count, is_one);
    let all = sidefuse.access_lines();
    assert_eq!(all.iter().filter(|line| is_one(line)).count(), count);
    found
}

fn text<'a>(line: &'a Value, key: &str) -> Option<&'a str> {
    line[key].as_str()
}

fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap()
}

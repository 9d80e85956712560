//! An upstream on loopback that records what it gets, byte for byte, and answers by a script.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use super::PATIENCE;
use super::answer::{Answer, Received, Step};
use super::identity::Identity;
use super::message::{self, Framing, Head};

pub(crate) type Script = dyn Fn(&Received) -> Answer + Send + Sync;

/// A running origin. Its connections are cut when it is dropped, and its port is free then.
#[derive(Debug)]
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    identity: Option<Identity>,
}

struct Shared {
    script: Box<Script>,
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
    log: Mutex<Log>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Received>,
    connections: usize,
    ended: usize,
    /// The connections that have not ended, by their numbers.
    open: BTreeMap<usize, TcpStream>,
}

impl Origin {
    /// Answers each request, once its body has arrived, by the script.
    pub(crate) fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::launch("127.0.0.1:0", Box::new(script), None)
    }

    /// The same behind TLS, as `localhost` and 127.0.0.1, with a certificate of its own authority ([`Origin::ca_file`]).
    pub(crate) fn start_tls(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::launch("127.0.0.1:0", Box::new(script), Some(Identity::new()))
    }

    /// The same at an address, with this identity if it speaks TLS.
    pub(crate) fn launch(address: &str, script: Box<Script>, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let tls = identity
            .as_ref()
            .map(|identity| Arc::clone(&identity.server));
        let shared = Arc::new(Shared {
            script,
            tls,
            stopped: AtomicBool::new(false),
            log: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self {
            address,
            shared,
            identity,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stands as `upstream` in a configuration.
    pub(crate) fn url(&self) -> String {
        match self.identity {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// The certificate of the authority that signed ours, as PEM.
    pub(crate) fn ca_file(&self) -> &Path {
        let identity = self.identity.as_ref().expect("an origin with TLS");
        &identity.ca_file
    }

    /// Everything that came so far.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.shared.log().requests.clone()
    }

    /// Waits until that many requests came and returns all.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        self.wait(|log| log.requests.len() >= count, "requests");
        self.requests()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.log().connections
    }

    /// Waits until that many connections were accepted.
    pub(crate) fn wait_for_connections(&self, count: usize) {
        self.wait(|log| log.connections >= count, "connections");
    }

    /// Waits until that many connections have ended, whoever ended them.
    pub(crate) fn wait_for_ended_connections(&self, count: usize) {
        self.wait(|log| log.ended >= count, "ended connections");
    }

    fn wait(&self, done: impl Fn(&Log) -> bool, what: &str) {
        let waiting = self
            .shared
            .changed
            .wait_timeout_while(self.shared.log(), PATIENCE, |log| !done(log));
        let (log, limit) = waiting.unwrap_or_else(PoisonError::into_inner);
        let (requests, ended) = (log.requests.len(), log.ended);
        drop(log);
        assert!(
            !limit.timed_out(),
            "so many {what} never came; requests: {requests}, ended connections: {ended}"
        );
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.log().open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

// === impl Shared ===

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let result = change(&mut self.log());
        self.changed.notify_all();
        result
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let shared = Arc::clone(self);
            let connection = self.change(|log| {
                log.connections += 1;
                log.open
                    .extend(stream.try_clone().map(|stream| (log.connections, stream)));
                log.connections
            });
            thread::spawn(move || {
                // Whatever ends a connection is seen by the other side; that is where it is tested.
                let _ = shared.serve(stream, connection);
                shared.change(|log| {
                    log.open.remove(&connection);
                    log.ended += 1;
                });
            });
        }
    }

    fn serve(&self, socket: TcpStream, connection: usize) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let control = socket.try_clone()?;
        match &self.tls {
            None => self.converse(&mut BufReader::new(socket), &control, connection),
            Some(config) => {
                let session =
                    ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                self.converse(
                    &mut BufReader::new(StreamOwned::new(session, socket)),
                    &control,
                    connection,
                )
            }
        }
    }

    fn converse<S: Read + Write>(
        &self,
        stream: &mut BufReader<S>,
        control: &TcpStream,
        connection: usize,
    ) -> io::Result<()> {
        while let Some(head) = Head::read(stream)? {
            let body = message::read_body(stream, head.framing(Framing::Length(0)))?;
            let received = self.change(|log| {
                let number = log.requests.len() + 1;
                let received = Received {
                    head,
                    body,
                    connection,
                    number,
                };
                log.requests.push(received.clone());
                received
            });
            for step in (self.script)(&received).steps {
                match step {
                    Step::Send(bytes) => {
                        stream.get_mut().write_all(&bytes)?;
                        stream.get_mut().flush()?;
                    }
                    Step::Pass(gate) => gate.pass(),
                    Step::Close => return control.shutdown(Shutdown::Both),
                    // With a linger time of zero the last close of a socket sends a reset.
                    Step::Reset => return SockRef::from(control).set_linger(Some(Duration::ZERO)),
                    Step::Echo => return echo(stream),
                    Step::UntilGone => return stream.read_to_end(&mut Vec::new()).map(drop),
                }
            }
        }
        Ok(())
    }
}

fn echo<S: Read + Write>(stream: &mut BufReader<S>) -> io::Result<()> {
    loop {
        let bytes = stream.fill_buf()?.to_vec();
        if bytes.is_empty() {
            return Ok(());
        }
        stream.consume(bytes.len());
        stream.get_mut().write_all(&bytes)?;
        stream.get_mut().flush()?;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;
    use crate::support::client::{self, Client};
    use crate::support::gate::Gate;
    use crate::support::tools;

    #[test]
    fn requests_of_one_connection_are_recorded_as_they_were_sent() {
        let origin = Origin::start(|request| Answer::ok(&format!("number {}", request.number)));
        let mut client = Client::connect(origin.address());
        client.send("GET /a HTTP/1.1\r\nX-ODD:  Case\r\n\r\n");
        assert_eq!(client.read().text(), "number 1");
        assert_eq!(client.request("PUT", "/b", &[], "body").text(), "number 2");
        let requests = origin.wait_for_requests(2);
        assert_eq!(
            requests[0].head.bytes,
            b"GET /a HTTP/1.1\r\nX-ODD:  Case\r\n\r\n"
        );
        assert_eq!(
            (requests[1].head.target(), &requests[1].body[..]),
            ("/b", &b"body"[..])
        );
        assert_eq!((requests[1].connection, origin.connections()), (1, 1));
    }

    #[test]
    fn an_answer_has_the_status_the_headers_and_the_body_of_its_script() {
        let origin = Origin::start(|request| {
            Answer::status(
                207,
                &[("X-Body", str::from_utf8(&request.body).unwrap())],
                "{\"a\":1}",
            )
        });
        let response = client::post(origin.address(), "/", &json!({"b": 2}));
        assert_eq!(
            (response.status(), response.header("x-body")),
            (207, Some("{\"b\":2}"))
        );
        assert_eq!(response.json(), json!({"a": 1}));
        let mut client = Client::connect(origin.address());
        let response = client.request("HEAD", "/", &[("Host", "else.where")], "");
        assert_eq!(
            (response.header("content-length"), response.text()),
            (Some("7"), "")
        );
        assert_eq!(origin.requests()[1].head.header("host"), Some("else.where"));
    }

    #[test]
    fn a_gate_holds_the_rest_of_an_answer_back() {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::start(move |_| {
            Answer::script()
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
                .pass(&held)
                .send("b")
        });
        let mut client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.read_head().unwrap().status(), 200);
        assert_eq!(client.read_bytes(1), b"a");
        gate.open();
        assert_eq!(client.read_bytes(1), b"b");
    }

    #[test]
    fn a_reset_is_a_reset_and_a_close_is_a_close() {
        let origin = Origin::start(|request| {
            let cut = Answer::script().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
            if request.head.target() == "/reset" {
                Answer::script().reset()
            } else {
                cut.close()
            }
        });
        let mut client = Client::connect(origin.address());
        client.send("GET /reset HTTP/1.1\r\n\r\n");
        assert_eq!(
            client.try_read().unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        let mut client = Client::connect(origin.address());
        client.send("GET /close HTTP/1.1\r\n\r\n");
        assert_eq!(
            client.try_read().unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        origin.wait_for_ended_connections(2);
    }

    #[test]
    fn an_upgraded_connection_echoes_until_the_client_is_done() {
        let origin = Origin::start(|_| {
            Answer::script()
                .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
                .echo()
        });
        let mut client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\nping");
        assert_eq!(client.read().status(), 101);
        assert_eq!(client.read_bytes(4), b"ping");
        client.send("more");
        client.finish();
        assert_eq!(client.read_to_end(), b"more");
    }

    #[test]
    fn a_client_that_leaves_is_noticed() {
        let origin = Origin::start(|_| Answer::script().until_gone());
        let mut client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\n\r\n");
        origin.wait_for_requests(1);
        drop(client);
        origin.wait_for_ended_connections(1);
    }

    #[test]
    fn the_tls_variant_is_trusted_through_its_ca_file() {
        let origin = Origin::start_tls(|_| Answer::ok("secret"));
        let mut curl = Command::new(tools::tool("curl"));
        curl.args(["--silent", "--show-error", "--cacert"])
            .arg(origin.ca_file())
            .arg(origin.url());
        let output = curl.output().unwrap();
        assert_eq!(str::from_utf8(&output.stdout), Ok("secret"), "{output:?}");
    }
}

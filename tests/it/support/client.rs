//! A client that sends exactly the bytes it is given and shows exactly the answer.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;
use super::message::{self, Framing, Head};

/// One connection; requests on it go one after the other.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    /// The answers to come have no body, whatever their headers say.
    head_only: bool,
}

/// An answer that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            address,
            head_only: false,
        }
    }

    /// Sends these bytes and nothing else.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("sending to the server");
    }

    /// The same where the server may have gone.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a request with `Host`, these headers and, unless the body is empty, its length; then reads the answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response {
        let body = body.as_ref();
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            bytes.extend(format!("Host: {}\r\n", self.address).bytes());
        }
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if !body.is_empty() {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body);
        self.send(bytes);
        self.head_only = method == "HEAD";
        self.read()
    }

    /// A `GET` without further headers.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], "")
    }

    /// Reads the next answer, an interim one (1xx) included.
    pub(crate) fn read(&mut self) -> Response {
        let answer = self.try_read();
        answer.unwrap_or_else(|error| panic!("no whole answer from {}: {error}", self.address))
    }

    /// Reads the next answer; fails with `UnexpectedEof` when the connection ends before the answer does.
    pub(crate) fn try_read(&mut self) -> io::Result<Response> {
        let head = self.read_head()?;
        let framing = if self.head_only || matches!(head.status(), 100..200 | 204 | 304) {
            Framing::Length(0)
        } else {
            head.framing(Framing::Close)
        };
        let body = message::read_body(&mut self.stream, framing)?;
        Ok(Response { head, body })
    }

    /// Reads the head of the next answer and leaves its body on the wire.
    pub(crate) fn read_head(&mut self) -> io::Result<Head> {
        Head::read(&mut self.stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads exactly that many bytes: of a body, or behind an upgrade.
    pub(crate) fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        message::read_body(&mut self.stream, Framing::Length(count)).expect("so many bytes")
    }

    /// Reads what comes until the server ends the connection, orderly or not.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                panic!("the server did not end the connection: {error}")
            }
            Ok(_) | Err(_) => bytes,
        }
    }

    /// Ends its own direction; answers can still be read.
    pub(crate) fn finish(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    /// The value of a header that stands at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is no JSON: {error}\n{}", self.text()))
    }
}

/// A `GET` on a connection of its own.
pub(crate) fn get(address: SocketAddr, target: &str) -> Response {
    Client::connect(address).get(target)
}

/// A `POST` of JSON on a connection of its own.
pub(crate) fn post(address: SocketAddr, target: &str, body: &Value) -> Response {
    let headers = [("Content-Type", "application/json")];
    Client::connect(address).request("POST", target, &headers, body.to_string())
}

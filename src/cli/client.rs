//! An HTTP client: what an application beside the proxy would use, and an operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use crate::net::BoxIo;

/// The longest body that is read: that of ten thousand breakers has less than half of it.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// At this `host:port`.
    Tcp(String),
    /// At this unix socket.
    Unix(PathBuf),
}

/// A client with one connection, kept open between calls and opened anew when it has gone. Must live in a `LocalSet`.
#[derive(Debug)]
pub(super) struct Client {
    server: Server,
    headers: HeaderMap,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: Bytes,
}

impl Client {
    /// A client of that server. Connects with the first call.
    pub(super) fn new(server: impl Into<Server>) -> Self {
        Self {
            server: server.into(),
            headers: HeaderMap::new(),
            sender: None,
        }
    }

    /// The same, but it sends these headers with each call.
    pub(super) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Sends a request with a body of JSON and reads its answer.
    ///
    /// # Errors
    /// When the server cannot be reached, speaks no HTTP or answers more than 64 MiB.
    pub(super) async fn call(
        &mut self,
        method: Method,
        target: &str,
        body: impl Into<Bytes>,
    ) -> io::Result<Answer> {
        let host = match &self.server {
            Server::Tcp(address) => address,
            Server::Unix(_) => "localhost",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .map_err(io::Error::other)?;
        request.headers_mut().extend(self.headers.clone());
        let sender = self.connected().await?;
        let response = sender.send_request(request).await;
        let (head, mut stream) = response.map_err(io::Error::other)?.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = stream.frame().await {
            let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
                continue;
            };
            if body.len() + data.len() > MAX_BODY {
                return Err(io::Error::other("the answer is longer than 64 MiB"));
            }
            body.extend_from_slice(&data);
        }
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
        })
    }

    async fn connected(&mut self) -> io::Result<&mut SendRequest<Full<Bytes>>> {
        let living = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = match living {
            Some(sender) => sender,
            None => {
                let stream = self.server.connect().await?;
                let (sender, connection) = handshake(TokioIo::new(stream))
                    .await
                    .map_err(io::Error::other)?;
                // The call under way gets the error as well; without a call it does not matter.
                tokio::task::spawn_local(async move {
                    let _ = connection.await;
                });
                sender
            }
        };
        Ok(self.sender.insert(sender))
    }
}

impl Server {
    async fn connect(&self) -> io::Result<BoxIo> {
        Ok(match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address.as_str()).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

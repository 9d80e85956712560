//! An HTTP client: what an application beside the proxy would use.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The longest body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// A client with one connection, kept open between calls and opened anew when it has gone. Must live in a `LocalSet`.
#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
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
    /// A client of the server at that address. Connects with the first call.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sender: None,
        }
    }

    /// Sends a request with a body of JSON and reads its answer.
    ///
    /// # Errors
    /// When the server cannot be reached, speaks no HTTP or answers more than 1 MiB.
    pub(super) async fn call(
        &mut self,
        method: Method,
        target: &str,
        body: &'static str,
    ) -> io::Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .map_err(io::Error::other)?;
        let sender = self.connected().await?;
        let response = sender.send_request(request).await;
        let (head, mut stream) = response.map_err(io::Error::other)?.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = stream.frame().await {
            let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
                continue;
            };
            if body.len() + data.len() > MAX_BODY {
                return Err(io::Error::other("the answer is longer than 1 MiB"));
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
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
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

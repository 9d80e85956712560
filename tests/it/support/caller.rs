//! A caller on the stage, and what it got.

use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use sidefuse::time::now;

/// An answer as the caller got it.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) reason: Option<String>,
    pub(crate) retry_after: Option<String>,
    /// Between the call and the answer's headers, on the still clock.
    pub(crate) at: Instant,
}

/// A whole answer as the caller got it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Said {
    /// The header of that name; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A caller's connection.
pub(crate) struct Caller {
    sender: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub(super) fn new(sender: SendRequest<Full<Bytes>>) -> Self {
        Self { sender }
    }

    /// A call and what counts of its answer.
    pub(crate) async fn get(&mut self, path: &str) -> Got {
        let said = self.ask(Request::get(path), "").await;
        let header = |name: &str| Some(said.header(name).to_owned()).filter(|it| !it.is_empty());
        Got {
            status: said.status,
            reason: header("x-sidefuse-reason"),
            retry_after: header("retry-after"),
            at: said.at,
        }
    }

    /// A call with that body and its whole answer.
    pub(crate) async fn ask(
        &mut self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Said {
        let request = request
            .header("host", "stage")
            .body(Full::new(body.into()))
            .unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let at = now();
        let (parts, body) = response.into_parts();
        #[expect(clippy::disallowed_methods, reason = "the body is bounded")]
        let body = Limited::new(body, 4 * 1024 * 1024).collect().await.unwrap();
        Said {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
            at,
        }
    }

    /// Whether the connection has been closed from the other side.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

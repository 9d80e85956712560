//! A caller on the stage, and what it got.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use sidefuse::time::now;

use super::said::{Got, Said};

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
        let mut request = request.body(Full::new(body.into())).unwrap();
        let headers = request.headers_mut();
        headers
            .entry(HOST)
            .or_insert(HeaderValue::from_static("stage"));
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

    /// The status of the answer to a call, and its body if that came to its end.
    pub(crate) async fn try_get(&mut self, path: &str) -> (u16, Option<Bytes>) {
        let request = Request::get(path).header("host", "stage");
        let request = request.body(Full::default()).unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        #[expect(clippy::disallowed_methods, reason = "the body is bounded")]
        let body = Limited::new(response.into_body(), 4 * 1024 * 1024).collect();
        (status, body.await.ok().map(|body| body.to_bytes()))
    }

    /// Whether the connection has been closed from the other side.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

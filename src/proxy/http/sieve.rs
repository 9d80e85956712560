//! Decides which of a caller's bytes the HTTP library may see.
//!
//! The library accepts some requests that RFC 9112 has a server refuse, so the bytes are checked before it gets them. From the
//! first bad byte on it gets others instead, which it certainly refuses. So such a request ends like all that the library
//! refuses, behind the answers to the requests before it, and no part of it is served.

use std::task::Waker;

use super::gate::Gate;
use crate::wire::{Reading, Requests};

/// Bytes that are invalid in a head, in chunks and in a trailer section. The empty line is there because the library parses a
/// head that came in pieces only once it seems complete.
const REFUSED: &[u8] = b"\r\0\r\n\r\n";

/// Checks a caller's requests byte by byte.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    requests: Requests,
    /// Bytes behind a request that may switch protocols: what they are depends on the answer.
    held: Vec<u8>,
    /// Woken when that may be known.
    waiting: Option<Waker>,
    /// The replacement for refused bytes, until it is taken.
    instead: &'static [u8],
}

impl Sieve {
    /// Checks bytes as they come and says how many of them may be read. The others are held back, or refused for good.
    pub(super) fn sift(&mut self, bytes: &[u8], gate: &Gate) -> usize {
        if gate.is_open_for_good() {
            return bytes.len();
        }
        if self.requests.is_open() && self.is_answered(gate) {
            self.requests.go_on();
        }
        let reading = self.requests.read(bytes);
        gate.note_head(self.requests.is_within_head());
        match reading {
            Reading::Clear => bytes.len(),
            Reading::Refused { at, flaw } => {
                gate.note_flaw(flaw);
                self.instead = REFUSED;
                at
            }
            Reading::Open { at } => {
                self.held.extend_from_slice(&bytes[at..]);
                at
            }
        }
    }

    /// Takes the replacement for refused bytes, once.
    pub(super) fn take_instead(&mut self) -> &'static [u8] {
        std::mem::take(&mut self.instead)
    }

    /// Whether bytes are held back.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The bytes that were held back, to be sifted again; `None` as long as it is not known what they are.
    pub(super) fn release(&mut self, gate: &Gate) -> Option<Vec<u8>> {
        (gate.is_open_for_good() || self.is_answered(gate)).then(|| std::mem::take(&mut self.held))
    }

    /// Has `waker` woken when it may be known what the bytes are that are held back.
    pub(super) fn wait(&mut self, waker: &Waker) {
        self.waiting = Some(waker.clone());
    }

    /// Says that what was written is flushed, which may be the answer that decides.
    pub(super) fn stir(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Whether all requests so far have their answers.
    fn is_answered(&self, gate: &Gate) -> bool {
        gate.over() >= self.requests.heads()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::rc::Rc;
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full, Limited};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::proxy::http::front::Front;

    /// What the HTTP library has made of a caller's bytes.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Served {
        /// The targets of the calls, and their bodies if those came to their end.
        calls: Vec<(String, Option<Bytes>)>,
        answers: String,
    }

    /// Serves pieces that come one after the other.
    fn serve(pieces: &[&[u8]], is_strict: bool) -> Served {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let gate = Arc::new(Gate::default());
            let mut front = Front::new(near, Arc::clone(&gate));
            if is_strict {
                front.be_strict();
            }
            let calls = Rc::new(RefCell::new(Vec::new()));
            let record = Rc::clone(&calls);
            let service = service_fn(move |request: Request<Incoming>| {
                gate.begin();
                let (gate, record) = (Arc::clone(&gate), Rc::clone(&record));
                async move {
                    let target = request.uri().to_string();
                    #[expect(clippy::disallowed_methods, reason = "the body is bounded")]
                    let body = Limited::new(request.into_body(), 1 << 16).collect().await;
                    let body = body.map(http_body_util::Collected::to_bytes).ok();
                    record.borrow_mut().push((target, body));
                    gate.end();
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            });
            let served = http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(front), service)
                .with_upgrades();
            let send = async {
                for piece in pieces {
                    far.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                far.shutdown().await.unwrap();
                let mut answers = String::new();
                far.read_to_string(&mut answers).await.unwrap();
                answers
            };
            let (_, answers) = tokio::join!(served, send);
            Served {
                calls: calls.take(),
                answers,
            }
        })
    }

    /// The targets of the requests that are whole to the strict reader, and whether it refuses the next.
    fn read(bytes: &[u8]) -> (Vec<String>, bool) {
        let mut requests = Requests::default();
        let (mut targets, mut start) = (Vec::new(), None);
        let mut whole = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if requests.is_open() {
                requests.go_on();
            }
            if let Reading::Refused { .. } = requests.read(&[*byte]) {
                targets.truncate(whole);
                return (targets, true);
            }
            if requests.is_within_head() {
                start.get_or_insert(at);
            } else if let Some(start) = start.take() {
                let line = String::from_utf8_lossy(&bytes[start..at]).into_owned();
                targets.push(line.split(' ').nth(1).unwrap_or_default().to_owned());
            }
            if requests.is_between() {
                whole = targets.len();
            }
        }
        targets.truncate(whole);
        (targets, false)
    }

    fn field() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "Accept: */*\r\n",
            "Connection: keep-alive\r\n",
            "X-A: b\r\n",
            "Cache-Control:\r\n",
            "Upgrade: x\r\n",
            "TE: trailers\r\n",
            "X-Some-Long-Name-Of-A-Field-That-Is-Nobodys: 1\r\n",
        ])
    }

    /// Where the body goes on, after the fields that frame it.
    fn body() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "\r\n",
            "Content-Length: 0\r\n\r\n",
            "Content-Length: 5\r\n\r\nab\r\nc",
            "content-length:\t11 \r\n\r\nGET /x HTTP",
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: Chunked\r\n\r\n5\r\nhe\r\no\r\n0A;x=y\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
        ])
    }

    fn request() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec![
            "GET /@ HTTP/1.1\r\nHost: a\r\n",
            "POST /@ HTTP/1.1\r\nhost:a:80\r\n",
            "PUT /@?q HTTP/1.1\r\nHost: [::1]\r\n",
            "\r\nGET /@ HTTP/1.1\r\nHost: a\r\n",
            "GET /@ HTTP/1.0\r\nConnection: keep-alive\r\n",
            "GET /@ HTTP/1.1\r\n",
        ]);
        (line, prop::collection::vec(field(), 0..4), body())
            .prop_map(|(line, fields, body)| [line, &fields.concat(), body].concat())
    }

    /// One byte is another, or one more.
    fn mutation() -> impl Strategy<Value = Option<(prop::sample::Index, u8, bool)>> {
        let byte = prop_oneof![
            prop::sample::select(b"\r\n :;,_0a\t\0#\x80".to_vec()),
            any::<u8>()
        ];
        prop::option::weighted(0.7, (any::<prop::sample::Index>(), byte, any::<bool>()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_strictly_the_library_reads_with_the_same_bounds_or_refuses(
            requests in prop::collection::vec(request(), 1..4),
            mutation in mutation(),
            cut in any::<prop::sample::Index>(),
        ) {
            let requests = requests.iter().enumerate();
            let text: String = requests.map(|(at, one)| one.replace('@', &at.to_string())).collect();
            let mut bytes = text.into_bytes();
            if let Some((at, byte, is_more)) = mutation {
                let at = at.index(bytes.len());
                bytes.splice(at..at + usize::from(!is_more), [byte]);
            }
            let (start, end) = bytes.split_at(cut.index(bytes.len() + 1));
            let strict = serve(&[start, end], true);
            let (targets, is_refused) = read(&bytes);
            let whole: Vec<&String> = strict.calls.iter().filter(|call| call.1.is_some()).map(|call| &call.0).collect();
            let has_refusal = strict.answers.contains("HTTP/1.1 400 ");
            let broken = strict.calls.len() - whole.len();
            prop_assert!(whole.len() <= targets.len(), "{:?} {:?}", targets, strict);
            prop_assert_eq!(&whole, &targets.iter().take(whole.len()).collect::<Vec<_>>());
            prop_assert!(broken <= 1);
            // The library ends the connection: by its refusal, with a body that broke off, or as HTTP/1.0 does.
            let has_ended = has_refusal || broken == 1 || strict.answers.contains("HTTP/1.0 200 ");
            prop_assert!(has_ended || strict.calls.len() == targets.len(), "{:?} {:?}", targets, strict);
            prop_assert!(has_ended || !is_refused, "{:?}", strict);
            prop_assert!(has_ended || strict.calls == serve(&[&bytes], false).calls);
        }
    }
}

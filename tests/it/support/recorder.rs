//! An origin that keeps the exact bytes of every request and plays what it is told, on the still clock.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use sidefuse::time::now;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::memory::{Speech, Stage};

/// What an origin does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// These bytes.
    Answer(String),
    /// These bytes as soon as the request's head has come.
    Early(String),
    /// Closes the connection.
    Close,
    /// Nothing, ever.
    Silence,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    /// The value of a header field, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// All requests so far.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    /// Makes the stage's origin play: `play` is told the number of the request, from 0, and the request.
    pub(crate) fn on(
        stage: &Stage,
        play: impl Fn(usize, &Seen) -> Turn + Send + Sync + 'static,
    ) -> Self {
        let recorder = Self::default();
        let (seen, play) = (recorder.clone(), Arc::new(play));
        let speech: Speech =
            Arc::new(move |stream| Box::pin(serve(stream, seen.clone(), Arc::clone(&play))));
        stage.origin.speaks(speech);
        recorder
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// An answer with a body of a given length.
pub(crate) fn answer(status: u16, fields: &str, body: &str) -> Turn {
    Turn::Answer(message(status, fields, body))
}

/// The same as bytes.
pub(crate) fn message(status: u16, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{fields}\r\n{body}")
}

async fn serve(
    mut stream: DuplexStream,
    recorder: Recorder,
    play: Arc<impl Fn(usize, &Seen) -> Turn>,
) {
    let mut bytes = Vec::new();
    loop {
        let Some(end) = head_end(&bytes) else {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let place = {
            let mut all = recorder.0.lock().unwrap();
            all.push(Seen {
                at: now(),
                head: head.clone(),
                body: String::new(),
            });
            all.len() - 1
        };
        let so_far = recorder.all()[place].clone();
        let early = play(place, &so_far);
        if let Turn::Early(text) = &early {
            let _ = stream.write_all(text.as_bytes()).await;
        }
        let end = loop {
            if let Some(end) = body_end(&head, &bytes[end..]) {
                break end;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let body: Vec<u8> = bytes.drain(..head.len() + end).skip(head.len()).collect();
        recorder.0.lock().unwrap()[place].body = String::from_utf8(body).unwrap();
        match early {
            Turn::Early(_) => {}
            Turn::Answer(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Turn::Close => return,
            Turn::Silence => std::future::pending().await,
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    at.map(|at| at + 4)
}

/// How long the body is, once all of it is there.
fn body_end(head: &str, rest: &[u8]) -> Option<usize> {
    if field(head, "transfer-encoding").is_some() {
        let last = rest.windows(5).position(|five| five == b"\r\n0\r\n");
        let last = if rest.starts_with(b"0\r\n") {
            Some(0)
        } else {
            last.map(|at| at + 2)
        }?;
        return head_end(&rest[last..]).map(|end| last + end);
    }
    let length = field(head, "content-length").map_or(0, |length| length.parse().unwrap());
    (rest.len() >= length).then_some(length)
}

/// The value of a field of a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One call over a connection of its own that ends with it; the bytes of the answer.
pub(crate) async fn say(stage: &Stage, request: &str) -> String {
    let mut stream = stage.pipe();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// The status of an answer's bytes.
pub(crate) fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1);
    code.and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status in {answer:?}"))
}

//! `Expect: 100-continue` (case 44): the upstream says whether it wants the body, and the caller sends none that is not wanted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, Response, StatusCode};
use sidefuse::time::{Deadline, now, sleep_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::spawn_local;

use crate::support::memory::{Speech, always, on_stage};

const CONFIG: &str = "version: 1\nroutes: {r: {upstream: http://origin, timeout: 20s}}\n";
const POST: &[u8] = b"POST /r/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
const ASK: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a caller hears, and when it was asked for its body.
type Heard = (String, Option<Duration>);

/// What a caller hears who sends its body of five bytes once it is asked.
async fn hear(mut caller: DuplexStream) -> Heard {
    let (begin, mut heard, mut asked) = (now(), Vec::new(), None);
    caller.write_all(POST).await.unwrap();
    while let Ok(byte) = caller.read_u8().await {
        heard.push(byte);
        if heard == ASK {
            asked = Some(now() - begin);
            heard.clear();
            caller.write_all(b"hello").await.unwrap();
        }
    }
    (String::from_utf8(heard).unwrap(), asked)
}

/// What the caller of a route with these settings hears, whose origin speaks so.
fn heard(settings: &str, origin: &Speech) -> Heard {
    let result = Arc::new(Mutex::new((String::new(), None)));
    let told = Arc::clone(&result);
    on_stage(settings, always(500), async |stage| {
        stage.origin.speaks(Arc::clone(origin));
        *told.lock().unwrap() = hear(stage.pipe()).await;
    });
    let result = result.lock().unwrap();
    result.clone()
}

/// An origin that reads a head and goes on so.
fn origin<F: Future<Output = ()> + 'static>(
    then: impl Fn(DuplexStream) -> F + Send + Sync + 'static,
) -> Speech {
    let then = Arc::new(then);
    Arc::new(move |mut stream| {
        let then = Arc::clone(&then);
        Box::pin(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(
                String::from_utf8(head)
                    .unwrap()
                    .contains("expect: 100-continue\r\n")
            );
            then(stream).await;
        })
    })
}

async fn echo(mut stream: DuplexStream) {
    let mut body = [0; 5];
    stream.read_exact(&mut body).await.unwrap();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    stream
        .write_all(&[&head[..], &body].concat())
        .await
        .unwrap();
}

#[test]
fn a_caller_is_asked_for_its_body_when_the_upstream_asks_for_it() {
    let asking = origin(|mut stream| async move {
        sleep_until(Deadline::after(now(), Duration::from_millis(300))).await;
        stream.write_all(ASK).await.unwrap();
        echo(stream).await;
    });
    let (heard, asked) = heard(CONFIG, &asking);
    assert!(
        heard.starts_with("HTTP/1.1 200 ") && heard.ends_with("hello"),
        "{heard}"
    );
    assert_eq!(asked.map(|asked| asked.as_millis() / 10), Some(30));
}

#[test]
fn a_caller_whose_upstream_answers_without_the_body_is_never_asked_for_it() {
    for answer in ["417 Expectation Failed", "401 Unauthorized", "200 OK"] {
        let rest = Arc::new(Mutex::new(None));
        let told = Arc::clone(&rest);
        let answering = origin(move |mut stream| {
            let told = Arc::clone(&told);
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nno");
            async move {
                stream.write_all(answer.as_bytes()).await.unwrap();
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.unwrap();
                *told.lock().unwrap() = Some(rest);
            }
        });
        let (heard, asked) = heard(CONFIG, &answering);
        assert!(
            heard.starts_with(&format!("HTTP/1.1 {}", &answer[..3])),
            "{heard}"
        );
        assert!(heard.ends_with("no"), "{heard}");
        assert_eq!(asked, None);
        assert_eq!(rest.lock().unwrap().as_deref(), Some(&b""[..]));
    }
}

#[test]
fn an_upstream_that_says_nothing_for_a_second_gets_the_body_unasked() {
    let (heard, asked) = heard(CONFIG, &origin(echo));
    assert!(heard.ends_with("hello"), "{heard}");
    assert_eq!(asked.map(|asked| asked.as_millis() / 10), Some(100));
}

#[test]
fn an_upstream_that_keeps_the_body_waiting_and_the_answer_too_is_a_timeout() {
    let silent = origin(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    });
    let settings = CONFIG.replace("20s", "500ms");
    let (heard, asked) = heard(&settings, &silent);
    assert!(heard.contains("x-sidefuse-reason: timeout"), "{heard}");
    assert_eq!(asked, None);
}

/// An origin over HTTP/2 that answers calls without a body at once, and what becomes of the others.
fn http2_origin<F: Future<Output = ()> + 'static>(
    then: impl Fn(RecvStream, SendResponse<Bytes>) -> F + Send + Sync + 'static,
) -> Speech {
    let then = Arc::new(then);
    Arc::new(move |stream| {
        let then = Arc::clone(&then);
        Box::pin(async move {
            let mut serving = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = serving.accept().await {
                let (head, body) = request.into_parts();
                if head.method == Method::GET {
                    let _ = respond.send_response(Response::new(()), true);
                } else {
                    assert_eq!(head.headers["expect"], "100-continue");
                    spawn_local(then(body, respond));
                }
            }
        })
    })
}

/// The same over a connection to the origin over which all is quiet.
fn heard_over_http2(origin: &Speech) -> Heard {
    let result = Arc::new(Mutex::new((String::new(), None)));
    let told = Arc::clone(&result);
    let config =
        "version: 1\nroutes: {r: {upstream: {url: http://origin, http: 2}, timeout: 20s}}\n";
    on_stage(config, always(500), async |stage| {
        stage.origin.speaks(Arc::clone(origin));
        assert_eq!(stage.get("/r/before").await.status, 200);
        sleep_until(Deadline::after(now(), Duration::from_secs(1))).await;
        let heard = hear(stage.pipe()).await;
        assert_eq!(stage.get("/r/after").await.status, 200);
        assert_eq!(stage.origin.connections(), 1);
        *told.lock().unwrap() = heard;
    });
    let result = result.lock().unwrap();
    result.clone()
}

async fn echo_over_http2(mut body: RecvStream, mut respond: SendResponse<Bytes>) {
    let data = body.data().await.unwrap().unwrap();
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(data, true).unwrap();
}

#[test]
fn over_http2_a_caller_is_asked_when_something_has_come_from_the_upstream() {
    let asking = http2_origin(|body, mut respond| async move {
        sleep_until(Deadline::after(now(), Duration::from_millis(310))).await;
        let mut wish = Response::new(());
        *wish.status_mut() = StatusCode::CONTINUE;
        respond.send_informational(wish).unwrap();
        echo_over_http2(body, respond).await;
    });
    let (heard, asked) = heard_over_http2(&asking);
    assert!(heard.contains("hello"), "{heard}");
    let asked = asked.unwrap().as_millis();
    assert!((310..=340).contains(&asked), "{asked}");
}

#[test]
fn over_http2_a_caller_whose_upstream_answers_without_the_body_is_never_asked_for_it() {
    let refusing = http2_origin(|_body, mut respond| async move {
        sleep_until(Deadline::after(now(), Duration::from_millis(310))).await;
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        respond.send_response(answer, true).unwrap();
    });
    let (heard, asked) = heard_over_http2(&refusing);
    assert!(heard.starts_with("HTTP/1.1 401 "), "{heard}");
    assert_eq!(asked, None);
}

#[test]
fn over_http2_an_upstream_that_says_nothing_for_a_second_gets_the_body_unasked() {
    let (heard, asked) = heard_over_http2(&http2_origin(echo_over_http2));
    assert!(heard.contains("hello"), "{heard}");
    assert_eq!(asked.map(|asked| asked.as_millis() / 10), Some(100));
}

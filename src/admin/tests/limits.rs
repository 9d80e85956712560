use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::support::{Bench, LOOPBACK, Tokens, exchange};
use crate::admin::{Listener, serve, serve_health};
use crate::time::{Deadline, now, sleep_until};

const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// How long the other side keeps a connection on which nothing more is sent.
async fn time_to_close(mut io: impl AsyncReadExt + Unpin) -> (Duration, Vec<u8>) {
    let begin = now();
    let mut raw = Vec::new();
    let _ = io.read_to_end(&mut raw).await;
    (now() - begin, raw)
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_cut_after_ten_seconds_case_178() {
    let bench = Bench::new(Tokens::None);
    let ten = Duration::from_secs(10)..Duration::from_secs(11);

    let silent = bench.connect(LOOPBACK);
    let mut trickling = bench.connect(LOOPBACK);
    trickling
        .write_all(b"GET /livez HTTP/1.1\r\nHost: loc")
        .await
        .unwrap();
    let mut idle = bench.connect(LOOPBACK);
    idle.write_all(LIVE).await.unwrap();
    for io in [silent, trickling, idle] {
        let (time, _) = time_to_close(io).await;
        assert!(time < ten.end, "{time:?}");
    }

    let mut half = bench.connect(LOOPBACK);
    half.write_all(b"POST /circuit-breakers/email/open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{").await.unwrap();
    let (time, raw) = time_to_close(half).await;
    assert!(ten.contains(&time), "{time:?}");
    assert!(raw.starts_with(b"HTTP/1.1 408 "));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_cut_case_178() {
    let bench = Bench::new(Tokens::None);
    let mut deaf = bench.connect(LOOPBACK);
    let many = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    deaf.write_all(&many).await.unwrap();
    sleep_until(Deadline::after(now(), Duration::from_secs(11))).await;
    let (time, raw) = time_to_close(deaf).await;
    assert_eq!(time, Duration::ZERO);
    assert!(raw.len() <= 1 << 20, "only what the pipe held");
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_64_kib_is_refused_and_its_sender_hears_it_case_178() {
    let bench = Bench::new(Tokens::None);
    let fitting = format!("{{{}}}", " ".repeat(64 * 1024 - 2));
    assert_eq!(
        bench
            .post("/circuit-breakers/email/open", &fitting)
            .await
            .status,
        200
    );
    for length in [64 * 1024 + 1, 1 << 20] {
        let long = " ".repeat(length);
        let reply = bench.post("/circuit-breakers/email/close", &long).await;
        assert_eq!(reply.status, 413);
    }
    let chunked = format!(
        "POST /circuit-breakers/email/close HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n{}\r\n0\r\n\r\n",
        " ".repeat(0x11000)
    );
    assert_eq!(
        exchange(bench.connect(LOOPBACK), chunked.as_bytes())
            .await
            .status,
        413
    );
    assert_eq!(
        bench.get("/circuit-breakers/email").await.json()["mode"],
        "forced_open"
    );
}

/// The operators' port and the health listener on sockets of their own, with what keeps them.
async fn listeners(bench: &Bench) -> ([SocketAddr; 2], Vec<oneshot::Sender<()>>) {
    let (admin, health) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let at = [admin.local_addr().unwrap(), health.local_addr().unwrap()];
    let (admin_stays, retired) = oneshot::channel();
    tokio::spawn(serve(bench.context.clone(), Listener::Tcp(admin), retired));
    let (health_stays, retired) = oneshot::channel();
    tokio::spawn(serve_health(bench.context.clone(), health, retired));
    (at, vec![admin_stays, health_stays])
}

/// A connection on which those bytes are sent.
async fn sending(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut io = TcpStream::connect(to).await.unwrap();
    io.write_all(bytes).await.unwrap();
    io
}

async fn is_answered(io: &mut TcpStream) -> bool {
    let mut answer = [0; 15];
    io.read_exact(&mut answer).await.is_ok() && &answer == b"HTTP/1.1 200 OK"
}

#[tokio::test]
async fn who_sends_nothing_on_64_connections_and_more_keeps_no_operator_out_case_178() {
    let bench = Bench::new(Tokens::None);
    let ([admin, health], _stay) = listeners(&bench).await;
    let half = &LIVE[..LIVE.len() - 4];
    let slow = b"POST /circuit-breakers/email/open HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{";
    for bytes in [&b""[..], half, slow, LIVE] {
        let mut kept = Vec::new();
        for _ in 0..200 {
            kept.push(sending(admin, bytes).await);
        }
        for to in [admin, health] {
            let mut operator = sending(to, LIVE).await;
            assert!(is_answered(&mut operator).await);
        }
        // Those that came first gave way.
        let mut rest = Vec::new();
        let _ = kept.remove(0).read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn a_connection_gives_way_only_to_the_sixty_fifth_case_178() {
    let bench = Bench::new(Tokens::None);
    let ([admin, _], mut stay) = listeners(&bench).await;
    let mut kept = Vec::new();
    for _ in 0..64 {
        let mut io = sending(admin, LIVE).await;
        assert!(is_answered(&mut io).await);
        kept.push(io);
    }
    let mut rest = Vec::new();
    kept[0].write_all(LIVE).await.unwrap();
    // The head that was asked for last is there, so this one is not who has been waited for longest.
    while !rest.ends_with(b"HTTP/1.1 200 OK") {
        rest.push(kept[0].read_u8().await.unwrap());
    }
    let mut one_more = sending(admin, LIVE).await;
    assert!(is_answered(&mut one_more).await);
    let _ = kept[1].read_to_end(&mut rest).await;
    kept[0].write_all(LIVE).await.unwrap();
    rest.clear();
    while !rest.ends_with(b"HTTP/1.1 200 OK") {
        rest.push(kept[0].read_u8().await.unwrap());
    }
    drop(stay.remove(0));
    while TcpStream::connect(admin).await.is_ok() {}
}

#[tokio::test]
async fn the_unix_socket_knows_its_user() {
    let bench = Bench::new(Tokens::Both);
    let path = bench.folder.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (_stays, retired) = oneshot::channel();
    tokio::spawn(serve(
        bench.context.clone(),
        Listener::Unix(listener),
        retired,
    ));
    let mut io = UnixStream::connect(&path).await.unwrap();
    io.write_all(
        b"POST /circuit-breakers/email/open HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await
    .unwrap();
    let mut text = String::new();
    io.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK") && text.contains("\"by\": \"uid "),
        "{text}"
    );
}

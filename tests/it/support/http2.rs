//! An HTTP/2 upstream on loopback.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::Response;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use super::PATIENCE;
use super::identity::Identity;
use super::memory::Stage;

/// A stream that a script answers, with its place on its connection (from 1).
pub(crate) struct Stream {
    pub(crate) number: usize,
    pub(crate) respond: SendResponse<Bytes>,
    /// The request's; dropped, it tells the peer to send no more of it.
    pub(crate) body: RecvStream,
}

/// What happens to the connection after a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It goes on.
    Serve,
    /// It says GOAWAY, finishes what it has and ends.
    Leave,
}

/// A running HTTP/2 origin, in clear with prior knowledge or behind TLS.
pub(crate) struct Http2Origin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    targets: Arc<Mutex<Vec<String>>>,
    identity: Option<Identity>,
    ended: Receiver<()>,
}

/// Answers a stream with `ok`.
pub(crate) fn answer_ok(mut stream: Stream) -> Then {
    let head = Response::new(());
    let mut body = stream.respond.send_response(head, false).unwrap();
    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
    Then::Serve
}

/// A caller of the stage with so much room on its connection that a stream of which it takes nothing does not use up what all share.
pub(crate) async fn roomy_caller(stage: &Stage) -> SendRequest<Bytes> {
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let (sender, connection) = builder.handshake(stage.pipe()).await.unwrap();
    spawn_local(async move {
        let _ = connection.await;
    });
    sender.ready().await.unwrap()
}

type Script = dyn Fn(Stream) -> Then + Send + Sync;

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    script: &Script,
    seen: &Mutex<Vec<String>>,
) {
    let Ok(mut serving) = h2::server::handshake(io).await else {
        return;
    };
    let mut number = 0;
    while let Some(Ok((request, respond))) = serving.accept().await {
        number += 1;
        let (head, body) = request.into_parts();
        seen.lock().unwrap().push(head.uri.to_string());
        let stream = Stream {
            number,
            respond,
            body,
        };
        if script(stream) == Then::Leave {
            serving.graceful_shutdown();
        }
    }
}

impl Http2Origin {
    /// Answers each stream by the script.
    pub(crate) fn start(script: impl Fn(Stream) -> Then + Send + Sync + 'static) -> Self {
        Self::launch(Arc::new(script), None)
    }

    /// The same behind TLS, as `localhost`, where HTTP/2 alone is agreed on by ALPN.
    pub(crate) fn start_tls(script: impl Fn(Stream) -> Then + Send + Sync + 'static) -> Self {
        Self::launch(Arc::new(script), Some(Identity::new()))
    }

    fn launch(script: Arc<Script>, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let targets = Arc::new(Mutex::new(Vec::new()));
        let tls = identity.as_ref().map(|identity| {
            let mut config = ServerConfig::clone(&identity.server);
            config.alpn_protocols = vec![b"h2".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        let (tell, ended) = channel();
        let (counter, seen) = (Arc::clone(&connections), Arc::clone(&targets));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::SeqCst);
                let (script, seen, tls) = (Arc::clone(&script), Arc::clone(&seen), tls.clone());
                let tell = tell.clone();
                thread::spawn(move || {
                    runtime().block_on(async {
                        socket.set_nonblocking(true).unwrap();
                        let socket = tokio::net::TcpStream::from_std(socket).unwrap();
                        match tls {
                            None => serve(socket, &*script, &seen).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(socket).await {
                                    assert_eq!(
                                        stream.get_ref().1.alpn_protocol(),
                                        Some(&b"h2"[..])
                                    );
                                    serve(stream, &*script, &seen).await;
                                }
                            }
                        }
                    });
                    let _ = tell.send(());
                });
            }
        });
        Self {
            address,
            connections,
            targets,
            identity,
            ended,
        }
    }

    /// The certificate of the authority that signed ours, as PEM.
    pub(crate) fn ca_file(&self) -> &Path {
        &self.identity.as_ref().expect("an origin with TLS").ca_file
    }

    pub(crate) fn url(&self) -> String {
        match self.identity {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until one more connection has ended.
    pub(crate) fn wait_for_an_end(&self) {
        let ended = self.ended.recv_timeout(PATIENCE);
        ended.expect("a connection that ends");
    }

    /// The targets so far, as they came.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

/// Answers 200 with this body.
pub(crate) fn ok(mut respond: SendResponse<Bytes>, body: &'static str) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream
        .send_data(Bytes::from_static(body.as_bytes()), true)
        .unwrap();
}

/// Runs one thread's futures.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Sends these requests (method and path) at once over one HTTP/2 connection with prior knowledge; the answers in their order.
pub(crate) fn calls(
    address: SocketAddr,
    requests: &[http::Request<()>],
) -> Vec<(http::response::Parts, Vec<u8>)> {
    runtime().block_on(async {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(socket).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut pending = Vec::new();
        for request in requests {
            let mut ready = sender.ready().await.unwrap();
            pending.push(ready.send_request(request.clone(), true).unwrap().0);
            sender = ready;
        }
        let mut answers = Vec::new();
        for answer in pending {
            let (head, mut stream) = answer.await.unwrap().into_parts();
            let mut body = Vec::new();
            while let Some(data) = stream.data().await {
                let data = data.unwrap();
                let _ = stream.flow_control().release_capacity(data.len());
                body.extend_from_slice(&data);
            }
            answers.push((head, body));
        }
        drop(sender);
        connection.abort();
        answers
    })
}

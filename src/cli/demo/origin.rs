//! A service that the application calls: the demo's stand-in for WhatsApp, the mail relay and a partner.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::time::{Deadline, now, sleep_until};

/// The pause after a connection that could not be accepted, so as not to spin.
const PAUSE: Duration = Duration::from_millis(100);

/// A service on loopback that answers every call, or none. Dropping it ends it. Must live in a `LocalSet`.
#[derive(Debug)]
pub(super) struct Origin {
    address: SocketAddr,
    health: watch::Sender<Health>,
    _serving: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Answering,
    Stalled,
}

impl Origin {
    /// Starts a service that takes `pace` for each answer.
    ///
    /// # Errors
    /// When no port can be had.
    pub(super) async fn start(pace: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (health, state) = watch::channel(Health::Answering);
        let mut serving = JoinSet::new();
        serving.spawn_local(serve(listener, state, pace));
        Ok(Self {
            address,
            health,
            _serving: serving,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on calls are taken, but not answered.
    pub(super) fn stall(&self) {
        self.health.send_replace(Health::Stalled);
    }

    /// From now on calls are answered, those that still wait included.
    pub(super) fn recover(&self) {
        self.health.send_replace(Health::Answering);
    }
}

async fn serve(listener: TcpListener, health: watch::Receiver<Health>, pace: Duration) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            sleep_until(Deadline::after(now(), PAUSE)).await;
            continue;
        };
        let health = health.clone();
        connections.spawn_local(async move {
            let service = service_fn(|_: Request<Incoming>| answer(health.clone(), pace));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    mut health: watch::Receiver<Health>,
    pace: Duration,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if health
        .wait_for(|health| *health == Health::Answering)
        .await
        .is_err()
    {
        // The origin is gone, and its connections with it.
        std::future::pending::<()>().await;
    }
    sleep_until(Deadline::after(now(), pace)).await;
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"ok\":true}")));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use tokio::task::LocalSet;

    use super::*;
    use crate::cli::client::Client;

    #[tokio::test]
    async fn a_call_to_a_stalled_origin_is_answered_once_it_recovers() {
        let test = async {
            let origin = Origin::start(Duration::ZERO).await.unwrap();
            let mut client = Client::new(origin.address());
            origin.stall();
            let mut call = Box::pin(client.call(Method::POST, "/messages", "{}"));
            let is_answered = tokio::select! {
                biased;
                _ = &mut call => true,
                () = tokio::task::yield_now() => false,
            };
            assert!(!is_answered);
            origin.recover();
            let answer = call.await.unwrap();
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.body, "{\"ok\":true}");
        };
        LocalSet::new().run_until(test).await;
    }
}

//! The real proxy on a thread of its own, started as `sidefuse run` starts it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::sync::{Notify, oneshot};

use super::error::Stop;
use super::folder::Folder;
use super::journal::Sink;
use crate::app::{self, Addresses, Options, StartError};
use crate::config::plan::AdminAddress;

/// The running proxy.
#[derive(Debug)]
pub(super) struct Sidecar {
    /// Where it takes the application's calls.
    pub(super) proxy: SocketAddr,
    /// Where operators reach it.
    pub(super) admin: SocketAddr,
    stop: Arc<Notify>,
    ended: Ended,
    _folder: Folder,
}

type Ended = oneshot::Receiver<Result<u8, StartError>>;

impl Sidecar {
    /// Starts it with that configuration; returns when it is ready. Its environment is empty, so that the demo is the same everywhere.
    pub(super) async fn start(configuration: &str, sink: Sink) -> Result<Self, Stop> {
        let folder = Folder::new().map_err(|error| Stop::Setup("a temporary folder", error))?;
        let config = folder.path().join("sidefuse.yaml");
        fs::write(&config, configuration)
            .map_err(|error| Stop::Setup("the configuration file", error))?;
        let stop = Arc::new(Notify::new());
        let (ready, mut ended) = spawn(config, sink, Arc::clone(&stop))?;
        let Ok(addresses) = ready.await else {
            return Err(ending((&mut ended).await));
        };
        let (Some(proxy), Some(AdminAddress::Tcp(admin))) =
            (addresses.proxy.first(), addresses.admin.first())
        else {
            return Err(Stop::ProxyEnded("no address".to_owned()));
        };
        Ok(Self {
            proxy: *proxy,
            admin: *admin,
            stop,
            ended,
            _folder: folder,
        })
    }

    /// Returns, with the reason, when it ends by itself.
    pub(super) async fn died(&mut self) -> Stop {
        ending((&mut self.ended).await)
    }

    /// Ends it as SIGTERM would and waits until it has.
    pub(super) async fn end(mut self) -> Result<(), Stop> {
        self.stop.notify_one();
        match (&mut self.ended).await {
            Ok(Ok(0)) => Ok(()),
            other => Err(ending(other)),
        }
    }
}

fn spawn(
    config: PathBuf,
    sink: Sink,
    stop: Arc<Notify>,
) -> Result<(oneshot::Receiver<Addresses>, Ended), Stop> {
    let (tell_ready, ready) = oneshot::channel();
    let (tell_end, ended) = oneshot::channel();
    let options = Options {
        config,
        environment: Box::new(|_| None),
        sink: Box::new(sink),
        is_terminal: false,
        stop,
    };
    let run = move || {
        let result = app::run(options, |addresses| {
            let _ = tell_ready.send(addresses.clone());
        });
        let _ = tell_end.send(result);
    };
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(run)
        .map_err(|error| Stop::Setup("the proxy's thread", error))?;
    Ok((ready, ended))
}

fn ending(result: Result<Result<u8, StartError>, oneshot::error::RecvError>) -> Stop {
    match result {
        Ok(Ok(code)) => Stop::ProxyEnded(format!("exit code {code}")),
        Ok(Err(error)) => Stop::Proxy(error),
        Err(_) => Stop::ProxyEnded("a panic".to_owned()),
    }
}

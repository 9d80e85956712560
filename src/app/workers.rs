//! The worker threads, each with a runtime of its own.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};

use super::error::StartError;
use crate::failure::Failure;
use crate::net::Descriptors;
use crate::proxy::http::{refuse, serve};
use crate::proxy::{Shared, Worker};
use crate::telemetry::LogHandle;

/// A caller's connection on its way to a worker.
struct Arrival {
    stream: TcpStream,
    peer: IpAddr,
    welcome: Welcome,
}

/// What is to be done with a connection.
#[derive(Debug)]
pub(super) enum Welcome {
    /// Serve it.
    Serve,
    /// Serve it in the place of one that is not in use; if all are in use, do that.
    InPlace(Full),
    /// Refuse it: it has one of the last descriptors.
    Refuse(Refusing),
}

/// What is to be done with a connection for which there is no room.
#[derive(Debug)]
pub(super) enum Full {
    /// Refuse it: there are as many as the configuration allows.
    Overloaded,
    /// Refuse it: there are as many as the descriptors allow.
    Exhausted(Refusing),
    /// Close it: enough are being refused.
    Crowded,
}

/// The most connections that are refused at once for want of descriptors, over all listeners: each holds one of the last
/// meanwhile.
const MOST_REFUSED: usize = 4;

/// One of the connections that are being refused so.
#[derive(Debug)]
pub(super) struct Refusing(Arc<AtomicUsize>);

impl Drop for Refusing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The worker threads.
pub(super) struct Workers {
    dispatch: Dispatch,
    threads: Vec<(JoinHandle<()>, oneshot::Sender<()>)>,
    died: Arc<Notify>,
}

/// Hands connections to workers.
#[derive(Clone)]
pub(super) struct Dispatch {
    shared: Arc<Shared>,
    descriptors: Descriptors,
    refusing: Arc<AtomicUsize>,
    doors: Vec<mpsc::UnboundedSender<Arrival>>,
}

impl Workers {
    /// Starts one thread per entry of `shared.loads`.
    ///
    /// # Errors
    /// When the system refuses a thread or its runtime.
    pub(super) fn start(
        shared: &Arc<Shared>,
        log: &LogHandle,
        descriptors: Descriptors,
    ) -> Result<Self, StartError> {
        let died = Arc::new(Notify::new());
        let (mut doors, mut threads) = (Vec::new(), Vec::new());
        for index in 0..shared.loads.len() {
            let (door, arrivals) = mpsc::unbounded_channel();
            let (end, asked) = oneshot::channel();
            let (built, is_built) = std::sync::mpsc::sync_channel(1);
            let (shared, log) = (Arc::clone(shared), log.clone());
            let obituary = Obituary {
                died: Arc::clone(&died),
            };
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    // The runtime is not `Send`, so each thread builds its own.
                    let runtime = Builder::new_current_thread()
                        .enable_all()
                        .build_local(LocalOptions::default());
                    let runtime = match runtime {
                        Ok(runtime) => runtime,
                        Err(error) => {
                            std::mem::forget(obituary);
                            let _ = built.send(Err(error));
                            return;
                        }
                    };
                    let _ = built.send(Ok(()));
                    let work =
                        async { work(Worker::new(index, shared, log), arrivals, asked).await };
                    match runtime.block_on(work) {
                        Ended::Asked => std::mem::forget(obituary),
                        Ended::Broken => drop(obituary),
                    }
                });
            let thread = thread.map_err(|error| StartError::System("a worker thread", error))?;
            // A thread that ended without a message has panicked, which its [`Obituary`] reports.
            if let Ok(Err(error)) = is_built.recv() {
                return Err(StartError::System("a worker's runtime", error));
            }
            threads.push((thread, end));
            doors.push(door);
        }
        Ok(Self {
            dispatch: Dispatch {
                shared: Arc::clone(shared),
                descriptors,
                refusing: Arc::default(),
                doors,
            },
            threads,
            died,
        })
    }

    /// Hands connections to these workers.
    pub(super) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Waits until a worker ends unasked.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// Ends all of them; what is still in flight is cut.
    pub(super) fn stop(self) {
        let (threads, ends): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(ends);
        for thread in threads {
            // A worker that panicked has reported that itself.
            let _ = thread.join();
        }
    }
}

/// Why a worker ended.
enum Ended {
    /// It was asked to.
    Asked,
    /// What looks after its connections and its log has panicked.
    Broken,
}

/// Runs a worker until it is asked to end, by a message or by the end of the channel.
async fn work(
    worker: Rc<Worker>,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    mut asked: oneshot::Receiver<()>,
) -> Ended {
    let keeper = Rc::clone(&worker);
    let mut maintenance = tokio::task::spawn_local(async move { keeper.maintain().await });
    loop {
        let arrival = tokio::select! {
            biased;
            _ = &mut asked => break,
            _ = &mut maintenance => return Ended::Broken,
            arrival = arrivals.recv() => arrival,
        };
        let Some(Arrival {
            stream,
            peer,
            welcome,
        }) = arrival
        else {
            break;
        };
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            let full = match welcome {
                Welcome::Serve => None,
                Welcome::InPlace(full) => (!worker.make_way()).then_some(full),
                Welcome::Refuse(refusing) => Some(Full::Exhausted(refusing)),
            };
            match (tokio::net::TcpStream::from_std(stream), full) {
                (Ok(stream), None) => serve(worker, stream, peer).await,
                (Ok(stream), Some(Full::Overloaded)) => {
                    refuse(worker, stream, Failure::Overloaded).await;
                }
                (Ok(stream), Some(Full::Exhausted(refusing))) => {
                    refuse(worker, stream, Failure::Exhausted).await;
                    drop(refusing);
                }
                (Ok(_), Some(Full::Crowded)) | (Err(_), _) => worker.forget_connection(),
            }
        });
    }
    worker.cut();
    Ended::Asked
}

impl Dispatch {
    /// What all workers share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The descriptors that are kept from callers.
    pub(super) fn descriptors(&self) -> Descriptors {
        self.descriptors
    }

    /// The right to refuse one more connection for want of descriptors; `None` if enough are being refused.
    pub(super) fn may_refuse(&self) -> Option<Refusing> {
        let before = self.refusing.fetch_add(1, Ordering::Relaxed);
        let refusing = Refusing(Arc::clone(&self.refusing));
        (before < MOST_REFUSED).then_some(refusing)
    }

    /// Hands a connection to the worker with the fewest; one that is to have another's place, to the worker with the most that seem unused.
    ///
    /// # Errors
    /// When its worker has ended.
    pub(super) fn hand(&self, stream: TcpStream, peer: IpAddr, welcome: Welcome) -> io::Result<()> {
        let load = |index: &usize| {
            let load = &self.shared.loads[*index];
            let in_flight = load.in_flight.load(Ordering::Relaxed);
            (load.connections.load(Ordering::Relaxed), in_flight)
        };
        let workers = 0..self.doors.len();
        let chosen = match welcome {
            Welcome::InPlace(_) => workers.max_by_key(|index| {
                let (connections, in_flight) = load(index);
                connections.saturating_sub(in_flight)
            }),
            Welcome::Serve | Welcome::Refuse(_) => workers.min_by_key(|index| load(index).0),
        };
        let Some(index) = chosen else {
            return Ok(());
        };
        self.shared.loads[index]
            .connections
            .fetch_add(1, Ordering::Relaxed);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "its worker has ended");
        self.doors[index]
            .send(Arrival {
                stream,
                peer,
                welcome,
            })
            .map_err(gone)
    }
}

/// Reports a worker that ends by a panic; a worker that was asked to end disarms it.
struct Obituary {
    died: Arc<Notify>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        self.died.notify_one();
    }
}

//! The life of the program, from the start to its end.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::Signal;
use tokio::sync::{Notify, mpsc, watch};

use super::addresses::Addresses;
use super::drain::drain;
use super::error::StartError;
use super::holds::end_holds;
use super::listeners::{Listeners, Listening};
use super::loader::{Environment, Ground, Loader};
use super::logs::{Audience, spec};
use super::reload::{History, Known, Reloader, Status, Trigger, warn};
use super::resolve::resolve;
use super::signals::Signals;
use super::state::{self, Keeper};
use super::watch::{Watch, Writing};
use super::workers::Workers;
use crate::admin::{self, ReloadRequest};
use crate::config::Report;
use crate::net::{Descriptors, Names, Phase, Phases, Shortage, tcp::Tcp};
use crate::proxy::Shared;
use crate::proxy::worker::Load;
use crate::snapshot::Snapshot;
use crate::telemetry::{LogWriter, Logging, Meters};
use crate::time::now;
use crate::upstream::Shed;

/// How long the last log lines may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the program is started with.
pub struct Options {
    /// The configuration file; watched from now on.
    pub config: PathBuf,
    /// Looks up environment variables.
    pub environment: Environment,
    /// Where log lines go.
    pub sink: Box<dyn Write + Send>,
    /// Whether that is a terminal.
    pub is_terminal: bool,
    /// Ends the program as SIGTERM does. Signals are handled in any case.
    pub stop: Arc<Notify>,
}

/// Runs the program on this thread until a signal or `stop` ends it. `ready` is called once everything listens.
///
/// Returns the exit code: 0 after a drain, 128 + signal when a second signal cut it short.
///
/// # Errors
/// [`StartError`] when it cannot start, or when a worker died.
pub fn run(options: Options, ready: impl FnOnce(&Addresses)) -> Result<u8, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| StartError::System("the control thread's runtime", error))?;
    let code = runtime.block_on(control(options, ready));
    // Tasks that a disk or a name server blocks are not waited for.
    runtime.shutdown_background();
    code
}

async fn control(options: Options, ready: impl FnOnce(&Addresses)) -> Result<u8, StartError> {
    let Options {
        config,
        environment,
        sink,
        is_terminal,
        stop,
    } = options;
    // First of all: a signal during the start must neither kill the process halfway nor, for PID 1, be lost.
    let signals =
        Signals::install().map_err(|error| StartError::System("signal handlers", error))?;
    let audience = Audience::of(&*environment, is_terminal);
    let meters = Meters::new();
    // Queries run on this thread, so that they outlive the call that needs the answer.
    let names = Names::new(tokio::runtime::Handle::current(), meters.clone());
    let descriptors = Descriptors::raise();
    let loader = Arc::new(Loader {
        file: config.clone(),
        environment,
        audience,
        connect: Arc::new(Tcp::new(names.clone(), descriptors)),
        names,
    });
    let loaded = loader.load().map_err(StartError::Config)?;
    let warnings = loaded.warnings.clone();
    let known = Known::new(loaded.revision.clone(), warnings.named_files().clone());
    let workers = worker_count(loaded.plan.workers);
    let sheds: Arc<[Shed]> = (0..workers).map(|_| Shed::default()).collect();
    let changed = Arc::new(Notify::new());
    let listeners = Listeners::default();
    let bound = listeners.prepare(&loaded.plan.listen)?;
    let addresses = listeners.addresses(&bound);
    let ground = Ground {
        own: addresses.proxy.clone(),
        meters: &meters,
        sheds: &sheds,
        changed: &changed,
    };
    let mut prepared = loader.prepare(loaded, None, ground)?;
    let listening = bound.listen()?;
    let writer = LogWriter::spawn(sink, meters.log_lines_dropped())
        .map_err(|error| StartError::System("the log's thread", error))?;
    let logging = Logging::new(writer.handle(), spec(&prepared.snapshot().plan, audience));
    install(&logging);
    loader.names.respec(&prepared.snapshot().plan.dns);
    state::recall(&mut prepared);
    let snapshot = prepared.commit(&meters, now());
    let shared = Arc::new(Shared {
        snapshot: Arc::new(ArcSwap::new(snapshot)),
        logging,
        meters,
        phases: Arc::new(Phases::default()),
        loads: (0..workers).map(|_| Load::default()).collect(),
        sheds,
        changed,
    });
    let workers = Workers::start(&shared, &writer.handle(), descriptors)?;
    leaves_room(descriptors)?;
    let life = Life {
        shared,
        workers,
        loader,
        known,
        warnings,
        addresses,
    };
    warn_of_few(descriptors, &life.shared.snapshot.load());
    let code = life.live(listening, Hands { signals, stop }, ready).await;
    // A reader that has stopped blocks the last lines; that must not keep the process from ending.
    let _ = writer.shutdown(LAST_WORDS);
    code
}

/// The sources of ends and reloads.
struct Hands {
    signals: Signals,
    stop: Arc<Notify>,
}

/// Everything that runs.
struct Life {
    shared: Arc<Shared>,
    workers: Workers,
    loader: Arc<Loader>,
    known: Known,
    warnings: Report,
    addresses: Addresses,
}

impl Life {
    async fn live(
        self,
        listening: Listening,
        hands: Hands,
        ready: impl FnOnce(&Addresses),
    ) -> Result<u8, StartError> {
        let Self {
            shared,
            workers,
            loader,
            known,
            warnings,
            addresses,
        } = self;
        let Hands { signals, stop } = hands;
        let Signals {
            mut endings,
            hangup,
            idle,
        } = signals;
        let (triggers, received) = mpsc::channel(16);
        let (reload, requests) = mpsc::channel(16);
        let snapshot = shared.snapshot.load_full();
        let status = Status::new(&snapshot.revision, shared.meters.clone());
        let is_ready = Arc::new(AtomicBool::new(false));
        let context = Arc::new(admin::Context {
            snapshot: Arc::clone(&shared.snapshot),
            meters: shared.meters.clone(),
            phases: Arc::clone(&shared.phases),
            ready: Arc::clone(&is_ready),
            reload,
            descriptors: workers.dispatch().descriptors(),
            config: status.shown(),
        });
        let history = History::new(known);
        let (watched, files) = watch::channel(history.files(&loader.file));
        let dispatch = workers.dispatch().clone();
        let mut listeners = Listeners::default();
        listeners.commit(listening, &dispatch, &context);
        let writing = Writing::default();
        let mut reloader = Reloader {
            loader,
            listeners,
            dispatch,
            context,
            status,
            writing: writing.clone(),
            history,
            watched,
        };
        let watch = Watch::begin(files, triggers.clone(), writing).await;
        is_ready.store(true, Ordering::Release);
        announce(&snapshot, &addresses, shared.loads.len());
        warn(&warnings);
        ready(&addresses);

        let keeper = Keeper::new(Arc::clone(&shared));
        let ending = {
            let forwarding = forward(hangup, requests, triggers);
            let names = reloader.loader.names.clone();
            let resolving = resolve(&shared, &names);
            let reloading = reloader.run(received);
            let keeping = keeper.keep();
            let ending_holds = end_holds(&shared);
            let finishing = async {
                let why = tokio::select! {
                    (name, _) = endings.next() => name,
                    () = stop.notified() => "a request to stop",
                };
                let time = shared.snapshot.load().plan.drain;
                tracing::info!(signal = why, drain = ?time, "Shutting down: still serving until callers are done");
                let drained = tokio::select! {
                    drained = drain(&shared, time) => Some(drained),
                    (_, number) = endings.next() => return Ok(128 + number),
                };
                if drained == Some(false) {
                    tracing::warn!(
                        "Calls were still in flight when the time to drain was over; they were cut off"
                    );
                }
                Ok(0)
            };
            tokio::select! {
                ending = finishing => ending,
                () = workers.died() => Err(StartError::WorkerDied),
                () = watch.go_on() => Err(StartError::TaskEnded("watches the configuration")),
                () = forwarding => Err(StartError::TaskEnded("hears of signals and requests")),
                () = reloading => Err(StartError::TaskEnded("reloads the configuration")),
                never = keeping => match never {},
                never = ending_holds => match never {},
                never = idle.pass_over() => match never {},
                () = resolving => Err(StartError::TaskEnded("resolves names")),
            }
        };
        shared.phases.advance(Phase::Closing);
        keeper.save_at_last().await;
        reloader.listeners.close();
        workers.stop();
        tracing::info!("sidefuse has ended");
        ending
    }
}

/// Makes triggers of signals and operators' requests.
async fn forward(
    mut hangup: Signal,
    mut requests: mpsc::Receiver<ReloadRequest>,
    triggers: mpsc::Sender<Trigger>,
) {
    loop {
        let trigger = tokio::select! {
            Some(()) = hangup.recv() => Trigger::Hangup,
            Some(request) = requests.recv() => Trigger::Admin(request),
            else => return,
        };
        if triggers.send(trigger).await.is_err() {
            return;
        }
    }
}

/// The least descriptors beside the process's own: four calls at once.
const FEWEST: u64 = 8;

/// Refuses to start if the process's own files leave no descriptors for callers: it would be ready and refuse every call.
fn leaves_room(descriptors: Descriptors) -> Result<(), StartError> {
    let next = File::open("/").map_err(|error| StartError::System("files", error))?;
    if descriptors.left_from(&next) > FEWEST {
        return Ok(());
    }
    Err(StartError::Descriptors {
        limit: descriptors.limit(),
    })
}

/// Warns if there are fewer descriptors than `max_connections` needs: callers beyond the last descriptor are refused.
fn warn_of_few(descriptors: Descriptors, snapshot: &Snapshot) {
    let max = snapshot.plan.http.max_connections;
    if descriptors.callers() < max {
        tracing::warn!(
            max_connections = max,
            callers = descriptors.callers(),
            remedy = Shortage::Descriptors.remedy(),
            "Descriptors allow fewer callers than http.max_connections"
        );
    }
}

fn announce(snapshot: &Snapshot, addresses: &Addresses, workers: usize) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = snapshot.revision.as_str(),
        routes = snapshot.routes.len(),
        workers,
        proxy = addresses.proxy_text(),
        admin = addresses.admin_text(),
        health = addresses.health.map(|address| address.to_string()),
        "sidefuse is ready"
    );
}

/// Installs log and panic hook, which belong to the process. If it has them already (a demo, a test) they stay as they are.
fn install(logging: &Logging) {
    if logging.install().is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, "a defect: panic");
        }));
    }
}

/// `auto` follows the CPU quota of the cgroup.
fn worker_count(wish: Option<std::num::NonZeroUsize>) -> usize {
    wish.or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, std::num::NonZeroUsize::get)
}

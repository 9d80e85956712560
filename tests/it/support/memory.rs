//! The whole data path in one thread, over memory pipes, on a clock that stands still until everybody waits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use serde_json::Value;
use sidefuse::admin;
use sidefuse::config::load;
use sidefuse::net::{BoxIo, Descriptors, Io, Phases};
use sidefuse::proxy::worker::Load;
use sidefuse::proxy::{Shared, Worker, http::serve};
use sidefuse::snapshot::{Ingredients, Route, Snapshot, prepare};
use sidefuse::telemetry::{Level, LineFormat, LogSpec, LogWriter, Logging, Meters, Sample, Stamp};
use sidefuse::time::{now, wall};
use sidefuse::upstream::Shed;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

pub(crate) use super::caller::Caller;
use super::executor::LocalExecutor;
use super::pipes::{Pipes, Reach};
use super::raw::{self, speak};
pub(crate) use super::said::{Got, Said};

/// What an origin does with a call.
pub(crate) type Script = Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;

/// What an origin does with a connection, where it speaks for itself.
pub(crate) type Speech =
    Arc<dyn Fn(DuplexStream) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

/// An answer on its way.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Response<Full<Bytes>>>>>;

/// An origin that answers at once with this status.
pub(crate) fn always(status: u16) -> Script {
    Arc::new(move |_| Box::pin(std::future::ready(answer(status))))
}

/// An origin that takes calls and never answers.
pub(crate) fn silent() -> Script {
    Arc::new(|_| Box::pin(std::future::pending()))
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from_static(b"{}"));
    Response::builder().status(status).body(body).unwrap()
}

/// The origin at the other end of the pipes. What it does can be changed at any time.
pub(crate) struct MemoryOrigin {
    script: Mutex<Script>,
    speech: Mutex<Option<Speech>>,
    connections: AtomicUsize,
    calls: AtomicUsize,
    pub(super) reach: Mutex<Reach>,
}

impl MemoryOrigin {
    fn new(script: Script) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script),
            speech: Mutex::default(),
            connections: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            reach: Mutex::new(Reach::Open),
        })
    }

    /// From now on it does this.
    pub(crate) fn becomes(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// From now on it does this with each new connection.
    pub(crate) fn speaks(&self, speech: Speech) {
        *self.speech.lock().unwrap() = Some(speech);
    }

    /// From now on it says this on every new connection.
    pub(crate) fn says(&self, speech: raw::Speech) {
        self.speaks(Arc::new(move |stream| {
            Box::pin(speak(stream, speech.clone()))
        }));
    }

    /// From now on connecting to it takes for ever.
    pub(crate) fn becomes_a_black_hole(&self) {
        *self.reach.lock().unwrap() = Reach::BlackHole;
    }

    /// From now on it refuses connections; those that it has stay.
    pub(crate) fn refuses(&self) {
        *self.reach.lock().unwrap() = Reach::Refused;
    }

    /// From now on it takes connections again.
    pub(crate) fn is_back(&self) {
        *self.reach.lock().unwrap() = Reach::Open;
    }

    /// Connections opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Calls that came so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn accept(self: &Arc<Self>) -> BoxIo {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let (near, far) = tokio::io::duplex(64 * 1024);
        if let Some(speech) = &*self.speech.lock().unwrap() {
            spawn_local(speech(far));
            return Box::new(near);
        }
        let origin = Arc::clone(self);
        let service = service_fn(move |request| {
            origin.calls.fetch_add(1, Ordering::Relaxed);
            let answer = origin.script.lock().unwrap()(request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        spawn_local(async move {
            // HTTP/1.1 or, if the first bytes say so, HTTP/2.
            let _ = auto::Builder::new(LocalExecutor)
                .serve_connection(TokioIo::new(far), service)
                .await;
        });
        Box::new(near)
    }
}

/// A worker with its origin, and the lines it wrote.
pub(crate) struct Stage {
    /// Where connections go whose address is none of `others`.
    pub(crate) origin: Arc<MemoryOrigin>,
    /// By `host:port`.
    pub(crate) others: BTreeMap<String, Arc<MemoryOrigin>>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) worker: Rc<Worker>,
    pipes: Arc<Pipes>,
    lines: Arc<Mutex<Vec<u8>>>,
    writer: RefCell<Option<LogWriter>>,
}

/// Runs a test on a stage whose origin begins with `script`.
pub(crate) fn on_stage<F: Future<Output = ()>>(
    config: &str,
    script: Script,
    test: impl FnOnce(Rc<Stage>) -> F,
) {
    on_stage_with(config, script, &[], test);
}

/// The same with further origins, each at its `host:port`.
pub(crate) fn on_stage_with<F: Future<Output = ()>>(
    config: &str,
    script: Script,
    others: &[(&str, Script)],
    test: impl FnOnce(Rc<Stage>) -> F,
) {
    // Whom the balancer picks is then the same in each run.
    fastrand::seed(7);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let stage = Stage::new(config, script, others);
        let keeper = Rc::clone(&stage.worker);
        let keeping = spawn_local(async move { keeper.maintain().await });
        test(stage).await;
        keeping.abort();
    });
}

impl Stage {
    fn new(config: &str, script: Script, others: &[(&str, Script)]) -> Rc<Self> {
        let loaded = load(config, "stage.yaml", &|_| None).unwrap();
        let origin = MemoryOrigin::new(script);
        let others: BTreeMap<_, _> = others
            .iter()
            .map(|(address, script)| ((*address).to_owned(), MemoryOrigin::new(script.clone())))
            .collect();
        let pipes = Arc::new(Pipes {
            first: Arc::clone(&origin),
            others: others.clone(),
        });
        let meters = Meters::new();
        let sheds: Arc<[Shed]> = Arc::from([Shed::default()]);
        let ingredients = Ingredients {
            plan: loaded.plan,
            revision: loaded.revision.to_string(),
            source: loaded.source,
            own: Vec::new(),
            previous: None,
            meters: &meters,
            connect: Arc::<Pipes>::clone(&pipes),
            sheds: Arc::clone(&sheds),
            changed: &Arc::default(),
        };
        let snapshot = prepare(ingredients, now()).unwrap().commit(&meters, now());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer =
            LogWriter::spawn(Sink(Arc::clone(&lines)), meters.log_lines_dropped()).unwrap();
        let spec = Arc::new(LogSpec {
            stamp: Stamp::new("stage", "test"),
            format: LineFormat::Json,
            level: Level::Info,
            sample: Sample::EVERYTHING,
        });
        let shared = Arc::new(Shared {
            snapshot: Arc::new(ArcSwap::new(Arc::clone(&snapshot))),
            logging: Logging::new(writer.handle(), spec),
            meters,
            phases: Arc::new(Phases::default()),
            loads: Arc::from([Load::default()]),
            sheds,
            changed: Arc::default(),
        });
        let worker = Worker::new(0, shared, writer.handle());
        let writer = RefCell::new(Some(writer));
        Rc::new(Self {
            origin,
            others,
            snapshot,
            worker,
            pipes,
            lines,
            writer,
        })
    }

    /// Puts another configuration in force.
    pub(crate) fn reload(&self, config: &str) -> Arc<Snapshot> {
        let loaded = load(config, "stage.yaml", &|_| None).unwrap();
        let shared = self.worker.shared();
        let ingredients = Ingredients {
            plan: loaded.plan,
            revision: loaded.revision.to_string(),
            source: loaded.source,
            own: Vec::new(),
            previous: Some(&shared.snapshot.load()),
            meters: &shared.meters,
            connect: Arc::<Pipes>::clone(&self.pipes),
            sheds: Arc::clone(&shared.sheds),
            changed: &Arc::default(),
        };
        let prepared = prepare(ingredients, now()).unwrap();
        let snapshot = prepared.commit(&shared.meters, now());
        shared.snapshot.store(Arc::clone(&snapshot));
        snapshot
    }

    /// One call over a connection of its own, and its whole answer.
    pub(crate) async fn ask(&self, request: http::request::Builder) -> Said {
        self.caller().await.ask(request, "").await
    }

    /// The metrics that count calls, at this moment.
    pub(crate) fn metrics(&self) -> String {
        self.worker.shared().meters.render(|_| {})
    }

    /// A route as it is in force now.
    pub(crate) fn route(&self, name: &str) -> Arc<Route> {
        let snapshot = self.worker.shared().snapshot.load();
        Arc::clone(snapshot.route(name).unwrap())
    }

    /// The origin at that `host:port`.
    pub(crate) fn at(&self, address: &str) -> &MemoryOrigin {
        &self.others[address]
    }

    /// How many connections callers have.
    pub(crate) fn connections(&self) -> usize {
        self.worker.load().connections.load(Ordering::Relaxed)
    }

    /// A new connection of a caller who speaks for himself.
    pub(crate) fn pipe(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        self.serve(far);
        near
    }

    /// Serves a caller's connection, for as long as it goes on.
    pub(crate) fn serve(&self, io: impl Io) -> JoinHandle<()> {
        let connections = &self.worker.load().connections;
        connections.fetch_add(1, Ordering::Relaxed);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        spawn_local(serve(Rc::clone(&self.worker), io, peer))
    }

    /// What is dropped from now on is cut by us.
    pub(crate) fn cut(&self) {
        self.worker.cut();
    }

    /// What the operators' port answers to that: the status and the body.
    pub(crate) async fn operate(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let shared = self.worker.shared();
        let context = admin::Context {
            snapshot: Arc::clone(&shared.snapshot),
            meters: shared.meters.clone(),
            phases: Arc::clone(&shared.phases),
            ready: Arc::new(AtomicBool::new(true)),
            descriptors: Descriptors::of_limit(1 << 20),
            reload: mpsc::channel(1).0,
            config: Arc::new(ArcSwap::from_pointee(admin::ConfigStatus {
                revision: String::new(),
                loaded_at: wall(),
                last_error: None,
            })),
        };
        let peer = (Ipv4Addr::LOCALHOST, 4711).into();
        let body = body.to_string();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        near.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        tokio::join!(
            admin::serve_one(Arc::new(context), Box::new(far), peer),
            async {
                near.read_to_string(&mut text).await.unwrap();
            }
        );
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// A new connection of a caller.
    pub(crate) async fn caller(&self) -> Caller {
        let near = self.pipe();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near))
            .await
            .unwrap();
        spawn_local(async move {
            let _ = connection.await;
        });
        Caller::new(sender)
    }

    /// One call over a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Got {
        self.caller().await.get(path).await
    }

    /// All access lines so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.worker.telemetry().log.flush();
        if let Some(writer) = self.writer.take() {
            assert!(writer.shutdown(super::PATIENCE));
        }
        let lines = self.lines.lock().unwrap();
        String::from_utf8_lossy(&lines)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Where log lines go.
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

//! **sidefuse**: a sidecar that keeps an application up when the services it calls go down.
//!
//! This is the architecture page. Operators begin with the README.
//!
//! # Vocabulary
//! One word per idea; the same word in configuration, code, logs and metrics.
//!
//! | word | meaning |
//! |---|---|
//! | route | a named destination with its policies |
//! | upstream | where a route sends |
//! | endpoint | one address of an upstream |
//! | exchange | one client request with everything that happens to it |
//! | attempt | one try at the upstream within an exchange |
//! | breaker | the circuit breaker of a route |
//! | permit | the right to make one attempt |
//! | outcome | what an attempt proved about the upstream |
//! | preset | a named bundle of route settings |
//! | plan | the validated configuration |
//! | snapshot | the plan plus its live objects |
//! | forced | an operator's decision that overrides the automatic state |
//!
//! # Layers
//! *Pure decides, shell does.* A module uses what is lower, and of its own layer only the friends named here; a test holds the code to it.
//!
//! | layer | modules | friends |
//! |---|---|---|
//! | 0 | [`time`], [`failure`], [`text`]: what people are shown, [`arena`]: memory for small texts, [`docs`]: pages that are also `sidefuse docs` and `GET /docs` | – |
//! | 1 | [`resilience`]: pure, a library in its own right; [`wire`]: what must be known about bytes | – |
//! | 2 | [`config`], [`telemetry`] | – |
//! | 3 | [`net`], [`upstream`], [`stale`] | `upstream` uses `net` |
//! | 4 | [`snapshot`] | – |
//! | 5 | [`proxy`], [`admin`] | neither knows the other |
//! | 6 | [`app`], [`cli`] | `cli` uses `app` |
//!
//! # For whom it is
//! The program `sidefuse` is its one user, with its tests and benches; what is public is so for them and changes with the program. Another
//! program finds in [`resilience`] breakers, limits and retries that need nothing of the rest, and in [`app::run`] the whole of it on the
//! calling thread, which takes the signals and the log of its process.
//!
//! # Threads
//! One thread per worker, each with a runtime of its own, its own pools and its own buffer of log lines, all of it plain cells. One control
//! thread for everything else: accepting, operators, probes, names, reload, signals. Workers share the snapshot, the breakers and the counts that
//! must be exact over all of them.
//!
//! # The life of a request
//! The control thread accepts the connection and hands it to the worker with the fewest. There [`proxy::http`] tells the version and serves
//! it. Each request is one exchange: route, permit, endpoint, connection, call, answer; the answer's body carries exchange, permit and
//! connection to their one ending, where breaker and endpoint get their verdict, the connection its place in the pool and the log its line.
//!
//! # The life of a reload
//! A changed file, SIGHUP or an operator is a trigger for one task. It reads the file until two reads agree, makes a plan of it, binds and
//! builds what is new, and takes over what survives; until here everything may fail and nothing is touched. Then, in one step that cannot
//! fail, survivors get their new settings and the new snapshot is published. Requests finish on the snapshot they began with.

pub mod admin;
pub mod app;
pub mod arena;
pub mod cli;
pub mod config;
pub mod docs;
pub mod failure;
pub mod net;
pub mod proxy;
pub mod resilience;
pub mod snapshot;
pub mod stale;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod upstream;
pub mod wire;

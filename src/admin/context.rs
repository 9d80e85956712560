//! What the admin port sees of the program, and the requests that it makes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::net::{Descriptors, Phases};
use crate::snapshot::Snapshot;
use crate::telemetry::Meters;

/// What the admin port sees of the program.
#[derive(Debug)]
pub struct Context {
    /// The snapshot in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The metrics.
    pub meters: Meters,
    /// The phase of the process: serving, draining, closing.
    pub phases: Arc<Phases>,
    /// Set once the configuration is in force and all listeners are bound.
    pub ready: Arc<AtomicBool>,
    /// Takes requests for a reload.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Bounds the number of connections.
    pub descriptors: Descriptors,
    /// The results of the latest loads.
    pub config: Arc<ArcSwap<ConfigStatus>>,
}

/// A request to reload the configuration.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who makes it.
    pub by: String,
    /// Takes the result. The asker may be gone.
    pub reply: oneshot::Sender<ReloadReport>,
}

/// The result of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadReport {
    /// Another configuration is in force.
    Applied {
        /// The new revision.
        revision: String,
        /// The changes, in plain words.
        changes: String,
    },
    /// The file holds what is in force already.
    Unchanged {
        /// The revision.
        revision: String,
    },
    /// The file is wrong; nothing changed.
    Refused {
        /// All problems as people read them, secrets masked.
        diagnostics: String,
        /// How many of them are errors.
        errors: usize,
        /// The revision that is still in force.
        revision: String,
    },
}

/// The results of the latest loads of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigStatus {
    /// The revision in force.
    pub revision: String,
    /// When it came in force.
    pub loaded_at: SystemTime,
    /// The latest refusal, if none was applied since.
    pub last_error: Option<LastError>,
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// All problems as people read them, secrets masked.
    pub diagnostics: String,
}

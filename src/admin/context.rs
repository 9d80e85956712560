//! What the admin port sees of the program, and what it asks of it.

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
    /// What is in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The metrics.
    pub meters: Meters,
    /// Where the process stands in its life.
    pub phases: Arc<Phases>,
    /// Set once the configuration is in force and all listeners are bound.
    pub ready: Arc<AtomicBool>,
    /// Takes wishes for a reload.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// How many connections there may be.
    pub descriptors: Descriptors,
    /// How the latest loads went.
    pub config: Arc<ArcSwap<ConfigStatus>>,
}

/// A wish to load the configuration anew.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who wishes it.
    pub by: String,
    /// Takes the result. Whoever asked may be gone.
    pub reply: oneshot::Sender<ReloadReport>,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadReport {
    /// Another configuration is in force.
    Applied {
        /// The new revision.
        revision: String,
        /// What is different, in plain words.
        changes: String,
    },
    /// The file is what is in force already.
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

/// How the latest loads of the configuration went.
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

//! From the file to objects that can come into force; nothing of them is shared yet.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

use super::logs::Audience;
use crate::config::{Loaded, Report, load_content, load_file};
use crate::net::{Connect, Names};
use crate::snapshot::{BuildError, Ingredients, Prepared, Snapshot, prepare};
use crate::telemetry::Meters;
use crate::time::{now, wall};
use crate::upstream::Shed;

/// Looks up an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What is needed to bring a configuration into force.
pub(super) struct Loader {
    pub(super) file: PathBuf,
    pub(super) environment: Environment,
    pub(super) audience: Audience,
    pub(super) connect: Arc<dyn Connect>,
    /// The resolver that `connect` uses.
    pub(super) names: Names,
}

impl Loader {
    /// Reads and checks the file.
    pub(super) fn load(&self) -> Result<Loaded, Report> {
        load_file(&self.file, &*self.environment).map(|loaded| loaded.at(wall()))
    }

    /// Checks what was read.
    pub(super) fn check(&self, content: Result<Vec<u8>, Report>) -> Result<Loaded, Report> {
        load_content(content?, &self.file, &*self.environment).map(|loaded| loaded.at(wall()))
    }

    /// Makes the live objects of a plan whose listeners are bound.
    pub(super) fn prepare(
        &self,
        loaded: Loaded,
        previous: Option<&Snapshot>,
        ground: Ground<'_>,
    ) -> Result<Prepared, BuildError> {
        let ingredients = Ingredients {
            plan: loaded.plan,
            revision: loaded.revision.to_string(),
            source: loaded.source,
            own: ground.own,
            previous,
            meters: ground.meters,
            connect: Arc::clone(&self.connect),
            sheds: Arc::clone(ground.sheds),
            changed: ground.changed,
        };
        prepare(ingredients, now())
    }
}

/// What live objects are built from besides the plan.
pub(super) struct Ground<'a> {
    /// The addresses that the proxy listens on.
    pub(super) own: Vec<SocketAddr>,
    pub(super) meters: &'a Meters,
    pub(super) sheds: &'a Arc<[Shed]>,
    pub(super) changed: &'a Arc<Notify>,
}

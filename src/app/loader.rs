//! From the file to something that can come into force; nothing of it is shared yet.

use std::path::PathBuf;
use std::sync::Arc;

use super::addresses::Addresses;
use super::error::StartError;
use super::listeners::{Bound, Listeners};
use super::logs::Audience;
use tokio::sync::Notify;

use crate::config::{Loaded, Report, load_content, read_file};
use crate::net::{Connect, Names};
use crate::snapshot::{Ingredients, Prepared, Snapshot, prepare};
use crate::telemetry::Meters;
use crate::time::{now, wall};
use crate::upstream::Shed;

/// Looks up an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send>;

/// What it takes to bring a configuration into force.
pub(super) struct Loader {
    pub(super) file: PathBuf,
    pub(super) environment: Environment,
    pub(super) audience: Audience,
    pub(super) connect: Arc<dyn Connect>,
    /// What `connect` looks names up in.
    pub(super) names: Names,
}

/// What was found in the place of the file: its content, which is what is applied then, or why it cannot be read.
pub(super) type Seen = Result<Vec<u8>, Report>;

impl Loader {
    /// Reads and checks the file.
    pub(super) fn load(&self) -> Result<Loaded, Report> {
        self.check(self.look())
    }

    /// Checks what was seen.
    pub(super) fn check(&self, seen: Seen) -> Result<Loaded, Report> {
        load_content(seen?, &self.file, &*self.environment).map(|loaded| loaded.at(wall()))
    }

    /// Binds what the plan needs and makes its live objects.
    pub(super) fn prepare(
        &self,
        loaded: Loaded,
        previous: Option<&Snapshot>,
        listeners: &Listeners,
        shared: &Ground<'_>,
    ) -> Result<(Prepared, Bound, Addresses), StartError> {
        let bound = listeners.prepare(&loaded.plan.listen)?;
        let addresses = listeners.addresses(&bound);
        let ingredients = Ingredients {
            plan: loaded.plan,
            revision: loaded.revision.to_string(),
            own: addresses.proxy.clone(),
            previous,
            meters: shared.meters,
            connect: Arc::clone(&self.connect),
            sheds: Arc::clone(shared.sheds),
            changed: shared.changed,
        };
        Ok((prepare(ingredients, now())?, bound, addresses))
    }

    /// What is in the place of the file now.
    pub(super) fn look(&self) -> Seen {
        read_file(&self.file)
    }
}

/// What live objects are built on.
pub(super) struct Ground<'a> {
    pub(super) meters: &'a Meters,
    pub(super) sheds: &'a Arc<[Shed]>,
    pub(super) changed: &'a Arc<Notify>,
}

//! One reload at a time, whoever asks for it: read, check, prepare, commit.
//!
//! Everything up to the commit may fail and touches nothing that is in force. The commit cannot fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::addresses::Addresses;
use super::error::{StartError, chain};
use super::listeners::{Bound, Listeners};
use super::logs::{Audience, spec};
use super::watch::Writing;
use super::workers::Dispatch;
use crate::admin::{self, ConfigStatus, LastError, ReloadReport, ReloadRequest};
use crate::config::{Loaded, Report, Revision, load_content, read_file};
use crate::net::Connect;
use crate::proxy::Shared;
use crate::snapshot::{Ingredients, Prepared, Snapshot, prepare};
use crate::time::{Deadline, now, sleep_until, wall};

/// After a change was noticed, two reads so far apart must agree: a file that is being written is not applied, even where the system
/// does not tell of writers.
const SETTLE: Duration = Duration::from_millis(250);

/// The same when somebody asked outright.
const SETTLE_ON_DEMAND: Duration = Duration::from_millis(20);

/// Who asked when nobody did.
const BY_FILE: &str = "file";

/// How often we wait for two reads to agree before the change is left to the next look.
const PATIENCE: usize = 50;

/// Why to look at the configuration.
pub(super) enum Trigger {
    /// The file may have changed.
    File,
    /// SIGHUP.
    Hangup,
    /// An operator.
    Admin(ReloadRequest),
}

/// Looks up an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send>;

/// What it takes to bring a configuration into force.
pub(super) struct Loader {
    pub(super) file: PathBuf,
    pub(super) environment: Environment,
    pub(super) audience: Audience,
    pub(super) connect: Arc<dyn Connect>,
}

/// Brings new configurations into force.
pub(super) struct Reloader {
    pub(super) loader: Loader,
    pub(super) listeners: Listeners,
    pub(super) dispatch: Dispatch,
    pub(super) context: Arc<admin::Context>,
    pub(super) status: Arc<ArcSwap<ConfigStatus>>,
    pub(super) writing: Writing,
}

/// What was found in the place of the file: its content, which is what is applied then, or why it cannot be read.
type Seen = Result<Vec<u8>, Report>;

impl Loader {
    /// Reads and checks the file.
    pub(super) fn load(&self) -> Result<Loaded, Report> {
        self.check(self.look())
    }

    fn check(&self, seen: Seen) -> Result<Loaded, Report> {
        load_content(seen?, &self.file, &*self.environment)
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
        };
        Ok((prepare(ingredients, now())?, bound, addresses))
    }

    fn look(&self) -> Seen {
        read_file(&self.file)
    }
}

/// What live objects are built on.
pub(super) struct Ground<'a> {
    pub(super) meters: &'a crate::telemetry::Meters,
    pub(super) sheds: &'a Arc<[crate::upstream::Shed]>,
}

impl Reloader {
    /// Obeys triggers until they end.
    pub(super) async fn run(&mut self, mut triggers: mpsc::Receiver<Trigger>) {
        while let Some(trigger) = triggers.recv().await {
            match trigger {
                Trigger::File => self.on_change().await,
                Trigger::Hangup => {
                    self.on_demand("SIGHUP").await;
                }
                Trigger::Admin(ReloadRequest { by, reply }) => {
                    let report = self.on_demand(&by).await;
                    answer(reply, report);
                }
            }
        }
    }

    async fn on_change(&mut self) {
        let seen = self.loader.look();
        if self.is_in_force(&seen) {
            self.recovered();
            return;
        }
        // What was refused before is tried again, for what was wrong may lie beside the file: a port, a secret that was not there yet.
        match self.settled(seen, SETTLE).await {
            Some(seen) if self.is_in_force(&seen) => self.recovered(),
            Some(seen) => drop(self.apply(BY_FILE, seen)),
            None => {}
        }
    }

    async fn on_demand(&mut self, by: &str) -> ReloadReport {
        let seen = self.loader.look();
        let Some(seen) = self.settled(seen, SETTLE_ON_DEMAND).await else {
            let diagnostics = format!("{} is still being written", self.loader.file.display());
            return self.refuse(by, diagnostics, 1);
        };
        if self.is_in_force(&seen) {
            self.recovered();
            let revision = self.status.load().revision.clone();
            tracing::info!(by, revision = revision.as_str(), "Configuration unchanged");
            return ReloadReport::Unchanged { revision };
        }
        self.apply(by, seen)
    }

    /// Waits until two reads agree and nobody is within writing.
    async fn settled(&self, mut seen: Seen, pause: Duration) -> Option<Seen> {
        for _ in 0..PATIENCE {
            sleep_until(Deadline::after(now(), pause)).await;
            let again = self.loader.look();
            if again == seen && !self.writing.is_going_on(now()) {
                return Some(seen);
            }
            seen = again;
        }
        None
    }

    fn is_in_force(&self, seen: &Seen) -> bool {
        seen.as_ref()
            .is_ok_and(|content| Revision::of(content).as_str() == self.status.load().revision)
    }

    /// The file is again what is in force: whatever was wrong with it is over.
    fn recovered(&self) {
        let status = self.status.load();
        if status.last_error.is_some() {
            self.shared()
                .meters
                .config_loaded(status.revision.as_str(), status.loaded_at);
            self.status.store(Arc::new(ConfigStatus {
                last_error: None,
                ..(**status).clone()
            }));
            tracing::info!(
                revision = status.revision.as_str(),
                "Configuration is again what is in force"
            );
        }
    }

    fn apply(&mut self, by: &str, seen: Seen) -> ReloadReport {
        let loaded = match self.loader.check(seen) {
            Ok(loaded) => loaded,
            Err(report) => return self.refuse(by, report.render(), report.error_count()),
        };
        let warnings = loaded.warnings.clone();
        let previous = self.shared().snapshot.load_full();
        let ground = Ground {
            meters: &self.shared().meters,
            sheds: &self.shared().sheds,
        };
        match self
            .loader
            .prepare(loaded, Some(&previous), &self.listeners, &ground)
        {
            Ok((prepared, bound, addresses)) => {
                warn(&warnings);
                self.commit(by, &previous, prepared, bound, &addresses)
            }
            Err(error) => self.refuse(by, chain(&error), 1),
        }
    }

    fn commit(
        &mut self,
        by: &str,
        previous: &Snapshot,
        prepared: Prepared,
        bound: Bound,
        addresses: &Addresses,
    ) -> ReloadReport {
        let changes = changes(previous, prepared.snapshot());
        let shared = Arc::clone(self.shared());
        let snapshot = prepared.commit(&shared.meters, now());
        let revision = snapshot.revision.clone();
        shared
            .logging
            .respec(spec(&snapshot.plan, self.loader.audience));
        if snapshot.plan.workers != previous.plan.workers {
            tracing::warn!("`workers` changed: the number of workers changes at the next start");
        }
        shared.snapshot.store(snapshot);
        self.listeners.commit(bound, &self.dispatch, &self.context);
        let loaded_at = wall();
        shared.meters.config_loaded(&revision, loaded_at);
        let status = ConfigStatus {
            revision: revision.clone(),
            loaded_at,
            last_error: None,
        };
        self.status.store(Arc::new(status));
        tracing::info!(
            by,
            revision = revision.as_str(),
            changes = changes.as_str(),
            proxy = addresses.proxy_text(),
            admin = addresses.admin_text(),
            "Configuration reloaded"
        );
        ReloadReport::Applied { revision, changes }
    }

    fn refuse(&self, by: &str, diagnostics: String, errors: usize) -> ReloadReport {
        let status = self.status.load();
        let revision = status.revision.clone();
        let is_known = status
            .last_error
            .as_ref()
            .is_some_and(|error| error.diagnostics == diagnostics);
        // Who looks every other second does not say the same each time.
        if !is_known || by != BY_FILE {
            self.shared().meters.config_refused();
            let last_error = Some(LastError {
                at: wall(),
                diagnostics: diagnostics.clone(),
            });
            self.status.store(Arc::new(ConfigStatus {
                last_error,
                ..(**status).clone()
            }));
            tracing::error!(
                by,
                diagnostics = diagnostics.as_str(),
                errors,
                revision = revision.as_str(),
                "Configuration refused; nothing was changed"
            );
        }
        ReloadReport::Refused {
            diagnostics,
            errors,
            revision,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.dispatch.shared()
    }
}

fn answer(reply: oneshot::Sender<ReloadReport>, report: ReloadReport) {
    // An operator who went away has no use for the answer.
    let _ = reply.send(report);
}

/// Writes the warnings of a configuration that came into force.
pub(super) fn warn(warnings: &Report) {
    if !warnings.is_empty() {
        tracing::warn!(
            diagnostics = warnings.render(),
            "Configuration has warnings"
        );
    }
}

/// `+1 ~2 -0 routes`.
fn changes(before: &Snapshot, after: &Snapshot) -> String {
    let (before, after) = (&before.plan.routes, &after.plan.routes);
    let added = after
        .keys()
        .filter(|name| !before.contains_key(*name))
        .count();
    let removed = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .count();
    let changed = after
        .iter()
        .filter(|(name, route)| before.get(*name).is_some_and(|old| old != *route))
        .count();
    format!("+{added} ~{changed} -{removed} routes")
}

//! One reload at a time, whoever asks for it: read, check, prepare, commit.
//!
//! Everything up to the commit may fail and touches nothing that is in force. The commit cannot fail.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::addresses::Addresses;
use super::diff::{changes, is_same};
use super::error::chain;
use super::listeners::{Bound, Listeners};
use super::loader::{Ground, Loader, Seen};
use super::logs::spec;
use super::watch::Writing;
use super::workers::Dispatch;
use crate::admin::{self, ConfigStatus, LastError, ReloadReport, ReloadRequest};
use crate::config::{Report, Revision};
use crate::proxy::Shared;
use crate::snapshot::{Prepared, Snapshot};
use crate::time::{Deadline, now, sleep_until, wall};

/// After a change was noticed, two reads so far apart must agree: a file that is being written is not applied, even where the system
/// does not tell of writers.
const SETTLE: Duration = Duration::from_millis(250);

/// The same when somebody asked outright.
const SETTLE_ON_DEMAND: Duration = Duration::from_millis(20);

/// Who asked when nobody did.
const BY_FILE: &str = "file";

/// How often somebody who asked outright waits for two reads to agree.
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

/// Brings new configurations into force.
pub(super) struct Reloader {
    pub(super) loader: Loader,
    pub(super) listeners: Listeners,
    pub(super) dispatch: Dispatch,
    pub(super) context: Arc<admin::Context>,
    pub(super) status: Arc<ArcSwap<ConfigStatus>>,
    pub(super) writing: Writing,
}

/// A change that was noticed and must hold still before it is applied.
struct Candidate {
    seen: Seen,
    ripe: Deadline,
}

/// Waits until the candidate has had its time; without one, for ever.
async fn ripe(candidate: Option<&Candidate>) {
    match candidate {
        Some(candidate) => sleep_until(candidate.ripe).await,
        None => std::future::pending().await,
    }
}

impl Reloader {
    /// Obeys triggers until they end.
    pub(super) async fn run(&mut self, mut triggers: mpsc::Receiver<Trigger>) {
        let mut candidate = None;
        loop {
            let trigger = tokio::select! {
                trigger = triggers.recv() => trigger,
                () = ripe(candidate.as_ref()) => {
                    candidate = self.ripen(candidate);
                    continue;
                }
            };
            match trigger {
                Some(Trigger::File) => candidate = self.notice(candidate),
                Some(Trigger::Hangup) => drop(self.on_demand("SIGHUP").await),
                Some(Trigger::Admin(ReloadRequest { by, reply })) => {
                    let report = self.on_demand(&by).await;
                    answer(reply, report);
                }
                None => return,
            }
        }
    }

    /// Whatever is not in force is a candidate. What was refused before is one again: what was wrong may lie beside the file, a port
    /// or a secret that was not there yet.
    fn notice(&self, candidate: Option<Candidate>) -> Option<Candidate> {
        let seen = self.loader.look();
        if self.is_in_force(&seen) {
            self.recovered();
            return None;
        }
        match candidate {
            Some(candidate) if candidate.seen == seen => Some(candidate),
            Some(_) | None => Some(Candidate {
                seen,
                ripe: Deadline::after(now(), SETTLE),
            }),
        }
    }

    /// Applies the candidate if it has held still. One that is within being written is left to the trigger that ends it.
    fn ripen(&mut self, candidate: Option<Candidate>) -> Option<Candidate> {
        if self.writing.is_going_on(now()) {
            return None;
        }
        let before = candidate?.seen;
        let next = self.notice(None)?;
        if next.seen == before {
            self.apply(BY_FILE, next.seen);
            return None;
        }
        Some(next)
    }

    async fn on_demand(&mut self, by: &str) -> ReloadReport {
        let Some(seen) = self.settled().await else {
            let diagnostics = format!("{} is still being written", self.loader.file.display());
            return self.refuse(by, diagnostics, 1);
        };
        if self.is_in_force(&seen) {
            self.recovered();
        }
        // The same file may name secrets that are new.
        self.apply(by, seen)
    }

    /// Waits until two reads agree and nobody is within writing.
    async fn settled(&self) -> Option<Seen> {
        let mut seen = self.loader.look();
        for _ in 0..PATIENCE {
            sleep_until(Deadline::after(now(), SETTLE_ON_DEMAND)).await;
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
            changed: &self.shared().changed,
        };
        match self
            .loader
            .prepare(loaded, Some(&previous), &self.listeners, &ground)
        {
            Ok((prepared, _, _)) if is_same(&previous, prepared.snapshot()) => {
                let revision = previous.revision.clone();
                tracing::info!(by, revision = revision.as_str(), "Configuration unchanged");
                ReloadReport::Unchanged { revision }
            }
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
        self.loader.names.respec(&snapshot.plan.dns);
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

//! One reload at a time, whatever triggers it: read, check, prepare, commit.
//!
//! Everything up to the commit may fail and touches nothing that is in force. The commit cannot fail. What takes long for
//! 10 000 routes or on a slow disk is done on a thread of its own.

mod askers;
mod diff;
mod history;
mod retired;
mod seen;
mod status;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::addresses::Addresses;
use super::aside::aside;
use super::listeners::{Listeners, Listening};
use super::loader::{Ground, Loader};
use super::logs::spec;
use super::watch::Writing;
use super::workers::Dispatch;
use crate::admin::{self, ReloadReport, ReloadRequest};
use crate::config::{Loaded, Report};
use crate::proxy::Shared;
use crate::snapshot::{Prepared, Snapshot};
use crate::text::chain;
use crate::time::{Deadline, now, sleep_until};
use askers::Askers;
use diff::{Changes, is_same};
use seen::Seen;

pub(super) use history::History;
pub(super) use seen::Known;
pub(super) use status::Status;

/// After a change was noticed, two reads this far apart must agree: a file that is being written is not applied, even if the
/// system does not report writers.
const SETTLE: Duration = Duration::from_millis(250);

/// The same for an explicit request.
const SETTLE_ON_DEMAND: Duration = Duration::from_millis(20);

/// The shortest time between two reads without an explicit request: the directory may be busy with other files.
const PACE: Duration = Duration::from_millis(20);

/// The asker of a reload that a change of the file triggered.
const BY_FILE: &str = "file";

/// How many reads an explicit request waits for two of them to agree.
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
    pub(super) loader: Arc<Loader>,
    pub(super) listeners: Listeners,
    pub(super) dispatch: Dispatch,
    pub(super) context: Arc<admin::Context>,
    pub(super) status: Status,
    pub(super) writing: Writing,
    pub(super) history: History,
    /// Gets the files to watch.
    pub(super) watched: watch::Sender<BTreeSet<PathBuf>>,
}

/// What was read, compared with what is known.
struct Look {
    seen: Seen,
    is_in_force: bool,
    is_refused: bool,
}

/// A change that was noticed and must stay the same for a while before it is applied.
struct Candidate {
    seen: Seen,
    ripe: Deadline,
}

/// Waits until the candidate is due; without one, forever.
async fn ripe(candidate: Option<&Candidate>) {
    match candidate {
        Some(candidate) => sleep_until(candidate.ripe).await,
        None => std::future::pending().await,
    }
}

impl Reloader {
    /// Serves triggers until their channel ends.
    pub(super) async fn run(&mut self, mut triggers: mpsc::Receiver<Trigger>) {
        let mut candidate = None;
        let mut paced = Deadline::after(now(), Duration::ZERO);
        loop {
            let trigger = tokio::select! {
                trigger = triggers.recv() => trigger,
                () = ripe(candidate.as_ref()) => {
                    candidate = self.ripen(candidate).await;
                    continue;
                }
            };
            match trigger {
                // A read is due already, and will see this change as well.
                Some(Trigger::File) if candidate.is_some() => {}
                Some(Trigger::File) => {
                    sleep_until(paced).await;
                    candidate = self.notice().await;
                    paced = Deadline::after(now(), PACE);
                    self.history.retired.free().await;
                }
                Some(outright @ (Trigger::Hangup | Trigger::Admin(_))) => {
                    let askers = Askers::of(outright, &mut triggers);
                    let report = self.on_demand(&askers.names()).await;
                    askers.answer(&report);
                }
                None => return,
            }
        }
    }

    /// Reads on another thread; `None` when that failed.
    async fn look(&self) -> Option<Look> {
        let loader = Arc::clone(&self.loader);
        let History {
            in_force, refused, ..
        } = &self.history;
        let (in_force, refused) = (in_force.clone(), refused.clone());
        let looking = aside(move || {
            let seen = Seen::at(&loader.file, [&in_force].into_iter().chain(&refused));
            Look {
                is_in_force: seen.is(&in_force),
                is_refused: refused.is_some_and(|refused| seen.is(&refused)),
                seen,
            }
        });
        looking.await.ok()
    }

    /// A content that is neither in force nor known to be wrong is a candidate. One that was refused for a reason outside the
    /// file, such as a port that is taken, is one each time.
    async fn notice(&self) -> Option<Candidate> {
        let look = self.look().await?;
        if look.is_in_force {
            self.status.recovered();
        }
        let is_candidate = !look.is_in_force && !look.is_refused;
        is_candidate.then(|| Candidate {
            seen: look.seen,
            ripe: Deadline::after(now(), SETTLE),
        })
    }

    /// Applies the candidate if it has stayed the same. While a writer is at work it is left alone: the end of the writing is a
    /// trigger.
    async fn ripen(&mut self, candidate: Option<Candidate>) -> Option<Candidate> {
        if self.writing.is_going_on(now()) {
            return None;
        }
        let before = candidate?.seen;
        let next = self.notice().await?;
        if next.seen == before {
            self.apply(BY_FILE, next.seen).await;
            return None;
        }
        Some(next)
    }

    async fn on_demand(&mut self, by: &str) -> ReloadReport {
        match self.settled().await {
            Some(seen) => self.apply(by, seen).await,
            None => {
                let diagnostics = format!("{} is still being written", self.loader.file.display());
                self.status.refuse(by, diagnostics, 1)
            }
        }
    }

    /// Waits until two reads agree and no writer is at work.
    async fn settled(&self) -> Option<Seen> {
        let mut seen = self.look().await?.seen;
        for _ in 0..PATIENCE {
            sleep_until(Deadline::after(now(), SETTLE_ON_DEMAND)).await;
            let again = self.look().await?.seen;
            if again == seen && !self.writing.is_going_on(now()) {
                return Some(seen);
            }
            seen = again;
        }
        None
    }

    async fn apply(&mut self, by: &str, seen: Seen) -> ReloadReport {
        self.history.retired.free().await;
        let report = self.bring_into_force(by, seen).await;
        let files = self.history.files(&self.loader.file);
        self.watched.send_if_modified(|watched| {
            let is_other = *watched != files;
            *watched = files;
            is_other
        });
        report
    }

    async fn bring_into_force(&mut self, by: &str, seen: Seen) -> ReloadReport {
        let loader = Arc::clone(&self.loader);
        let content = seen.content.clone();
        let loaded = match aside(move || loader.check(content)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(report)) => {
                self.history.refused = seen.known_with(report.named_files());
                return self
                    .status
                    .refuse(by, report.render(), report.error_count());
            }
            Err(undone) => return self.status.refuse(by, undone.to_string(), 1),
        };
        let warnings = loaded.warnings.clone();
        let previous = self.shared().snapshot.load_full();
        let next = match self.prepare(loaded, &previous).await {
            Ok(next) => next,
            Err(error) => return self.status.refuse(by, chain(&*error), 1),
        };
        self.history.refused = None;
        if let Some(known) = seen.known_with(warnings.named_files()) {
            self.history.in_force = known;
        }
        if is_same(&previous, next.prepared.snapshot()) {
            self.status.recovered();
            let revision = previous.revision.clone();
            tracing::info!(by, revision = revision.as_str(), "Configuration unchanged");
            return ReloadReport::Unchanged { revision };
        }
        warn(&warnings);
        self.commit(by, previous, next)
    }

    /// Binds what is new and makes its live objects.
    async fn prepare(
        &self,
        loaded: Loaded,
        previous: &Arc<Snapshot>,
    ) -> Result<Next, Box<dyn Error>> {
        let bound = self.listeners.prepare(&loaded.plan.listen)?;
        let addresses = self.listeners.addresses(&bound);
        let (loader, shared) = (Arc::clone(&self.loader), Arc::clone(self.shared()));
        let (own, previous) = (addresses.proxy.clone(), Arc::clone(previous));
        let preparing = aside(move || {
            let ground = Ground {
                own,
                meters: &shared.meters,
                sheds: &shared.sheds,
                changed: &shared.changed,
            };
            loader.prepare(loaded, Some(&previous), ground)
        });
        Ok(Next {
            prepared: preparing.await??,
            listening: bound.listen()?,
            addresses,
        })
    }

    fn commit(&mut self, by: &str, previous: Arc<Snapshot>, next: Next) -> ReloadReport {
        let Next {
            prepared,
            listening,
            addresses,
        } = next;
        let changes = Changes::between(&previous, prepared.snapshot());
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
        self.history.retired.take(previous);
        self.listeners
            .commit(listening, &self.dispatch, &self.context);
        self.status.loaded(&revision);
        let counts = changes.to_string();
        tracing::info!(
            by,
            revision = revision.as_str(),
            changes = counts,
            kept = changes.kept,
            migrated = changes.migrated,
            reset = changes.reset(),
            proxy = addresses.proxy_text(),
            admin = addresses.admin_text(),
            "Configuration reloaded"
        );
        ReloadReport::Applied {
            revision,
            changes: counts,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.dispatch.shared()
    }
}

/// What is about to come into force.
struct Next {
    prepared: Prepared,
    listening: Listening,
    addresses: Addresses,
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

//! The results of loads, for the admin port, the metrics and the log.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::BY_FILE;
use crate::admin::{ConfigStatus, LastError, ReloadReport};
use crate::telemetry::Meters;
use crate::time::wall;

/// The results of loads.
pub(in crate::app) struct Status {
    shown: Arc<ArcSwap<ConfigStatus>>,
    meters: Meters,
}

impl Status {
    /// Begins with a configuration that is in force.
    pub(in crate::app) fn new(revision: &str, meters: Meters) -> Self {
        let shown = Arc::new(ArcSwap::from_pointee(good(revision, &meters)));
        Self { shown, meters }
    }

    /// What the admin port shows.
    pub(in crate::app) fn shown(&self) -> Arc<ArcSwap<ConfigStatus>> {
        Arc::clone(&self.shown)
    }

    /// Records that another configuration is in force.
    pub(super) fn loaded(&self, revision: &str) {
        self.shown.store(Arc::new(good(revision, &self.meters)));
    }

    /// Records that the file is again what is in force, so that its errors are over.
    pub(super) fn recovered(&self) {
        let status = self.shown.load();
        if status.last_error.is_none() {
            return;
        }
        self.meters
            .config_loaded(&status.revision, status.loaded_at);
        self.shown.store(Arc::new(ConfigStatus {
            last_error: None,
            ..(**status).clone()
        }));
        tracing::info!(
            revision = status.revision.as_str(),
            "Configuration is again what is in force"
        );
    }

    /// Records that what was found cannot be used.
    pub(super) fn refuse(&self, by: &str, diagnostics: String, errors: usize) -> ReloadReport {
        let status = self.shown.load();
        let revision = status.revision.clone();
        let is_known = status
            .last_error
            .as_ref()
            .is_some_and(|error| error.diagnostics == diagnostics);
        // The poll of the file does not repeat the same error each time.
        if !is_known || by != BY_FILE {
            self.meters.config_refused();
            self.shown.store(Arc::new(ConfigStatus {
                last_error: Some(LastError {
                    at: wall(),
                    diagnostics: diagnostics.clone(),
                }),
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
}

/// The status of a configuration that has just come into force; updates the metrics.
fn good(revision: &str, meters: &Meters) -> ConfigStatus {
    let loaded_at = wall();
    meters.config_loaded(revision, loaded_at);
    ConfigStatus {
        revision: revision.to_owned(),
        loaded_at,
        last_error: None,
    }
}

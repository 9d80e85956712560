//! Explicit requests for a reload.

use tokio::sync::{mpsc, oneshot};

use super::Trigger;
use crate::admin::{ReloadReport, ReloadRequest};

/// The explicit requests that one reload answers, and the replies that are due.
#[derive(Default)]
pub(super) struct Askers {
    names: Vec<String>,
    replies: Vec<oneshot::Sender<ReloadReport>>,
}

impl Askers {
    /// Collects all requests that have come by now.
    pub(super) fn of(first: Trigger, triggers: &mut mpsc::Receiver<Trigger>) -> Self {
        let mut askers = Self::default();
        let mut next = Some(first);
        while let Some(trigger) = next {
            let name = match trigger {
                Trigger::File => None,
                Trigger::Hangup => Some("SIGHUP".to_owned()),
                Trigger::Admin(ReloadRequest { by, reply }) => {
                    askers.replies.push(reply);
                    Some(by)
                }
            };
            let is_new = |name: &String| !askers.names.contains(name);
            askers.names.extend(name.filter(is_new));
            next = triggers.try_recv().ok();
        }
        askers
    }

    /// The names of the askers, with commas.
    pub(super) fn names(&self) -> String {
        self.names.join(", ")
    }

    /// Tells all of them.
    pub(super) fn answer(self, report: &ReloadReport) {
        for reply in self.replies {
            // The operator may be gone.
            let _ = reply.send(report.clone());
        }
    }
}

//! Who asks for a reload outright.

use tokio::sync::{mpsc, oneshot};

use super::Trigger;
use crate::admin::{ReloadReport, ReloadRequest};

/// Who asked outright, and those of them that wait for what becomes of it. One reload answers all.
#[derive(Default)]
pub(super) struct Askers {
    names: Vec<String>,
    replies: Vec<oneshot::Sender<ReloadReport>>,
}

impl Askers {
    /// Takes in whoever has asked by now.
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

    /// Their names, with commas.
    pub(super) fn names(&self) -> String {
        self.names.join(", ")
    }

    /// Tells all of them.
    pub(super) fn answer(self, report: &ReloadReport) {
        for reply in self.replies {
            // An operator who went away has no use for the answer.
            let _ = reply.send(report.clone());
        }
    }
}

//! Notices that the configuration file may have changed.
//!
//! The *directory* is watched: editors rename over the file and Kubernetes swaps a symlink beside it, which a watch on the file itself
//! misses. And the content is polled, since some mounts and file systems tell nothing at all. Neither is trusted to mean a change: the
//! reload looks at the content. Nor is a pause trusted to mean the end of a write: a writer that has not closed the file is waited for.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::reload::Trigger;
use crate::time::{Deadline, now, sleep_until};

/// How often the content is looked at without having been told of a change.
const POLL: Duration = Duration::from_secs(2);

/// A writer that keeps the file open is waited for until it has paused for so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Whether somebody is within writing the file, as far as the system tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Writing(Arc<Mutex<Option<Instant>>>);

/// What an event in the directory says about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Nothing: somebody reads, we for example.
    Nothing,
    /// It may have changed.
    Changed,
    /// Part of it was written.
    Written,
    /// Its writer is done, or no longer writes what has its name.
    Whole,
}

impl Writing {
    /// Whether a writer is at work at `now`.
    pub(super) fn is_going_on(&self, now: Instant) -> bool {
        self.get()
            .is_some_and(|last| now.saturating_duration_since(last) < LONGEST_PAUSE)
    }

    fn note(&self, sign: Sign, now: Instant) {
        match sign {
            Sign::Nothing | Sign::Changed => {}
            Sign::Written => {
                if self.get().replace(now).is_none() {
                    tracing::debug!("Configuration is being written; waiting for its writer");
                }
            }
            Sign::Whole => *self.get() = None,
        }
    }

    fn get(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells `triggers` whenever the file may have changed, and `writing` what a writer does. Ends only with its receiver.
pub(super) async fn watch(file: PathBuf, triggers: mpsc::Sender<Trigger>, writing: Writing) {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    let name = file.file_name().unwrap_or_default();
    let mut watched: Option<(Identity, RecommendedWatcher)> = None;
    loop {
        let identity = identity(&directory);
        // A directory that comes back is another one, even if its absence went unseen: it needs a new watch.
        if watched.as_ref().map(|(identity, _)| *identity) != identity {
            watched = identity.and_then(|identity| {
                let watcher = start(&directory, name, triggers.clone(), writing.clone())?;
                Some((identity, watcher))
            });
        }
        if triggers.send(Trigger::File).await.is_err() {
            return;
        }
        sleep_until(Deadline::after(now(), POLL)).await;
    }
}

/// Tells one directory from another of the same name.
type Identity = (u64, u64);

fn identity(directory: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(directory).ok()?;
    metadata.is_dir().then(|| (metadata.dev(), metadata.ino()))
}

/// Polling goes on without a watch, so that none can be had (inotify's limits) is worth no more than a line for a developer.
fn start(
    directory: &Path,
    name: &OsStr,
    triggers: mpsc::Sender<Trigger>,
    writing: Writing,
) -> Option<RecommendedWatcher> {
    let name = name.to_owned();
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Lost events may have been of any kind.
        let sign = event.map_or(Sign::Changed, |event| sign(&event, &name));
        writing.note(sign, now());
        if sign != Sign::Nothing {
            // A full queue holds a trigger already, which is all this one would say.
            let _ = triggers.try_send(Trigger::File);
        }
    });
    let started = watcher.and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    started
        .inspect_err(|error| {
            tracing::debug!(
                error = error as &dyn std::error::Error,
                "Cannot watch the configuration; polling it"
            );
        })
        .ok()
}

fn sign(event: &Event, name: &OsStr) -> Sign {
    let is_file = event
        .paths
        .iter()
        .any(|path| path.file_name() == Some(name));
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) if is_file => Sign::Whole,
        // Looking at the file is told of as well: who took that for a change would look again, for ever.
        EventKind::Access(_) => Sign::Nothing,
        EventKind::Modify(ModifyKind::Data(_)) if is_file => Sign::Written,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
            if is_file =>
        {
            Sign::Whole
        }
        // What another file holds is not ours; a link among them is found by the poll.
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) if !is_file => {
            Sign::Nothing
        }
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => Sign::Changed,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, MetadataKind, RemoveKind, RenameMode};

    use super::*;

    fn of(kind: EventKind, path: &str) -> Sign {
        let event = Event::new(kind).add_path(path.into());
        sign(&event, OsStr::new("sidefuse.yaml"))
    }

    #[test]
    fn reading_the_file_is_no_change_so_that_looking_causes_no_looking() {
        for kind in [
            AccessKind::Open(AccessMode::Any),
            AccessKind::Read,
            AccessKind::Close(AccessMode::Read),
        ] {
            assert_eq!(
                of(EventKind::Access(kind), "/etc/sidefuse.yaml"),
                Sign::Nothing
            );
        }
    }

    #[test]
    fn what_editors_and_kubernetes_do_is_a_change_case_144() {
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        for (kind, path, expected) in [
            (
                EventKind::Create(CreateKind::File),
                "/etc/sidefuse.yaml",
                Sign::Whole,
            ),
            (moved, "/etc/sidefuse.yaml", Sign::Whole),
            (moved, "/etc/..data", Sign::Changed),
            (touched, "/etc/sidefuse.yaml", Sign::Changed),
            (EventKind::Remove(RemoveKind::Folder), "/etc", Sign::Changed),
        ] {
            assert_eq!(of(kind, path), expected, "{kind:?} {path}");
        }
    }

    #[test]
    fn a_writer_is_at_work_from_its_first_byte_until_it_closes_the_file_case_144() {
        let (writing, start) = (Writing::default(), now());
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let later = start + Duration::from_secs(9);

        writing.note(of(written, "/etc/other.yaml"), start);
        assert!(!writing.is_going_on(start));
        writing.note(of(written, "/etc/sidefuse.yaml"), start);
        assert!(writing.is_going_on(later));
        writing.note(of(closed, "/etc/other.yaml"), later);
        assert!(writing.is_going_on(later));
        writing.note(of(closed, "/etc/sidefuse.yaml"), later);
        assert!(!writing.is_going_on(later));
    }

    #[test]
    fn a_writer_that_never_closes_is_not_waited_for_without_end() {
        let (writing, start) = (Writing::default(), now());
        writing.note(Sign::Written, start);
        assert!(!writing.is_going_on(start + LONGEST_PAUSE));
    }
}

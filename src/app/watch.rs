//! Notices that the configuration file may have changed.
//!
//! The *directory* is watched: editors rename over the file and Kubernetes swaps a symlink beside it, which a watch on the file itself
//! misses. And the content is polled, since some mounts and file systems tell nothing at all. Neither is trusted to mean a change: the
//! reload looks at the content.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc};

use super::reload::Trigger;
use crate::time::{Deadline, now, sleep_until, timeout_at};

/// How often the content is looked at without having been told of a change.
const POLL: Duration = Duration::from_secs(2);

/// The least time between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Tells `triggers` whenever the file may have changed. Ends only with its receiver.
pub(super) async fn watch(file: PathBuf, triggers: mpsc::Sender<Trigger>) {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    let changed = Arc::new(Notify::new());
    let mut watcher = None;
    loop {
        if watcher.is_none() {
            watcher = start(&directory, Arc::clone(&changed));
        }
        let _ = timeout_at(Deadline::after(now(), POLL), changed.notified()).await;
        if !directory.is_dir() {
            // A directory that comes back is another one: it needs a new watch.
            watcher = None;
        }
        if triggers.send(Trigger::File).await.is_err() {
            return;
        }
        // Other files of a busy directory (a log, say) change all the time; one look answers for all of that time.
        sleep_until(Deadline::after(now(), PAUSE)).await;
    }
}

/// Polling goes on without a watch, so that none can be had (inotify's limits) is worth no more than a line for a developer.
fn start(directory: &Path, changed: Arc<Notify>) -> Option<RecommendedWatcher> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // To read a file is an event too: without this our own look at the content would make us look again.
        let is_reading = event.is_ok_and(|event| {
            let is_written = event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
            event.kind.is_access() && !is_written
        });
        if !is_reading {
            changed.notify_one();
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

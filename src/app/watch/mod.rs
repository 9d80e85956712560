//! Notices that the configuration file, or a file that it names, may have changed.
//!
//! The *directories* are watched: editors rename over a file and Kubernetes swaps a symlink beside it, which a watch on the file itself
//! misses. So are those of whatever a link leads to, since that is where a writer is told of. And all is looked at every other second, since some mounts and file systems tell nothing at all. Neither is trusted to mean a
//! change: the reload looks for itself. Nor is a pause trusted to mean the end of a write: a writer that has not closed the file is waited
//! for.

mod mounts;
mod sign;
mod trail;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc, watch};

use super::aside::aside;
use super::reload::Trigger;
use crate::config::directory;
use crate::time::{Deadline, now, timeout_at};
use mounts::mounted;
use sign::{Sign, is_moving, is_parting};
use trail::trail;

pub(super) use writing::Writing;

/// How often everything is checked without an event.
const POLL: Duration = Duration::from_secs(2);

/// A watch over files that are named to it.
pub(super) struct Watch {
    files: watch::Receiver<BTreeSet<PathBuf>>,
    scope: Scope,
    eye: Eye,
}

impl Watch {
    /// Watches `files` from now on: tells `triggers` whenever one may have changed, and `writing` what their writers do.
    pub(super) async fn begin(
        files: watch::Receiver<BTreeSet<PathBuf>>,
        triggers: mpsc::Sender<Trigger>,
        writing: Writing,
    ) -> Self {
        let scope = Scope {
            triggers,
            writing,
            sight: Arc::default(),
            moved: Arc::default(),
        };
        let eye = Eye::new(scope.clone());
        let mut watch = Self { files, scope, eye };
        watch.turn().await;
        watch
    }

    /// Watches on, and triggers every other second in any case. Ends only with the receiver of triggers.
    pub(super) async fn go_on(mut self) {
        while self.scope.triggers.send(Trigger::File).await.is_ok() {
            // After a change and after the timeout alike, watch the files of now; without a sender there is nothing new.
            let _ = timeout_at(Deadline::after(now(), POLL), async {
                tokio::select! {
                    Ok(()) = self.files.changed() => {}
                    () = self.scope.moved.notified() => {}
                }
            })
            .await;
            self.turn().await;
        }
    }

    async fn turn(&mut self) {
        let wanted = self.files.borrow_and_update().clone();
        let fresh = Eye::new(self.scope.clone());
        let mut eye = mem::replace(&mut self.eye, fresh);
        let turning = aside(move || {
            eye.turn_to(&wanted);
            eye
        });
        // After a panic, which is logged, the fresh one begins anew.
        if let Ok(eye) = turning.await {
            self.eye = eye;
        }
    }
}

/// Identifies a directory among others of the same name. File systems reuse inode numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    place: (u64, u64),
    created: Option<SystemTime>,
}

impl Identity {
    fn of(directory: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(directory).ok()?;
        metadata.is_dir().then(|| Self {
            place: (metadata.dev(), metadata.ino()),
            created: metadata.created().ok(),
        })
    }
}

/// What the watch and the thread that gets the events share.
#[derive(Clone)]
struct Scope {
    triggers: mpsc::Sender<Trigger>,
    writing: Writing,
    sight: Arc<Mutex<Sight>>,
    /// Told when one of our names came to stand for another file.
    moved: Arc<Notify>,
}

#[derive(Default)]
struct Sight {
    /// The names of our files, each as events name it.
    files: BTreeSet<PathBuf>,
    /// Paths that were removed or renamed: if one is a watched directory, its watch is gone.
    parted: BTreeSet<PathBuf>,
}

impl Scope {
    fn told(&self, event: &notify::Result<Event>) {
        let mut sight = self.sight();
        let (sign, is_moved) = match event {
            // Lost events may have been of any kind.
            Err(_) => (Sign::Changed, true),
            Ok(event) => {
                let sign = Sign::of(event, &sight.files);
                let ours = event
                    .paths
                    .iter()
                    .filter(|path| sight.files.contains(*path));
                let count = ours
                    .map(|file| self.writing.note(sign, file, now()))
                    .count();
                if is_parting(event) {
                    sight.parted.extend(event.paths.iter().cloned());
                }
                (sign, count > 0 && is_moving(event))
            }
        };
        drop(sight);
        if is_moved {
            // Triggers once what the name stands for now is watched: its writer may be at work already.
            self.moved.notify_one();
        } else if sign != Sign::Nothing {
            // A full queue holds a trigger already, and one is enough.
            let _ = self.triggers.try_send(Trigger::File);
        }
    }

    fn sight(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch over the directories of all files.
struct Eye {
    scope: Scope,
    watcher: Option<RecommendedWatcher>,
    directories: BTreeMap<PathBuf, Identity>,
    /// The files of the last call.
    files: BTreeSet<PathBuf>,
    /// Whether it was logged that something cannot be watched.
    is_dim: bool,
}

impl Eye {
    fn new(scope: Scope) -> Self {
        Self {
            scope,
            watcher: None,
            directories: BTreeMap::new(),
            files: BTreeSet::new(),
            is_dim: false,
        }
    }

    /// Watches the directories of these files as they are now. A directory that was recreated needs a new watch, even if its
    /// absence was not noticed. Polling works without any watch.
    fn turn_to(&mut self, files: &BTreeSet<PathBuf>) {
        let names: BTreeSet<PathBuf> = files.iter().flat_map(|file| trail(file)).collect();
        let wanted: BTreeSet<PathBuf> = names
            .iter()
            .map(|name| directory(name).to_owned())
            .collect();
        self.scope.writing.keep_to(&names);
        let parted = {
            let mut sight = self.scope.sight();
            sight.files = names;
            mem::take(&mut sight.parted)
        };
        let watcher = &mut self.watcher;
        self.directories.retain(|directory, identity| {
            let is_same = wanted.contains(directory)
                && !parted.contains(directory)
                && Identity::of(directory) == Some(*identity);
            if !is_same && let Some(watcher) = watcher {
                // It may be gone already.
                let _ = watcher.unwatch(directory);
            }
            is_same
        });
        let mut failure = None;
        for directory in wanted {
            // A missing directory is noticed by the poll.
            if !self.directories.contains_key(&directory)
                && let Some(identity) = Identity::of(&directory)
            {
                match self.watch(&directory) {
                    Ok(()) => drop(self.directories.insert(directory, identity)),
                    Err(error) => failure = failure.or(Some((directory, error))),
                }
            }
        }
        self.tell_of_sight(failure);
        self.tell_of_mounts(files);
    }

    fn watch(&mut self, directory: &Path) -> notify::Result<()> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            None => {
                let scope = self.scope.clone();
                let watcher = notify::recommended_watcher(move |event| scope.told(&event))?;
                self.watcher.insert(watcher)
            }
        };
        watcher.watch(directory, RecursiveMode::NonRecursive)
    }

    /// Logs once that something cannot be watched (usually because of inotify's limits), and once that everything is again.
    fn tell_of_sight(&mut self, failure: Option<(PathBuf, notify::Error)>) {
        let was_dim = mem::replace(&mut self.is_dim, failure.is_some());
        match failure {
            Some((directory, error)) if !was_dim => tracing::warn!(
                directory = %directory.display(),
                error = &error as &dyn std::error::Error,
                "Cannot watch for changes; looking every other second"
            ),
            None if was_dim => tracing::info!("Watching for changes again"),
            Some(_) | None => {}
        }
    }

    fn tell_of_mounts(&mut self, files: &BTreeSet<PathBuf>) {
        if self.files == *files {
            return;
        }
        let new = files.difference(&self.files).cloned().collect();
        for file in mounted(&new) {
            tracing::warn!(
                file = %file.display(),
                "A file is mounted by itself: another that takes its place outside is not seen; mount its directory (in Kubernetes, without subPath)"
            );
        }
        self.files.clone_from(files);
    }
}

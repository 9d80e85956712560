//! The state file: what breakers and throttles know outlives the process.
//!
//! Written atomically (a temporary file, synchronised, renamed), when one of them changes but at most once a second, and at the
//! end. The control thread decides and a thread of its own writes: no worker waits for a disk. A file that cannot be used never
//! prevents the start; only what it held is lost.

use std::cell::Cell;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::config::plan::StatePlan;
use crate::config::{directory, open_regular};
use crate::proxy::Shared;
use crate::resilience::{Memory, MemoryError};
use crate::snapshot::{Prepared, Recalled};
use crate::telemetry::WriteResult;
use crate::text::chain;
use crate::time::{Deadline, Moment, now, sleep_until, timeout_at};

/// The shortest time between two writes.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the file is written without a change while there is something to remember: it must not grow too old in a long
/// outage, and an order that only moves the end of a hold is no change of a state.
const REFRESH: Duration = Duration::from_secs(30);

/// How long the end of the program waits for the last write.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// The largest file that is read: more than 10 000 routes with all their transitions need.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Why a state file is ignored.
#[derive(Debug, thiserror::Error)]
enum Useless {
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("it is larger than 128 MiB")]
    TooLarge,
    #[error(transparent)]
    Content(#[from] MemoryError),
    #[error("it was saved {age:?} ago, and `state_max_age` is {max:?}")]
    TooOld { age: Duration, max: Duration },
}

/// Restores what an earlier process left, if it left something.
pub(super) fn recall(prepared: &mut Prepared) {
    let Some(StatePlan { file, max_age }) = prepared.snapshot().plan.state.clone() else {
        return;
    };
    let moment = Moment::read();
    match read(&file, max_age, moment.wall) {
        Ok(None) => {}
        Ok(Some(memory)) => {
            let Recalled {
                breakers,
                keys,
                pauses,
            } = prepared.recall(&memory, moment);
            let age = humantime::format_duration(whole_seconds(memory.age(moment.wall)));
            tracing::info!(file = %file.display(), breakers, keys, pauses, %age, "State resumed");
        }
        Err(useless) => tracing::warn!(
            file = %file.display(),
            error = chain(&useless),
            "State file passed over; every breaker begins closed"
        ),
    }
}

/// `None` when there is none.
fn read(file: &Path, max_age: Duration, wall: SystemTime) -> Result<Option<Memory>, Useless> {
    let opened = match open_regular(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Useless::Unreadable(error)),
    };
    let mut content = Vec::new();
    let read = opened.take(MAX_BYTES + 1).read_to_end(&mut content);
    if read.map_err(Useless::Unreadable)? as u64 > MAX_BYTES {
        return Err(Useless::TooLarge);
    }
    let memory = Memory::decode(&content)?;
    let age = memory.age(wall);
    if age > max_age {
        let age = whole_seconds(age);
        return Err(Useless::TooOld { age, max: max_age });
    }
    Ok(Some(memory))
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// Keeps the state file of the configuration in force.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// Whether the file may hold a state, so that it must be rewritten when there is none any more.
    is_filled: Cell<bool>,
    has_failed: Cell<bool>,
    /// Numbers the writes. The number of the last one begun is behind the lock, which each write holds.
    number: Cell<u64>,
    latest: Arc<Mutex<u64>>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            is_filled: Cell::new(true),
            has_failed: Cell::new(false),
            number: Cell::new(0),
            latest: Arc::default(),
        }
    }

    /// Writes what changes, for as long as the program runs. The first write comes at once, to show early if the file cannot be
    /// written.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            let begin = now();
            self.save().await;
            sleep_until(Deadline::after(begin, PAUSE)).await;
            // After a change and after the timeout alike, look again.
            let _ = timeout_at(
                Deadline::after(begin, REFRESH),
                self.shared.changed.notified(),
            )
            .await;
        }
    }

    /// Makes the last write, after the last call. A disk that hangs does not keep the process from ending.
    pub(super) async fn save_at_last(&self) {
        let late = Deadline::after(now(), LAST_WRITE);
        if timeout_at(late, self.save()).await.is_err() {
            tracing::warn!(
                "State file was not written in time; the next start begins with an older one"
            );
        }
    }

    /// A write that is no longer waited for may still be under way when the next begins: it must not overwrite that.
    async fn save(&self) {
        let Some((file, memory)) = self.due() else {
            return;
        };
        let number = self.number.get() + 1;
        self.number.set(number);
        let latest = Arc::clone(&self.latest);
        let writing = tokio::task::spawn_blocking(move || {
            let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            if *latest > number {
                return Ok(());
            }
            *latest = number;
            write(&file, &memory.encode())
        });
        let written = writing.await;
        self.told(&written.unwrap_or_else(|end| Err(io::Error::other(end))));
    }

    /// What is to be written; `None` if there is nothing to remember and the file holds nothing.
    fn due(&self) -> Option<(PathBuf, Memory)> {
        let snapshot = self.shared.snapshot.load();
        let file = snapshot.plan.state.as_ref()?.file.clone();
        let memory = snapshot.remember(Moment::read());
        let is_filled = !memory.routes.is_empty();
        (self.is_filled.replace(is_filled) || is_filled).then_some((file, memory))
    }

    /// Logs when writing begins to fail, and when it works again.
    fn told(&self, written: &io::Result<()>) {
        let had_failed = self.has_failed.replace(written.is_err());
        match written {
            Ok(()) => {
                self.shared.meters.state_written(WriteResult::Written);
                if had_failed {
                    tracing::info!("State file is written again");
                }
            }
            Err(error) => {
                self.shared.meters.state_written(WriteResult::Failed);
                // What could not be written is due again.
                self.is_filled.set(true);
                if !had_failed {
                    tracing::warn!(%error, "State file cannot be written; a restart would forget the state of the breakers");
                }
            }
        }
    }
}

/// Replaces the file atomically. It names operators and paths, so the temporary file has mode 0600. Its name is unique, so of
/// two processes with one file the last to rename wins. For a link, the target of the link is replaced.
fn write(file: &Path, content: &str) -> io::Result<()> {
    let file = &*behind_links(file)?;
    make_way(file)?;
    let directory = directory(file);
    let mut draft = NamedTempFile::new_in(directory)?;
    draft.write_all(content.as_bytes())?;
    draft.as_file().sync_all()?;
    draft.persist(file).map_err(|refused| refused.error)?;
    // The rename is durable once the directory is synchronised.
    File::open(directory)?.sync_all()
}

/// Sees to it that a write destroys nothing of others: what a newer version saved is kept aside as `FILE.newer`, one of ours whose
/// beginning is broken as `FILE.broken`, and what another program wrote stays.
fn make_way(file: &Path) -> io::Result<()> {
    /// More than the first lines have.
    const HEAD: u64 = 4096;
    let there = match open_regular(file) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut head = Vec::new();
    there.take(HEAD).read_to_end(&mut head)?;
    // Zeros alone are what a crash of the system leaves of a new file.
    if head.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let put_aside = |ending: &str| {
        let mut aside = file.as_os_str().to_owned();
        aside.push(ending);
        fs::rename(file, aside)
    };
    match Memory::check_version(&head) {
        Ok(()) | Err(MemoryError::Damaged) => Ok(()),
        Err(MemoryError::Newer(_)) => put_aside(".newer"),
        Err(MemoryError::Foreign) if Memory::resembles(&head) => put_aside(".broken"),
        Err(MemoryError::Foreign) => Err(io::Error::other(
            "what is there is no state file of sidefuse and is left alone; move it away, or name another file as `state_file`",
        )),
    }
}

/// Resolves links to the real path. A file that does not exist yet is where the last link points.
fn behind_links(file: &Path) -> io::Result<PathBuf> {
    /// The most links, as in Linux.
    const MOST_LINKS: usize = 40;
    let mut place = file.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            // An absolute target replaces the whole path.
            Ok(target) => place = place.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(place),
        }
    }
    Err(io::Error::other("too many links lead to it"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_behind_links_is_written_and_the_links_stay() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        fs::create_dir(place("data")).unwrap();
        symlink("data/real", place("link")).unwrap();
        symlink(place("link"), place("state")).unwrap();
        for second in [1, 2] {
            let saved_at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            let content = Memory::new(saved_at, [].into()).encode();
            write(&place("state"), &content).unwrap();
            assert_eq!(fs::read_to_string(place("data/real")).unwrap(), content);
            assert!(fs::symlink_metadata(place("state")).unwrap().is_symlink());
            assert!(fs::symlink_metadata(place("link")).unwrap().is_symlink());
        }
        symlink("round", place("round")).unwrap();
        assert!(write(&place("round"), "three").is_err());
        write(&place("plain"), "four").unwrap();
        assert_eq!(fs::read_to_string(place("plain")).unwrap(), "four");
    }
}

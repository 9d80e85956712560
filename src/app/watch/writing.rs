//! Files that are being written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::sign::Sign;

/// How long a pause of a writer that keeps a file open is waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Which of our files are being written, as far as the system reports, and when that was last seen.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct Writing(Arc<Mutex<BTreeMap<PathBuf, Instant>>>);

impl Writing {
    /// Whether a writer is at work at `now`.
    pub(in crate::app) fn is_going_on(&self, now: Instant) -> bool {
        let is_alive = |last: &Instant| now.saturating_duration_since(*last) < LONGEST_PAUSE;
        self.get().values().any(is_alive)
    }

    pub(super) fn note(&self, sign: Sign, file: &Path, now: Instant) {
        match sign {
            Sign::Nothing | Sign::Changed => {}
            Sign::Written => {
                if self.get().insert(file.to_owned(), now).is_none() {
                    tracing::debug!("Configuration is being written; waiting for its writer");
                }
            }
            Sign::Whole => {
                self.get().remove(file);
            }
        }
    }

    /// Waits no longer for the writers of any other file.
    pub(super) fn keep_to(&self, files: &BTreeSet<PathBuf>) {
        self.get().retain(|file, _| files.contains(file));
    }

    fn get(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    #[test]
    fn a_writer_is_at_work_from_its_first_byte_until_it_closes_the_file_case_144() {
        let (writing, start) = (Writing::default(), now());
        let later = start + Duration::from_secs(9);
        let (file, secret) = (Path::new("/etc/sidefuse.yaml"), Path::new("/etc/secret"));
        assert!(!writing.is_going_on(start));
        writing.note(Sign::Written, file, start);
        writing.note(Sign::Written, secret, start);
        writing.note(Sign::Changed, file, start);
        assert!(writing.is_going_on(later));
        writing.note(Sign::Whole, secret, later);
        assert!(writing.is_going_on(later), "the other is still written");
        writing.note(Sign::Whole, file, later);
        assert!(!writing.is_going_on(later));
    }

    #[test]
    fn the_writer_of_a_file_that_is_ours_no_more_is_not_waited_for() {
        let (writing, start) = (Writing::default(), now());
        let (old, new) = (PathBuf::from("/etc/old"), PathBuf::from("/etc/new"));
        writing.note(Sign::Written, &old, start);
        writing.keep_to(&BTreeSet::from([old, new.clone()]));
        assert!(writing.is_going_on(start));
        writing.keep_to(&BTreeSet::from([new]));
        assert!(!writing.is_going_on(start));
    }

    #[test]
    fn a_writer_that_never_closes_is_not_waited_for_without_end() {
        let (writing, start) = (Writing::default(), now());
        writing.note(Sign::Written, Path::new("/etc/secret"), start);
        assert!(!writing.is_going_on(start + LONGEST_PAUSE));
    }
}

//! A few of the calls that a breaker judged by, so that people find them in their logs.
//!
//! They cost something only on failures, and on slow calls if a rule judges these: a breaker whose calls go well keeps none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::resilience::breaker::machine::Machine;
use crate::resilience::outcome::{Label, Outcome, Sample};
use crate::text::clip;

/// How many calls of each kind are kept.
const KEPT: usize = 5;

/// The most characters of an id; longer ones are not accepted from callers either.
const LONGEST_ID: usize = 128;
/// The most characters of a method.
const LONGEST_METHOD: usize = 24;
/// The most characters of a path: enough to tell one call from another, little enough to keep a few hundred.
const LONGEST_PATH: usize = 160;

/// The identity of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its correlation id.
    pub id: Box<str>,
    /// Its method.
    pub method: Box<str>,
    /// Its path within the route, without the query.
    pub path: Box<str>,
}

/// A call that a breaker judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// When its result arrived.
    pub at: Instant,
    /// Its failure; "slow" for a call that did not fail.
    pub label: Option<Label>,
    /// The call, if it was named.
    pub call: Option<Identity>,
}

/// The latest calls that were judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    failed: VecDeque<Arc<Exemplar>>,
    slow: VecDeque<Arc<Exemplar>>,
}

// === impl Identity ===

impl Identity {
    /// Keeps the texts shortened and without unfit characters: they come from a caller and will be shown to people.
    ///
    /// ```
    /// use sidefuse::resilience::Identity;
    ///
    /// let call = Identity::new("test-123", "POST", "/v19.0/1/messages?access_token=hush");
    /// assert_eq!(&*call.path, "/v19.0/1/messages");
    /// assert_eq!(Identity::new("", "GET", &"a".repeat(1_000)).path.chars().count(), 160);
    /// ```
    #[must_use]
    pub fn new(id: &str, method: &str, path: &str) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        Self {
            id: clip(id, LONGEST_ID).into(),
            method: clip(method, LONGEST_METHOD).into(),
            path: clip(path, LONGEST_PATH).into(),
        }
    }
}

// === impl Recent ===

impl Recent {
    pub(super) fn keep(&mut self, exemplar: &Arc<Exemplar>, has_failed: bool, is_slow: bool) {
        let kinds = [(&mut self.failed, has_failed), (&mut self.slow, is_slow)];
        for (kept, _) in kinds.into_iter().filter(|(_, is_one)| *is_one) {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(Arc::clone(exemplar));
        }
    }
}

#[cfg(test)]
impl Recent {
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Exemplar>> {
        self.failed.iter().chain(&self.slow)
    }

    /// Its memory besides the calls themselves.
    pub(super) fn bytes(&self) -> usize {
        let places = self.failed.capacity() + self.slow.capacity();
        size_of::<Self>() + places * size_of::<Arc<Exemplar>>()
    }
}

/// The latest `count` of them, oldest first, as far as they were kept.
fn latest(kept: &VecDeque<Arc<Exemplar>>, count: u32) -> Vec<Arc<Exemplar>> {
    let skip = kept.len().saturating_sub(count as usize);
    kept.iter().skip(skip).cloned().collect()
}

// === the machine's ===

impl Machine {
    /// Makes an exemplar of a call that failed or was slow. The latest failure is remembered in any case, whether or not a rule
    /// judges it.
    pub(super) fn exemplar(
        &mut self,
        sample: &Sample,
        slow: bool,
        call: Option<Identity>,
    ) -> Option<Arc<Exemplar>> {
        let has_failed = sample.outcome == Outcome::Failure;
        if !has_failed && !slow {
            return None;
        }
        let label = if has_failed {
            sample.label
        } else {
            Some(Label::Named("slow"))
        };
        let exemplar = Arc::new(Exemplar {
            at: self.latest,
            label,
            call,
        });
        if has_failed {
            self.last_failure = Some(Arc::clone(&exemplar));
        }
        Some(exemplar)
    }

    /// Keeps a call that is being judged.
    pub(super) fn keep(&mut self, exemplar: Option<&Arc<Exemplar>>, sample: &Sample, slow: bool) {
        if let Some(exemplar) = exemplar {
            let has_failed = sample.outcome == Outcome::Failure;
            self.recent
                .get_or_insert_default()
                .keep(exemplar, has_failed, slow);
        }
    }

    /// The latest `count` failures. A run or a window always counts the latest failures, so its count says which of them belong
    /// to it.
    pub(super) fn latest_failed(&self, count: u32) -> Vec<Arc<Exemplar>> {
        self.recent
            .as_ref()
            .map_or_else(Vec::new, |recent| latest(&recent.failed, count))
    }

    /// The latest `count` slow calls.
    pub(super) fn latest_slow(&self, count: u32) -> Vec<Arc<Exemplar>> {
        self.recent
            .as_ref()
            .map_or_else(Vec::new, |recent| latest(&recent.slow, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_sent_is_shortened_and_without_control_characters() {
        let call = Identity::new("a\u{1b}[31m\nb", "X".repeat(99).as_str(), "/a?token=hush#x");
        assert_eq!(&*call.id, "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(call.method.chars().count(), LONGEST_METHOD);
        assert!(call.method.ends_with("X…"));
        assert_eq!(&*call.path, "/a");
        let wide = Identity::new("", "", &"ä".repeat(LONGEST_PATH));
        assert_eq!(&*wide.path, "ä".repeat(LONGEST_PATH));
    }

    #[test]
    fn the_latest_five_are_kept_and_no_more_than_are_counted_are_told() {
        let begin = crate::time::now();
        let mut recent = Recent::default();
        for status in 500..510 {
            let exemplar = Arc::new(Exemplar {
                at: begin,
                label: Some(Label::Status(status)),
                call: None,
            });
            recent.keep(&exemplar, true, status % 2 == 0);
        }
        let told = |kept, count| -> Vec<_> {
            let labels = latest(kept, count).into_iter();
            labels.filter_map(|exemplar| exemplar.label).collect()
        };
        assert_eq!(told(&recent.failed, 2), [508, 509].map(Label::Status));
        assert_eq!(told(&recent.failed, 99).len(), KEPT);
        assert_eq!(
            told(&recent.slow, 99),
            [500, 502, 504, 506, 508].map(Label::Status)
        );
        assert_eq!(told(&recent.slow, 0), []);
    }
}

//! All problems of one file: bounded, and each reported once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::files::NamedFiles;
use super::problem::{Code, Problem, Severity};
use super::suggest;
use super::tree::Span;
use super::when::When;

/// The most problems of each severity that are kept; the others are counted: a file of a mebibyte can have a hundred thousand,
/// and people read the first ones.
const MOST_KEPT: usize = 1_000;

/// The most names that are compared for suggestions: thousands of wrong names among thousands of right ones would take seconds.
const MOST_COMPARED: usize = 500_000;

/// How many problems there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
}

impl Count {
    fn of(&mut self, severity: Severity) -> &mut usize {
        match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        }
    }

    /// The sum of both.
    pub(crate) const fn all(self) -> usize {
        self.errors + self.warnings
    }
}

/// The identity of a problem: its place, its code and its message.
type Told = (usize, usize, Code, String);

/// All that was found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// The files that were read.
    pub(crate) files: NamedFiles,
    found: Vec<Problem>,
    /// The identities of all problems: what many routes inherit from one line is reported once.
    told: HashSet<Told>,
    kept: Count,
    /// What was found beyond [`MOST_KEPT`].
    untold: Count,
    /// How often one was added, repetitions included.
    added: usize,
    dated: Vec<(When, Problem)>,
    /// How many names were compared for suggestions.
    compared: usize,
    looked: HashSet<(PathBuf, Span)>,
}

impl Problems {
    /// Adds one.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.added += 1;
        let Problem {
            severity,
            code,
            line,
            column,
            ..
        } = problem;
        let told = (line, column, code, problem.message.clone());
        if self.told.contains(&told) {
            return;
        }
        if *self.kept.of(severity) == MOST_KEPT {
            *self.untold.of(severity) += 1;
            return;
        }
        *self.kept.of(severity) += 1;
        self.told.insert(told);
        self.found.push(problem);
    }

    /// The one of `names` that an unknown name probably means. There may be very many names, since they come from the file as
    /// well.
    pub(crate) fn nearest<'n>(
        &mut self,
        name: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        if self.compared >= MOST_COMPARED {
            return None;
        }
        let counted = names.into_iter().inspect(|_| self.compared += 1);
        suggest::nearest(name, counted)
    }

    /// Adds a problem that exists only at certain times: reading a configuration uses no clock.
    pub(crate) fn push_when(&mut self, when: When, problem: Problem) {
        if self.dated.len() < MOST_KEPT {
            self.dated.push((when, problem));
        }
    }

    /// Takes the problems that exist only at certain times.
    pub(crate) fn take_dated(&mut self) -> Vec<(When, Problem)> {
        std::mem::take(&mut self.dated)
    }

    /// Whether the content of a file that is named at that place was not checked before.
    pub(crate) fn is_first_look(&mut self, path: &Path, span: Span) -> bool {
        self.looked.insert((path.to_owned(), span))
    }

    /// How often one was added.
    pub(crate) const fn count(&self) -> usize {
        self.added
    }

    /// How many of them are not kept.
    pub(crate) const fn untold(&self) -> Count {
        self.untold
    }

    /// Whether one of them is an error.
    pub(crate) const fn has_errors(&self) -> bool {
        self.kept.errors > 0
    }

    /// Those that are kept by their place in the file.
    pub(crate) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.found;
        problems.sort_by(|a, b| {
            let place = |p: &Problem| (p.line, p.column, p.code);
            place(a)
                .cmp(&place(b))
                .then_with(|| a.message.cmp(&b.message))
        });
        problems
    }
}

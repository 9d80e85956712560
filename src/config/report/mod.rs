//! All problems of one configuration, for people, for programs and for the annotations of a pull request.

mod human;
mod machine;

use std::fmt;

pub use human::Look;

use self::human::MOST_SHOWN;
use super::excerpt::{Excerpt, excerpt, lines};
use super::files::NamedFiles;
use super::lookalike;
use super::problem::{Count, Problem, Problems, Severity};
use crate::text::is_unfit;

/// Everything that was found in one configuration, in the order of the file. Printing it shows all of it.
///
/// It holds no value from the environment, and of the file only the lines concerned, secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    origin: String,
    found: Vec<(Problem, Option<Excerpt>)>,
    /// Problems that are counted, but not kept.
    untold: Count,
    files: NamedFiles,
}

impl Report {
    pub(crate) fn new(origin: &str, text: &str, mut problems: Problems) -> Self {
        let files = std::mem::take(&mut problems.files);
        let untold = problems.untold();
        let lines = lines(text);
        let mut problems = problems.into_sorted();
        if problems.len() > MOST_SHOWN {
            // Errors must not be hidden below a hundred warnings.
            problems.sort_by_key(|problem| problem.severity == Severity::Warning);
        }
        let problems = problems.into_iter().enumerate();
        let found = problems.map(|(at, problem)| {
            let problem = match lookalike::advice(&problem, &lines) {
                Some(advice) => problem.hint(advice),
                None => problem,
            };
            // Only what is printed in full shows its line.
            let excerpt = (at < MOST_SHOWN)
                .then(|| line_of(&lines, &problem))
                .flatten();
            (fit(problem), excerpt)
        });
        Self {
            origin: fit_text(origin),
            found: found.collect(),
            untold,
            files,
        }
    }

    /// A report of one problem of a file that has these lines.
    pub(crate) fn in_lines(origin: &str, lines: &[&str], problem: Problem) -> Self {
        let excerpt = line_of(lines, &problem);
        Self {
            origin: fit_text(origin),
            found: vec![(fit(problem), excerpt)],
            untold: Count::default(),
            files: NamedFiles::default(),
        }
    }

    /// A report of one problem that has no place in the file.
    pub(crate) fn of(origin: &str, problem: Problem) -> Self {
        Self::in_lines(origin, &[], problem)
    }

    /// Adds the problems of another report of the same file.
    pub(crate) fn add(&mut self, other: Self) {
        self.untold.errors += other.untold.errors;
        self.untold.warnings += other.untold.warnings;
        self.found.extend(other.found);
        self.found
            .sort_by_key(|(problem, _)| (problem.line, problem.column));
    }

    /// The files that the configuration names, as they were when it was read.
    #[must_use]
    pub fn named_files(&self) -> &NamedFiles {
        &self.files
    }

    /// The problems in the order of the file. Of very many the errors come first, and not all are there: see [`Report::untold`].
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter().map(|(problem, _)| problem)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many were found that are not among [`Report::problems`], so that no file can fill memory with them.
    #[must_use]
    pub const fn untold(&self) -> usize {
        self.untold.all()
    }

    /// How many errors were found.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.count(Severity::Error) + self.untold.errors
    }

    /// How many warnings were found.
    #[must_use]
    pub fn warning_count(&self) -> usize {
        self.count(Severity::Warning) + self.untold.warnings
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems()
            .filter(|problem| problem.severity == severity)
            .count()
    }

    /// Everything as plain text, with a closing line (`2 errors, 1 warning`) and a final newline; empty when nothing was found.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_in(Look::Plain)
    }

    /// The same in some look.
    #[must_use]
    pub fn render_in(&self, look: Look) -> String {
        if self.is_empty() {
            String::new()
        } else {
            format!("{}{}\n", self.human(look), self.count_up())
        }
    }

    /// How much was found: `2 errors, 1 warning`.
    fn count_up(&self) -> String {
        let counted = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        match (self.error_count(), self.warning_count()) {
            (errors, 0) => counted(errors, "error"),
            (0, warnings) => counted(warnings, "warning"),
            (errors, warnings) => counted(errors, "error") + ", " + &counted(warnings, "warning"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.human(Look::Plain))?;
        f.write_str(&self.count_up())
    }
}

impl std::error::Error for Report {}

fn line_of(lines: &[&str], problem: &Problem) -> Option<Excerpt> {
    excerpt(lines, problem.line, problem.column, problem.width)
}

/// Makes the texts of a problem fit to be shown, since they may repeat parts of the file.
fn fit(mut problem: Problem) -> Problem {
    problem.message = fit_text(&problem.message);
    problem.hint = problem.hint.as_deref().map(fit_text);
    problem.help = problem.help.as_deref().map(fit_text);
    problem
}

fn fit_text(text: &str) -> String {
    /// Longer than any valid text.
    const LONGEST: usize = 4_000;
    let fit = |c| {
        if is_unfit(c) && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(LONGEST).map(fit).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

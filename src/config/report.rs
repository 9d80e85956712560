//! All problems of one configuration, as people read them.

use std::fmt;

use super::excerpt::{Excerpt, excerpt, lines};
use super::problem::{Problem, Problems, Severity};

/// How many problems are printed in full.
const MOST: usize = 100;

/// Everything that was found in one configuration, in the order of the file. Printing it shows all of it.
///
/// It holds no value from the environment, and of the file only the lines concerned, secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    origin: String,
    found: Vec<(Problem, Option<Excerpt>)>,
}

impl Report {
    pub(crate) fn new(origin: &str, text: &str, problems: Problems) -> Self {
        let lines = lines(text);
        let found = problems
            .into_sorted()
            .into_iter()
            .map(|problem| {
                let excerpt = excerpt(&lines, problem.line, problem.column, problem.width);
                (problem, excerpt)
            })
            .collect();
        Self {
            origin: origin.to_owned(),
            found,
        }
    }

    /// A report of one problem that has no place in the file.
    pub(crate) fn of(origin: &str, problem: Problem) -> Self {
        Self {
            origin: origin.to_owned(),
            found: vec![(problem, None)],
        }
    }

    /// Takes in what another report of the same file found.
    pub(crate) fn add(&mut self, other: Self) {
        self.found.extend(other.found);
        self.found
            .sort_by_key(|(problem, _)| (problem.line, problem.column));
    }

    /// The problems in the order of the file.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter().map(|(problem, _)| problem)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many errors were found.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings were found.
    #[must_use]
    pub fn warning_count(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems()
            .filter(|problem| problem.severity == severity)
            .count()
    }

    /// Everything as plain text, with a closing line (`2 errors, 1 warning`) and a final newline; empty when nothing was found.
    #[must_use]
    pub fn render(&self) -> String {
        if self.is_empty() {
            String::new()
        } else {
            format!("{self}\n")
        }
    }

    fn write_problem(
        &self,
        f: &mut fmt::Formatter<'_>,
        problem: &Problem,
        excerpt: Option<&Excerpt>,
    ) -> fmt::Result {
        let Problem {
            severity,
            code,
            message,
            line,
            column,
            width: _,
            hint,
            help,
        } = problem;
        writeln!(f, "{}[{code}]: {message}", severity.as_str())?;
        let gutter = line.to_string().len();
        if *line > 0 {
            writeln!(f, "{:gutter$}--> {}:{line}:{column}", " ", self.origin)?;
        } else {
            writeln!(f, "{:gutter$}--> {}", " ", self.origin)?;
        }
        match (excerpt, hint) {
            (Some(Excerpt { text, at, width }), hint) => {
                let hint = hint.as_deref().unwrap_or_default();
                let mark = format!("{:at$}{} {hint}", "", "^".repeat(*width));
                writeln!(
                    f,
                    "{:gutter$} |\n{line} | {text}\n{:gutter$} | {}",
                    "",
                    "",
                    mark.trim_end()
                )?;
            }
            (None, Some(hint)) => writeln!(f, "{:gutter$} = {hint}", "")?,
            (None, None) => {}
        }
        if let Some(help) = help {
            writeln!(f, "{:gutter$} = {help}", "")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (problem, excerpt) in self.found.iter().take(MOST) {
            self.write_problem(f, problem, excerpt.as_ref())?;
        }
        if let Some(more @ 1..) = self.found.len().checked_sub(MOST) {
            writeln!(f, "… and {more} more")?;
        }
        let counted = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        match (self.error_count(), self.warning_count()) {
            (errors, 0) => f.write_str(&counted(errors, "error")),
            (0, warnings) => f.write_str(&counted(warnings, "warning")),
            (errors, warnings) => write!(
                f,
                "{}, {}",
                counted(errors, "error"),
                counted(warnings, "warning")
            ),
        }
    }
}

impl std::error::Error for Report {}

//! Loads a configuration: a text or a file becomes a plan or a report.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::compile::compile;
use super::effective::Source;
use super::excerpt::lines;
use super::expand::expand;
use super::files::{NamedFiles, read_limited, reason, remedy};
use super::plan::Plan;
use super::problem::{Code, Problem, Problems, When};
use super::report::Report;
use super::tree::Span;
use super::yaml;

/// Identifies a configuration by its content: the first 8 hexadecimal digits of the SHA-256 of the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(String);

impl Revision {
    /// The revision of that content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(hex::encode(&Sha256::digest(content)[..4]))
    }

    /// As it is printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Its plan.
    pub plan: Plan,
    /// The revision of its content.
    pub revision: Revision,
    /// Its warnings; may be empty.
    pub warnings: Report,
    /// Its source.
    pub source: Arc<Source>,
    /// Warnings that exist only at certain times.
    dated: Vec<(When, Report)>,
}

impl Loaded {
    /// Adds warnings about what has expired at `wall` or is not valid yet: reading a configuration uses no clock.
    #[must_use]
    pub fn at(mut self, wall: SystemTime) -> Self {
        for (when, report) in std::mem::take(&mut self.dated) {
            if when.holds_at(wall) {
                self.warnings.add(report);
            }
        }
        self
    }
}

/// Reads a configuration. `origin` is the file name that messages show; `env` looks up environment variables.
///
/// Files that the configuration names (tokens, certificates, header secrets) are opened to check that they can be read; nothing
/// else is touched.
///
/// # Errors
/// All its problems, warnings included.
pub fn load(
    text: &str,
    origin: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Report> {
    let revision = Revision::of(text.as_bytes());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::default();
    let asked = RefCell::new(BTreeMap::new());
    let env = &|name: &str| {
        let mut asked = asked.borrow_mut();
        let value = asked.entry(name.to_owned()).or_insert_with(|| env(name));
        value.clone()
    };
    let plan = yaml::parse(text, &mut problems).and_then(|mut root| {
        expand(&mut root, env, &mut problems);
        compile(&mut root, env, &mut problems)
    });
    match plan {
        Some(plan) if !problems.has_errors() => {
            let dated = problems.take_dated().into_iter();
            let lines = lines(text);
            let reported = |(when, problem)| (when, Report::in_lines(origin, &lines, problem));
            Ok(Loaded {
                plan,
                revision,
                dated: dated.map(reported).collect(),
                warnings: Report::new(origin, text, problems),
                source: Arc::new(Source::new(origin, text, asked.take())),
            })
        }
        Some(_) | None => Err(Report::new(origin, text, problems)),
    }
}

/// Reads the configuration file at `path` while it is not being written; see [`load()`].
///
/// # Errors
/// As [`read_file()`] and [`load_content()`]; and a file that changes whenever it is read.
pub fn load_file(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Report> {
    let stamp = || {
        let mut files = NamedFiles::default();
        files.note(path);
        files
    };
    let content = read_still(stamp, || read_file(path)).unwrap_or_else(|| {
        let message = format!("{} changes while it is read", path.display());
        let hint = "wait for whoever writes it";
        Err(unusable(path, Code::Unreadable, message, hint))
    });
    load_content(content?, path, env)
}

/// The result of `read` if `stamp` stayed the same meanwhile: half of a text that is being written may be valid as well. `None`
/// if it never does.
fn read_still<S: PartialEq, T>(stamp: impl Fn() -> S, read: impl Fn() -> T) -> Option<T> {
    const MOST: usize = 100;
    (0..MOST).find_map(|_| {
        let before = stamp();
        let content = read();
        (stamp() == before).then_some(content)
    })
}

/// Reads the content of the configuration file at `path`, which must be a regular file of a sensible size.
///
/// # Errors
/// A file that cannot be read or is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Report> {
    let origin = path.display();
    let content = read_limited(path, yaml::MAX_BYTES).map_err(|error| {
        let message = format!("cannot read {origin}: {}", reason(&error));
        unusable(path, Code::Unreadable, message, remedy(&error))
    })?;
    if content.len() > yaml::MAX_BYTES {
        let message = format!(
            "{origin} is larger than the {} bytes allowed",
            yaml::MAX_BYTES
        );
        return Err(unusable(
            path,
            Code::Budget,
            message,
            "is this the right file?",
        ));
    }
    Ok(content)
}

/// Reads a configuration that was the content of the file at `path`; see [`load()`].
///
/// # Errors
/// Content that is not UTF-8; else as [`load()`].
pub fn load_content(
    content: Vec<u8>,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Report> {
    let origin = path.display().to_string();
    if let Some(encoding) = wide_encoding(&content) {
        let message = format!("{origin} is {encoding}, not UTF-8 text");
        let hint = "save the file as UTF-8";
        return Err(unusable(path, Code::Unreadable, message, hint));
    }
    match String::from_utf8(content) {
        Ok(text) => load(&text, &origin, env),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..valid]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            let message = format!(
                "{origin} is not UTF-8 text: byte {valid}, in line {line}, begins no character"
            );
            Err(unusable(
                path,
                Code::Unreadable,
                message,
                "save the file as UTF-8",
            ))
        }
    }
}

/// The encoding with more than one byte per character, by the first bytes (YAML 1.2.2, §5.2). Half of such a file is NUL, and a
/// message about NULs would not help.
fn wide_encoding(content: &[u8]) -> Option<&'static str> {
    match content {
        [0, 0, 0xfe, 0xff, ..]
        | [0xff, 0xfe, 0, 0, ..]
        | [0, 0, 0, 1..=255, ..]
        | [1..=255, 0, 0, 0, ..] => Some("UTF-32"),
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => Some("UTF-16"),
        _ => None,
    }
}

fn unusable(path: &Path, code: Code, message: String, hint: &str) -> Report {
    let problem = Problem::error(code, Span::default(), message).hint(hint);
    Report::of(&path.display().to_string(), problem)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::read_still;

    /// A file that is written to while it is read for so many times.
    fn read(changes: usize) -> Option<usize> {
        let (version, left) = (Cell::new(0), Cell::new(changes));
        let read = || {
            let content = version.get();
            if left.get() > 0 {
                left.set(left.get() - 1);
                version.set(content + 1);
            }
            content
        };
        read_still(|| version.get(), read)
    }

    #[test]
    fn what_is_written_to_while_it_is_read_is_read_again() {
        assert_eq!(read(0), Some(0));
        assert_eq!(read(3), Some(3));
        assert_eq!(read(usize::MAX), None);
    }
}

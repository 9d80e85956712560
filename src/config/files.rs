//! Files that the configuration names: they must exist and be readable when it is loaded.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::fields::{Fields, scalar};
use super::problem::{Code, Problem, Problems};
use super::tree::{Node, Scalar, Span};

/// The largest file that a configuration may name.
const MAX_BYTES: usize = 1024 * 1024;

/// Whether only we should be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// It holds a secret.
    Secret,
    /// Everyone may read it.
    Public,
}

/// Reads the key of a file that holds one line of secret text.
pub(crate) fn token_file(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<PathBuf> {
    let node = &fields.take(key)?.node;
    let (path, content) = file(key, node, Secrecy::Secret, fields.problems)?;
    if content.trim_ascii().is_empty() {
        fields.problems.push(Problem::error(
            Code::File,
            node.span,
            format!("the file of `{key}` is empty"),
        ));
    }
    Some(path)
}

/// Reads the file that `node` names. What is wrong with it is reported.
pub(crate) fn file(
    key: &str,
    node: &Node,
    secrecy: Secrecy,
    problems: &mut Problems,
) -> Option<(PathBuf, Vec<u8>)> {
    let (text, span) = scalar(key, node, problems)?;
    if text.text.is_empty() {
        problems.push(Problem::error(
            Code::NoValue,
            span,
            format!("`{key}` has no value"),
        ));
        return None;
    }
    let path = PathBuf::from(&text.text);
    match read_limited(&path, MAX_BYTES) {
        Ok(content) if content.len() > MAX_BYTES => {
            problems.push(unusable(key, text, span, "it is larger than 1 MiB"));
            None
        }
        Ok(content) => {
            if secrecy == Secrecy::Secret && is_exposed(&path) {
                let message = format!("everyone can read the secret file {}", text.shown());
                problems
                    .push(Problem::warning(Code::ExposedSecret, span, message).hint("chmod o-r"));
            }
            Some((path, content))
        }
        Err(error) => {
            problems.push(unusable(key, text, span, &reason(&error)));
            None
        }
    }
}

fn unusable(key: &str, path: &Scalar, span: Span, why: &str) -> Problem {
    Problem::error(
        Code::File,
        span,
        format!("`{key}` cannot be read: {}: {why}", path.shown()),
    )
}

/// Reads a regular file, at most `max` bytes and one more, so that a longer one can be told.
pub(crate) fn read_limited(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    File::open(path)?
        .take(max as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_path: &Path) -> bool {
    false
}

/// What an I/O error says, in our style: lower case, without the number of the operating system.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

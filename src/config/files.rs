//! Files that the configuration names: they must exist and be readable when it is loaded, and their stamps are remembered, so
//! that a change of any of them can be noticed.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::fields::{Fields, scalar};
use super::problem::{Code, Problem, Problems};
use super::tree::{Node, Scalar, Span};

/// The largest file that a configuration may name.
const MAX_BYTES: usize = 1024 * 1024;

/// The files that a configuration names, each with its stamp from just before it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFiles(BTreeMap<PathBuf, Option<Stamp>>);

impl NamedFiles {
    /// Remembers a file's stamp without reading it. If it is noted twice the earlier stamp counts, so that no change is missed.
    pub fn note(&mut self, path: &Path) {
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), Stamp::of(path));
        }
    }

    /// Their paths, each once.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether each of `others` is among these with the same stamp: not written, replaced, created, removed, and with the same
    /// permissions.
    #[must_use]
    pub fn agree_with(&self, others: &Self) -> bool {
        let mut others = others.0.iter();
        others.all(|(path, stamp)| self.0.get(path) == Some(stamp))
    }
}

/// The metadata of a file behind all its links. Equal stamps mean the same content, since every write and every change of
/// permissions moves `changed`, which cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    mode: u32,
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl Stamp {
    /// `None` when there is no file, or none that we may access.
    fn of(path: &Path) -> Option<Self> {
        let file: Metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            place: (file.dev(), file.ino()),
            mode: file.mode(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// Whether a file should be readable by its owner only.
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

/// Reads the file that `node` names. Problems are reported.
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
    problems.files.note(&path);
    match read_limited(&path, MAX_BYTES) {
        Ok(content) if content.len() > MAX_BYTES => {
            let problem = unusable(key, text, span, "it is larger than 1 MiB");
            problems.push(problem.hint("is this the right file?"));
            None
        }
        Ok(content) => {
            if secrecy == Secrecy::Secret
                && let Some((can, hint)) = exposure(&path)
            {
                let message = format!("everyone can {can} the secret file {}", text.shown());
                problems.push(Problem::warning(Code::ExposedSecret, span, message).hint(hint));
            }
            Some((path, content))
        }
        Err(error) => {
            problems.push(unusable(key, text, span, &reason(&error)).hint(remedy(&error)));
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

/// Opens a file to read it if it is a regular one, so that opening and reading never block, as they may for a pipe and for some
/// files of the system.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let regular = |metadata: Metadata| {
        if metadata.is_file() {
            Ok(())
        } else {
            Err(io::Error::other("not a regular file"))
        }
    };
    // Checked before, since opening a device may have effects; and after, since the file may have been replaced.
    regular(std::fs::metadata(path)?)?;
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(without_waiting)
        .open(path)?;
    regular(file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file, at most `max` bytes and one more, so that a longer one is noticed.
pub(crate) fn read_limited(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open_regular(path)?
        .take(max as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}

/// The directory that a file lies in.
pub(crate) fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// What all users can do to a file, and the command that prevents it. Writing counts as well: to change a secret is to choose
/// it.
fn exposure(path: &Path) -> Option<(&'static str, &'static str)> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    match (mode & 0o004 != 0, mode & 0o002 != 0) {
        (true, false) => Some(("read", "chmod o-r")),
        (false, true) => Some(("change", "chmod o-w")),
        (true, true) => Some(("read and change", "chmod o-rw")),
        (false, false) => None,
    }
}

/// What an I/O error says, in our style: lower case, without the number of the operating system.
pub(crate) fn reason(error: &io::Error) -> String {
    if error.kind() == ErrorKind::WouldBlock {
        return "whoever reads it has to wait".to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

/// What to do about a file that cannot be read.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return "its symbolic links lead in a circle; let them end at a file";
    }
    if error.kind() == ErrorKind::NotFound {
        "check the path; a relative one begins in the working directory"
    } else if error.kind() == ErrorKind::PermissionDenied {
        "let the user that runs sidefuse read it"
    } else if error.kind() == ErrorKind::WouldBlock {
        "name a file that holds all of its content"
    } else {
        "name a regular file that can be read"
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_named_file_has_changed_when_it_is_written_replaced_forbidden_swapped_behind_a_link_or_gone()
     {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let secret = path("secret");
        for version in ["..one", "..two"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("secret"), "same").unwrap();
        }
        symlink("..one", path("..data")).unwrap();
        symlink("..data/secret", &secret).unwrap();
        let swap = || {
            symlink("..two", path("..new")).unwrap();
            fs::rename(path("..new"), path("..data")).unwrap();
        };
        let replace = || {
            fs::write(path("beside"), "same").unwrap();
            fs::rename(path("beside"), &secret).unwrap();
        };
        let forbid = || fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let write = || fs::write(&secret, "more of it").unwrap();
        let remove = || fs::remove_file(&secret).unwrap();
        let changes: [(&str, &dyn Fn()); 6] = [
            ("swapped", &swap),
            ("replaced", &replace),
            ("forbidden", &forbid),
            ("written", &write),
            ("gone", &remove),
            ("back", &write),
        ];
        for (what, change) in changes {
            let now = || {
                let mut files = NamedFiles::default();
                files.note(&secret);
                files
            };
            let mut before = now();
            assert!(now().agree_with(&before), "before it was {what}");
            change();
            before.note(&secret);
            assert!(!now().agree_with(&before), "{what}");
        }
    }
}

//! `sidefuse init`: a starting configuration from the URLs that an application's settings name.

mod draft;
mod scan;
mod url;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{complain, print};
use crate::config::{directory, open_regular};
use draft::Draft;
use scan::{Found, Kind, clean};

/// The most files that are looked at.
const MOST_FILES: usize = 64;
/// The most bytes of a file that are read.
const MOST_BYTES: u64 = 1 << 20;

/// Where to look, and what to write.
#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// The application's folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The file to write; by default sidefuse.yaml in that folder. A file that is there is never overwritten
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the file and says what to change. The exit code is 1 when the system refuses something, or the file exists.
pub(super) fn init(args: InitArgs) -> ExitCode {
    let InitArgs { folder, output } = args;
    let output = output.unwrap_or_else(|| folder.join("sidefuse.yaml"));
    if fs::symlink_metadata(&output).is_ok() {
        return exists(&output);
    }
    let found = match look(&folder) {
        Ok(found) => found,
        Err(error) => {
            complain(&format!("error: cannot read {}: {error}", folder.display()));
            return ExitCode::FAILURE;
        }
    };
    let draft = Draft::of(&found);
    match write(&output, &draft.yaml) {
        Ok(()) => print(&draft.tell(&clean(&output.display().to_string()))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => exists(&output),
        Err(error) => {
            complain(&format!(
                "error: cannot write {}: {error}",
                output.display()
            ));
            ExitCode::FAILURE
        }
    }
}

fn exists(output: &Path) -> ExitCode {
    complain(&format!(
        "error: {} is there already and stays as it is; name another file with --output",
        output.display()
    ));
    ExitCode::FAILURE
}

/// The URLs in the folder's files, in the order of the files' names.
fn look(folder: &Path) -> io::Result<Vec<Found>> {
    let mut files: Vec<(String, Kind, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = match name.as_str() {
            "package.json" => Kind::Package,
            ".env" => Kind::Environment,
            name if name.starts_with(".env.") => Kind::Environment,
            _ => continue,
        };
        files.push((name, kind, entry.path()));
    }
    files.sort();
    files.truncate(MOST_FILES);
    let mut found = Vec::new();
    for (name, kind, path) in files {
        // Folders, pipes and unreadable files are skipped.
        if let Ok(content) = read(&path) {
            found.extend(scan::scan(&name, kind, &content));
        }
    }
    Ok(found)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open_regular(path)?
        .take(MOST_BYTES)
        .read_to_end(&mut content)?;
    Ok(content)
}

/// Writes a new file as a whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(directory(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

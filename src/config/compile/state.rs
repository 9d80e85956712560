//! `state_file` and `state_max_age`: the state that outlives the process.

use std::path::PathBuf;

use crate::config::fields::{Fields, scalar};
use crate::config::files::directory;
use crate::config::plan::StatePlan;
use crate::config::problem::{Code, Problem};

pub(super) fn state(file: &mut Fields<'_, '_>) -> Option<StatePlan> {
    let path = path(file);
    let place = file.key_span("state_max_age");
    let max_age = file.setting("state_max_age");
    if let (None, Some(place)) = (&path, place) {
        let problem = Problem::warning(
            Code::StateFile,
            place,
            "`state_max_age` does nothing without a `state_file`",
        );
        file.problems.push(problem);
    }
    Some(StatePlan {
        file: path?,
        max_age,
    })
}

/// Reads the path. The file need not exist yet, but its directory must.
fn path(file: &mut Fields<'_, '_>) -> Option<PathBuf> {
    let node = &file.take("state_file")?.node;
    let (text, span) = scalar("state_file", node, file.problems)?;
    let path = PathBuf::from(&text.text);
    let problem = match (path.file_name(), directory(&path)) {
        (None, _) => format!("`state_file` names no file: {}", text.shown()),
        (Some(_), _) if path.is_dir() => {
            format!("`state_file` is a directory: {}", text.shown())
        }
        (Some(_), directory) if !directory.is_dir() => {
            format!(
                "the directory of `state_file` does not exist: {}",
                text.shown()
            )
        }
        (Some(_), _) => return Some(path),
    };
    let problem = Problem::error(Code::StateFile, span, problem);
    file.problems
        .push(problem.hint("write a path like `/var/lib/sidefuse/state` whose directory exists"));
    None
}

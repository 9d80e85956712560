//! `sidefuse check`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{complain, environment, print};
use crate::config::load_file;
use crate::time::wall;

/// Checks every file, whatever is wrong with the others. 78 if any has an error.
pub(super) fn check(files: &[PathBuf]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match load_file(file, &environment).map(|loaded| loaded.at(wall())) {
            Ok(loaded) => {
                if !loaded.warnings.is_empty() {
                    complain(&loaded.warnings.render());
                }
                let count = loaded.plan.routes.len();
                let routes = if count == 1 { "route" } else { "routes" };
                print(&format!(
                    "{}: ok, {count} {routes}, revision {}\n",
                    file.display(),
                    loaded.revision
                ));
            }
            Err(report) => {
                complain(&report.render());
                code = ExitCode::from(78);
            }
        }
    }
    code
}

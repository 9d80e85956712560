//! `sidefuse run`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{complain, configured, environment, look};
use crate::app::{self, Options, StartError};
use crate::text::chain;

/// Carries traffic until a signal ends it.
pub(super) fn run(config: Option<PathBuf>) -> ExitCode {
    let Some(config) = config.or_else(configured) else {
        complain("error: no configuration: name the file with `-c FILE` or in SIDEFUSE_CONFIG");
        return ExitCode::from(2);
    };
    let stdout = std::io::stdout();
    let options = Options {
        config,
        environment: Box::new(environment),
        is_terminal: stdout.is_terminal(),
        sink: Box::new(stdout),
        stop: Arc::new(Notify::new()),
    };
    match app::run(options, |_| {}) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&tell(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// A start error for a person: the report of a bad configuration, else the error with its sources.
fn tell(error: &StartError) -> String {
    match error {
        StartError::Config(report) => {
            format!(
                "{}; sidefuse does not start",
                report.render_in(look()).trim_end()
            )
        }
        StartError::Build(_)
        | StartError::Bind { .. }
        | StartError::System(..)
        | StartError::Descriptors { .. }
        | StartError::WorkerDied
        | StartError::TaskEnded(_) => {
            format!("error: {}", chain(error))
        }
    }
}

//! `sidefuse check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{complain, configured, environment, look, print};
use crate::config::{Loaded, Report, load_file};
use crate::time::wall;

/// What to check, and for whom.
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The files
    #[arg(value_name = "FILE", conflicts_with = "config")]
    files: Vec<PathBuf>,
    /// The same for one; without any the one that SIDEFUSE_CONFIG names
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For people; for programs; or for annotations of a GitHub workflow
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Whom the findings are for.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// People: findings on standard error, one line for each good file on standard output.
    #[default]
    Human,
    /// Programs: one document on standard output.
    Json,
    /// GitHub: commands of a workflow on standard output.
    Github,
}

/// Checks all files. The exit code is 78 if any has an error.
pub(super) fn check(args: CheckArgs) -> ExitCode {
    let CheckArgs {
        mut files,
        config,
        format,
    } = args;
    files.extend(config);
    if files.is_empty() {
        files.extend(configured());
    }
    if files.is_empty() {
        complain("error: no configuration: name the files, or set SIDEFUSE_CONFIG");
        return ExitCode::from(2);
    }
    let checked: Vec<(&Path, Result<Loaded, Report>)> = files
        .iter()
        .map(|file| {
            let loaded = load_file(file, &environment).map(|loaded| loaded.at(wall()));
            (file.as_path(), loaded)
        })
        .collect();
    let text: String = match format {
        Format::Human => {
            let lines = checked
                .iter()
                .filter_map(|(file, loaded)| tell(file, loaded));
            lines.collect()
        }
        Format::Json => {
            let files: Vec<Value> = checked
                .iter()
                .map(|(file, loaded)| as_json(file, loaded))
                .collect();
            format!("{:#}\n", json!({"files": files}))
        }
        Format::Github => {
            let reports = checked.iter().map(|(_, loaded)| findings(loaded).github());
            reports.collect()
        }
    };
    let printed = print(&text);
    if checked.iter().any(|(_, loaded)| loaded.is_err()) {
        ExitCode::from(78)
    } else {
        printed
    }
}

/// The findings, including the warnings of a good file.
fn findings(loaded: &Result<Loaded, Report>) -> &Report {
    match loaded {
        Ok(loaded) => &loaded.warnings,
        Err(report) => report,
    }
}

/// Reports the findings; returns the line to print for a good file.
fn tell(file: &Path, loaded: &Result<Loaded, Report>) -> Option<String> {
    let found = findings(loaded);
    if !found.is_empty() {
        complain(&found.render_in(look()));
    }
    let loaded = loaded.as_ref().ok()?;
    let count = loaded.plan.routes.len();
    let routes = if count == 1 { "route" } else { "routes" };
    Some(format!(
        "{}: ok, {count} {routes}, revision {}\n",
        file.display(),
        loaded.revision
    ))
}

fn as_json(file: &Path, loaded: &Result<Loaded, Report>) -> Value {
    let found = findings(loaded);
    let good = loaded.as_ref().ok();
    json!({
        "file": file.display().to_string(),
        "ok": good.is_some(),
        "revision": good.map(|loaded| loaded.revision.as_str()),
        "routes": good.map(|loaded| loaded.plan.routes.len()),
        "errors": found.error_count(),
        "warnings": found.warning_count(),
        "untold": found.untold(),
        "problems": found.json(),
    })
}

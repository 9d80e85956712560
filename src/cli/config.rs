//! `sidefuse config`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{complain, configured, environment, look, print};
use crate::config::{Effective, Loaded, load_file, table};

/// What to show, and of which file.
#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    /// The configuration file
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The same; without either the one that SIDEFUSE_CONFIG names
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Tell where each value of this route comes from
    #[arg(long, value_name = "ROUTE")]
    explain: Option<String>,
    /// A configuration, or with --explain a table; or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Whom it is for.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// People, and sidefuse.
    #[default]
    Yaml,
    /// Programs.
    Json,
}

/// Shows the settings in force. The exit code is 78 for a bad file, 2 for an unknown route.
pub(super) fn config(args: ConfigArgs) -> ExitCode {
    let ConfigArgs {
        file,
        config,
        explain,
        format,
    } = args;
    let Some(file) = file.or(config).or_else(configured) else {
        complain("error: no configuration: name the file, or set SIDEFUSE_CONFIG");
        return ExitCode::from(2);
    };
    let loaded = match load_file(&file, &environment) {
        Ok(loaded) => loaded,
        Err(report) => {
            complain(&report.render_in(look()));
            return ExitCode::from(78);
        }
    };
    if let Some(route) = explain {
        return explained(&loaded, &route, format);
    }
    let Some(effective) = Effective::of(&loaded.source) else {
        complain("error: a defect of sidefuse: the file was good and cannot be read again");
        return ExitCode::from(70);
    };
    match format {
        Format::Yaml => print(&effective.yaml()),
        Format::Json => print(&format!("{:#}\n", effective.json())),
    }
}

fn explained(loaded: &Loaded, route: &str, format: Format) -> ExitCode {
    let Loaded {
        source, revision, ..
    } = loaded;
    let Some(rows) = source.route(route) else {
        let meant = source
            .nearest(route)
            .map(|meant| format!("; did you mean `{meant}`?"));
        complain(&format!(
            "error: {} has no route {route:?}{}",
            source.file(),
            meant.unwrap_or_default()
        ));
        return ExitCode::from(2);
    };
    match format {
        Format::Yaml => print(&table(&rows)),
        Format::Json => {
            let rows: Vec<Value> = rows.iter().map(|row| row.json()).collect();
            let told = json!({
                "name": route,
                "file": source.file(),
                "revision": revision.as_str(),
                "settings": rows,
            });
            print(&format!("{told:#}\n"))
        }
    }
}

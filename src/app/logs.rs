//! The format of log lines, from the configuration and the surroundings.

use std::sync::Arc;

use crate::config::plan::{LogFormat, LogLevel, Plan};
use crate::telemetry::{Level, LineFormat, LogSpec, Sample, Stamp};

/// The reader of the log, which decides the `auto` format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Lines are collected.
    Machine,
    /// Lines are read by a developer, not at a terminal.
    Developer,
    /// Lines go to a terminal; in colour unless `NO_COLOR` is set.
    Terminal {
        /// With ANSI colours.
        color: bool,
    },
}

impl Audience {
    /// The reader that the surroundings suggest.
    pub(super) fn of(environment: &dyn Fn(&str) -> Option<String>, is_terminal: bool) -> Self {
        if is_terminal {
            Self::Terminal {
                color: environment("NO_COLOR").is_none_or(|value| value.is_empty()),
            }
        } else if environment("NODE_ENV").as_deref() == Some("development") {
            Self::Developer
        } else {
            Self::Machine
        }
    }
}

/// How lines look under a plan.
pub(super) fn spec(plan: &Plan, audience: Audience) -> Arc<LogSpec> {
    let pretty = LineFormat::Pretty {
        color: audience == Audience::Terminal { color: true },
    };
    let format = match (plan.logs.format, audience) {
        (LogFormat::Json, _) | (LogFormat::Auto, Audience::Machine) => LineFormat::Json,
        (LogFormat::Pretty, _)
        | (LogFormat::Auto, Audience::Developer | Audience::Terminal { .. }) => pretty,
    };
    let level = match plan.logs.level {
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
    };
    let sample = Sample::new(plan.logs.sample.hundredths(), plan.logs.slow);
    Arc::new(LogSpec {
        stamp: Stamp::new(&plan.service.name, &plan.service.env),
        format,
        level,
        sample,
    })
}

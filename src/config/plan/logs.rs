//! The log lines.

use std::time::Duration;

use http::HeaderName;

use crate::resilience::Ratio;

/// The shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal or with `NODE_ENV=development`, else JSON.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// The severity from which on lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// Details for a developer.
    Debug,
    /// Life cycle and access lines.
    #[default]
    Info,
    /// Refusals and degraded service.
    Warn,
    /// Failures.
    Error,
}

/// The log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsPlan {
    /// Their shape.
    pub format: LogFormat,
    /// The severity from which on they are written.
    pub level: LogLevel,
    /// The request header that names the user.
    pub user_id_header: Option<HeaderName>,
    /// Share of uneventful access lines that is written.
    pub sample: Ratio,
    /// The duration from which on an access line is always written.
    pub slow: Duration,
}

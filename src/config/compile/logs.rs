//! `logs:`

use std::time::Duration;

use ::http::HeaderName;

use super::duration;
use super::headers::header_name;
use crate::config::expand::Env;
use crate::config::fields::Fields;
use crate::config::plan::{LogFormat, LogLevel, LogsPlan};
use crate::config::readers::{or_off, word};
use crate::config::units::ratio;
use crate::resilience::Ratio;

const FORMATS: [(&str, LogFormat); 3] = [
    ("auto", LogFormat::Auto),
    ("json", LogFormat::Json),
    ("pretty", LogFormat::Pretty),
];

/// Ours, and `fatal` because the original's `LOG_LEVEL` may say so.
const LEVELS: [(&str, LogLevel); 6] = [
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("fatal", LogLevel::Error),
];

pub(super) fn logs(fields: &mut Fields<'_, '_>, env: Env<'_>) -> LogsPlan {
    fields.not_yet(&["redact_query"]);
    LogsPlan {
        format: fields
            .parse("format", word(&FORMATS))
            .unwrap_or(LogFormat::Auto),
        level: fields
            .parse_or_variable("level", ("LOG_LEVEL", env), word(&LEVELS))
            .unwrap_or(LogLevel::Info),
        user_id_header: fields
            .parse("user_id_header", or_off(header_name))
            .unwrap_or_else(|| Some(HeaderName::from_static("x-user-id"))),
        sample: fields.parse("sample", ratio).unwrap_or(Ratio::ONE),
        slow: fields
            .parse("slow", duration(Duration::ZERO))
            .unwrap_or(Duration::from_secs(2)),
    }
}

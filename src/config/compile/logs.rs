//! `logs:`

use super::headers::header_name;
use crate::config::expand::Env;
use crate::config::fields::Fields;
use crate::config::keys::Worded as _;
use crate::config::plan::{LogLevel, LogsPlan};
use crate::config::readers::{or_off, word};

pub(super) fn logs(fields: &mut Fields<'_, '_>, env: Env<'_>) -> LogsPlan {
    LogsPlan {
        format: fields.setting("format"),
        level: fields
            .parse_or_variable("level", env, word(LogLevel::WORDS))
            .unwrap_or(LogLevel::Info),
        user_id_header: fields
            .parse_setting("user_id_header", or_off(header_name))
            .flatten(),
        sample: fields.setting("sample"),
        slow: fields.setting("slow"),
    }
}

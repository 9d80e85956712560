//! `logs:`

use http::HeaderName;

use super::headers::header_name;
use crate::config::confidential::is_secret_name;
use crate::config::expand::Env;
use crate::config::fields::Fields;
use crate::config::keys::Worded as _;
use crate::config::plan::{LogLevel, LogsPlan};
use crate::config::problem::Code;
use crate::config::readers::{or_off, word};
use crate::config::units::Invalid;

pub(super) fn logs(fields: &mut Fields<'_, '_>, env: Env<'_>) -> LogsPlan {
    LogsPlan {
        format: fields.setting("format"),
        level: fields
            .parse_or_variable("level", env, word(LogLevel::WORDS))
            .unwrap_or(LogLevel::Info),
        user_id_header: fields
            .parse_setting("user_id_header", or_off(user_id_header))
            .flatten(),
        sample: fields.setting("sample"),
        slow: fields.setting("slow"),
    }
}

/// A reader of a header whose value stands in every access line: not one with a secret.
fn user_id_header(text: &str) -> Result<HeaderName, Invalid> {
    let name = header_name(text)?;
    if is_secret_name(name.as_str()) {
        let what = "names a header that holds a secret, which would stand in every access line";
        return Err(Invalid::new(Code::OwnedHeader, what)
            .hint("use one that says who the user is and proves nothing, such as `X-User-ID`"));
    }
    Ok(name)
}

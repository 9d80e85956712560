//! `service:`

use crate::config::expand::Env;
use crate::config::fields::Fields;
use crate::config::plan::ServicePlan;
use crate::config::problem::Code;
use crate::config::units::Invalid;

/// The longest name.
const LONGEST: usize = 128;

pub(super) fn service(fields: &mut Fields<'_, '_>, env: Env<'_>) -> ServicePlan {
    ServicePlan {
        name: fields.parse_setting("name", name).unwrap_or_default(),
        env: fields
            .parse_or_variable("env", ("NODE_ENV", env), name)
            .unwrap_or_else(|| "production".to_owned()),
    }
}

fn name(text: &str) -> Result<String, Invalid> {
    if text.is_empty() || text.chars().count() > LONGEST || text.contains(char::is_control) {
        let what = format!("must have 1 to {LONGEST} characters, none of them a control character");
        return Err(Invalid::new(Code::Malformed, what));
    }
    Ok(text.to_owned())
}

//! `service:`

use crate::config::expand::Env;
use crate::config::fields::Fields;
use crate::config::keys::name;
use crate::config::plan::ServicePlan;

pub(super) fn service(fields: &mut Fields<'_, '_>, env: Env<'_>) -> ServicePlan {
    ServicePlan {
        name: fields.parse_setting("name", name).unwrap_or_default(),
        env: fields
            .parse_or_variable("env", env, name)
            .unwrap_or_default(),
    }
}

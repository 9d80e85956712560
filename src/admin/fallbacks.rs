//! A route's fallbacks in the notation of the configuration, and what it keeps for a bad day. Fixed answers are told by their status
//! and size: their texts may be anything.

use http::HeaderName;
use serde::Serialize;

use super::settings::duration;
use crate::config::plan::{FallbackKind, FallbackPlan, Obedience, Sharing, StalePlan};
use crate::config::template::Filling;
use crate::snapshot::Route;

/// One entry of `fallback`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FallbackSettings {
    #[serde(flatten)]
    kind: Kind,
    on_failure: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Respond(Respond),
    Route(String),
    Stale(Stale),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Respond {
    /// `null`: that of the refusal.
    status: Option<u16>,
    content_type: Option<String>,
    /// About; places that are filled in take their own length.
    body_bytes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stale {
    max_age: String,
    max_bytes: String,
    max_body: String,
    vary: Vec<String>,
    neutral: Vec<String>,
    share_credentials: bool,
    ignore_cache_control: bool,
    coalesce: bool,
}

/// What a route keeps.
#[derive(Serialize)]
pub(super) struct KeptAnswers {
    entries: usize,
    bytes: u64,
}

impl FallbackSettings {
    /// All of a route's.
    pub(super) fn all(plans: &[FallbackPlan]) -> Vec<Self> {
        plans.iter().map(Self::of).collect()
    }

    fn of(plan: &FallbackPlan) -> Self {
        let kind = match &plan.kind {
            FallbackKind::Respond(plan) => Kind::Respond(Respond {
                status: plan.status.map(|status| status.as_u16()),
                content_type: plan
                    .content_type
                    .as_ref()
                    .and_then(|kind| kind.to_str().ok())
                    .map(str::to_owned),
                body_bytes: plan
                    .body
                    .as_ref()
                    .map_or(0, |body| body.fill(&NOTHING).len()),
            }),
            FallbackKind::Route(route) => Kind::Route(route.clone()),
            FallbackKind::Stale(plan) => Kind::Stale(Stale::of(plan)),
        };
        Self {
            kind,
            on_failure: plan.on_failure,
        }
    }
}

const NOTHING: Filling<'_> = Filling {
    correlation_id: "",
    route: "",
    retry_after: None,
};

impl Stale {
    fn of(plan: &StalePlan) -> Self {
        let StalePlan {
            max_age,
            max_bytes,
            max_body,
            ref vary,
            ref neutral,
            credentials,
            cache_control,
            coalesce,
        } = *plan;
        let names =
            |list: &[HeaderName]| list.iter().map(|name| name.as_str().to_owned()).collect();
        Self {
            max_age: duration(max_age),
            max_bytes: size(max_bytes),
            max_body: size(max_body),
            vary: names(vary),
            neutral: names(neutral),
            share_credentials: credentials == Sharing::Shared,
            ignore_cache_control: cache_control == Obedience::Ignored,
            coalesce,
        }
    }
}

impl KeptAnswers {
    /// What the route keeps now; `None` where it keeps nothing by its settings.
    pub(super) fn of(route: &Route) -> Option<Self> {
        let store = route.stale.as_ref()?;
        Some(Self {
            entries: store.entries(),
            bytes: store.bytes(),
        })
    }
}

/// A size in the notation of the configuration, in the largest unit in which it is whole.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = |(shift, _): &(u32, &str)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift);
    match units.into_iter().find(whole) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_size_reads_back_as_what_it_was(bytes in prop_oneof![0_u64..5000, (0_u64..5000).prop_map(|n| n << 10), (0_u64..99).prop_map(|n| n << 30)]) {
            prop_assert_eq!(crate::config::units::size(&size(bytes)), Ok(bytes));
        }
    }
}

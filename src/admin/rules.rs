//! The rules of a route's `classify` as JSON, in the notation of the configuration.

use std::collections::BTreeMap;

use serde::Serialize;

use super::settings::duration;
use crate::resilience::{Conditions, Outcome, Rule, Scope, Signal, Then, When};

/// One rule.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<String, Option<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    json: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error: Vec<&'static str>,
    r#as: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    config_error: bool,
}

impl RuleSettings {
    /// As it is in force. A list without values stands for anything but null.
    pub(super) fn of(rule: &Rule) -> Self {
        let Then {
            outcome,
            signal: Signal { scope, pause },
            config_error,
        } = rule.then();
        let is_throttled = outcome == Outcome::Throttled;
        let scope = match scope {
            Scope::Route => "route",
            Scope::Key => "key",
        };
        let then = Self {
            status: None,
            header: BTreeMap::new(),
            json: BTreeMap::new(),
            error: Vec::new(),
            r#as: outcome.label(),
            scope: is_throttled.then_some(scope),
            pause: pause.filter(|_| is_throttled).map(duration),
            config_error,
        };
        match rule.when() {
            When::Error(labels) => Self {
                error: labels.clone(),
                ..then
            },
            When::Answer(Conditions {
                statuses,
                headers,
                json,
            }) => Self {
                status: Some(statuses.to_string()),
                header: headers
                    .iter()
                    .map(|(name, wanted)| {
                        let wanted = wanted.as_ref().map(ToString::to_string);
                        (name.to_string(), wanted)
                    })
                    .collect(),
                json: json
                    .iter()
                    .map(|(pointer, expected)| {
                        let expected = expected.iter().map(ToString::to_string);
                        (pointer.to_string(), expected.collect())
                    })
                    .collect(),
                ..then
            },
        }
    }
}

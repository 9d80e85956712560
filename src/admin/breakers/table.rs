//! All breakers for people's eyes: one line each, those that reject first.

use http::StatusCode;
use http::request::Parts;

use super::{List, One};
use crate::admin::reply::{Form, Problem};
use crate::resilience::State;

/// Which breakers are asked for, and how they are to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) struct Wanted {
    /// Those in this state only.
    state: Option<State>,
    pub(in crate::admin) form: Form,
}

impl Wanted {
    /// What a request for the list wants: `state=` in its query, and a table where it accepts plain text.
    ///
    /// # Errors
    /// 400 for a query that says something else.
    pub(in crate::admin) fn of(parts: &Parts) -> Result<Self, Problem> {
        let mut wanted = Self {
            state: None,
            form: Form::of(&parts.headers),
        };
        let query = parts.uri.query().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let state = pair
                .strip_prefix("state=")
                .and_then(|label| State::ALL.into_iter().find(|state| state.label() == label));
            wanted.state = Some(state.ok_or_else(|| {
                let labels = State::ALL.map(State::label).join(", ");
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    format!("the query of this list may say `state=` and one of {labels}"),
                )
            })?);
        }
        Ok(wanted)
    }

    /// Tells the versions of one list that are shown otherwise from each other.
    pub(in crate::admin) fn label(self) -> String {
        let state = self.state.map_or("all", State::label);
        let form = match self.form {
            Form::Text => "text",
            Form::Json => "json",
        };
        format!("{state}-{form}")
    }
}

impl List {
    /// What of it is wanted; its summary stays that of all.
    pub(in crate::admin) fn only(mut self, wanted: Wanted) -> Self {
        if let Some(state) = wanted.state {
            self.breakers.retain(|one| one.state == state);
        }
        self
    }

    /// As a table.
    pub(in crate::admin) fn table(mut self) -> String {
        let summary = &self.summary;
        let mut text = format!(
            "{} open, {} half-open, {} closed; {} forced, {} throttled\n\n",
            summary.open, summary.half_open, summary.closed, summary.forced, summary.throttled
        );
        self.breakers.sort_by_key(urgency);
        let width = |read: fn(&One) -> &str, header: &str| {
            let widths = self.breakers.iter().map(|one| read(one).chars().count());
            widths.max().unwrap_or(0).max(header.len())
        };
        let route = width(|one| &one.name, "ROUTE");
        let state = width(|one| one.state.label(), "STATE");
        let mode = width(|one| one.mode, "MODE");
        let mut line = |name: &str, is: &str, by: &str, why: &str| {
            text.push_str(&format!("{name:route$}  {is:state$}  {by:mode$}  {why}\n"));
        };
        line("ROUTE", "STATE", "MODE", "WHY");
        for one in &self.breakers {
            line(&one.name, one.state.label(), one.mode, &one.explanation);
        }
        text
    }
}

impl One {
    /// As one line.
    pub(in crate::admin) fn line(&self) -> String {
        let Self {
            name,
            key,
            state,
            mode,
            explanation,
            ..
        } = self;
        let key = key.as_ref().map(|key| format!(", key {key}"));
        let key = key.unwrap_or_default();
        let state = state.label();
        format!("{name}{key}: {state}, {mode}; {explanation}")
    }
}

/// What rejects comes first, then what an operator holds or an upstream asked to pause; within that by name.
fn urgency(one: &One) -> (u8, String) {
    let rank = match one.state {
        State::Open => 0,
        State::HalfOpen => 1,
        State::Closed if one.by.is_some() || one.throttle.is_some() => 2,
        State::Closed => 3,
    };
    (rank, one.name.clone())
}

//! Rules that say what an answer proves, where its status does not tell.
//!
//! [`Rules`] are data: a preset ships them, a route replaces them. The first rule whose conditions all hold decides; without one the
//! default does ([`Verdict::of_status`]). A rule that looks into the body gets it parsed, once for all rules; whether any rule needs it
//! is known from status and headers alone ([`Rules::want_body`]), so answers that no rule asks about are never read.
//!
//! ```
//! use http::HeaderMap;
//! use sidefuse::resilience::{Answer, Conditions, Expected, Outcome, Pointer, Rule, Rules, Statuses, Then};
//!
//! let code = Pointer::parse("/error/code").expect("it begins with a slash");
//! let too_many = Conditions { json: vec![(code, vec![Expected::Numbers(4, 4)])], ..Conditions::new(Statuses::REFUSING) };
//! let rules: Rules = [Rule::of_answers(too_many, Then::new(Outcome::Throttled))].into_iter().collect();
//!
//! let headers = HeaderMap::new();
//! assert!(rules.want_body(400, &headers) && !rules.want_body(200, &headers));
//! let body = serde_json::json!({"error": {"code": 4, "message": "(#4) Application request limit reached"}});
//! let answer = Answer { status: 400, headers: &headers, json: Some(&body) };
//! assert_eq!(rules.of_answer(&answer).outcome, Outcome::Throttled);
//! ```

mod conditions;
mod expected;
pub mod grpc;
mod pattern;
mod pointer;
mod statuses;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use serde_json::Value;

pub use conditions::Conditions;
pub use expected::Expected;
pub use pattern::Pattern;
pub use pointer::{BadPointer, Pointer};
pub use statuses::Statuses;

use super::{Label, Outcome, Signal, Verdict};

/// What happened, as far as a rule may ask.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The answer's status.
    pub status: u16,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, if that was wanted and is JSON.
    pub json: Option<&'a Value>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    when: When,
    then: Then,
}

/// What a rule is about: an answer, or that there was none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// An answer for which all of this holds.
    Answer(Conditions),
    /// No answer, or none to the end, for one of these reasons.
    Error(Vec<&'static str>),
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Then {
    /// What the attempt proves.
    pub outcome: Outcome,
    /// The wish for a pause, of a throttled attempt.
    pub signal: Signal,
    /// The call is ours to put right.
    pub config_error: bool,
}

/// Rules in the order in which they are asked. Cheap to clone; none at all take no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules(Option<Arc<[Rule]>>);

// === impl Then ===

impl Then {
    /// That outcome and nothing else.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            signal: Signal::default(),
            config_error: false,
        }
    }

    fn verdict(self, label: Label) -> Verdict {
        let Self {
            outcome,
            signal,
            config_error,
        } = self;
        Verdict {
            signal: (outcome == Outcome::Throttled).then_some(signal),
            config_error,
            ..Verdict::plain(outcome, label)
        }
    }
}

// === impl Rule ===

impl Rule {
    /// A rule about answers.
    #[must_use]
    pub const fn of_answers(when: Conditions, then: Then) -> Self {
        Self {
            when: When::Answer(when),
            then,
        }
    }

    /// A rule about attempts that failed for one of these reasons.
    #[must_use]
    pub const fn of_errors(labels: Vec<&'static str>, then: Then) -> Self {
        Self {
            when: When::Error(labels),
            then,
        }
    }

    /// What it is about.
    #[cfg(test)]
    pub(crate) const fn when(&self) -> &When {
        &self.when
    }

    /// What it decides.
    #[cfg(test)]
    pub(crate) const fn then(&self) -> Then {
        self.then
    }

    /// Whether whatever `later` is about is decided by this rule already.
    #[must_use]
    pub fn covers(&self, later: &Self) -> bool {
        match (&self.when, &later.when) {
            (When::Answer(this), When::Answer(later)) => this.cover(later),
            (When::Error(these), When::Error(later)) => {
                later.iter().all(|label| these.contains(label))
            }
            (When::Answer(_), When::Error(_)) | (When::Error(_), When::Answer(_)) => false,
        }
    }

    fn conditions(&self) -> Option<&Conditions> {
        match &self.when {
            When::Answer(conditions) => Some(conditions),
            When::Error(_) => None,
        }
    }
}

// === impl Rules ===

impl Rules {
    /// All of them in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().flat_map(|rules| rules.iter())
    }

    /// Whether any of them looks into bodies.
    #[must_use]
    pub fn look_into_bodies(&self) -> bool {
        self.iter()
            .filter_map(Rule::conditions)
            .any(|conditions| !conditions.json.is_empty())
    }

    /// Whether the verdict on an answer with this status and these headers may depend on its body.
    #[must_use]
    pub fn want_body(&self, status: u16, headers: &HeaderMap) -> bool {
        self.iter()
            .filter_map(Rule::conditions)
            .find(|conditions| conditions.allow_head(status, headers))
            .is_some_and(|conditions| !conditions.json.is_empty())
    }

    /// The verdict of the first rule that holds for the answer.
    #[must_use]
    pub fn find(&self, answer: &Answer<'_>) -> Option<Verdict> {
        let rules = self.0.as_ref()?;
        let holds = |rule: &&Rule| rule.conditions().is_some_and(|when| when.hold_for(answer));
        let rule = rules.iter().find(holds)?;
        Some(rule.then.verdict(Label::Status(answer.status)))
    }

    /// The verdict on an answer whose body ended well: that of the first rule that holds, else the default.
    #[must_use]
    pub fn of_answer(&self, answer: &Answer<'_>) -> Verdict {
        self.find(answer).unwrap_or_else(|| {
            Verdict::of_status(answer.status, answer.headers.contains_key(RETRY_AFTER))
        })
    }

    /// The verdict on an attempt that got no answer, or none to its end, for that reason and by the upstream's doing.
    #[must_use]
    pub fn of_error(&self, label: &'static str) -> Verdict {
        self.find_error(label)
            .unwrap_or_else(|| Verdict::of_error(label))
    }

    /// The verdict of the first rule that names that reason.
    #[must_use]
    pub fn find_error(&self, label: &'static str) -> Option<Verdict> {
        let names = |rule: &&Rule| match &rule.when {
            When::Error(labels) => labels.contains(&label),
            When::Answer(_) => false,
        };
        let rule = self.iter().find(names)?;
        Some(rule.then.verdict(Label::Named(label)))
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let rules: Arc<[Rule]> = rules.into_iter().collect();
        Self((!rules.is_empty()).then_some(rules))
    }
}

//! Conditions on an answer.

use http::{HeaderMap, HeaderName};

use super::{Answer, Expected, Pattern, Pointer, Statuses};

/// Conditions on an answer, all of which must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// It has one of these statuses.
    pub statuses: Statuses,
    /// It has these header fields, each with a value that matches, or with any value.
    pub headers: Vec<(HeaderName, Option<Pattern>)>,
    /// In its JSON body one of these values stands at each pointer; for an empty list, any value but null.
    pub json: Vec<(Pointer, Vec<Expected>)>,
}

impl Conditions {
    /// Conditions on the status alone.
    #[must_use]
    pub const fn new(statuses: Statuses) -> Self {
        Self {
            statuses,
            headers: Vec::new(),
            json: Vec::new(),
        }
    }

    /// Whether status and headers meet the conditions.
    pub(super) fn allow_head(&self, status: u16, headers: &HeaderMap) -> bool {
        self.statuses.contain(status)
            && self
                .headers
                .iter()
                .all(|(name, wanted)| has_field(headers, name, wanted.as_ref()))
    }

    /// Whether the answer meets all conditions.
    pub(super) fn hold_for(&self, answer: &Answer<'_>) -> bool {
        self.allow_head(answer.status, answer.headers)
            && self.json.iter().all(|(pointer, expected)| {
                answer
                    .json
                    .and_then(|body| pointer.find(body))
                    .is_some_and(|value| {
                        expected.is_empty() && !value.is_null()
                            || expected.iter().any(|expected| expected.is(value))
                    })
            })
    }

    /// Whether these hold wherever `others` do.
    pub(super) fn cover(&self, others: &Self) -> bool {
        let headers = self.headers.iter().all(|(name, wanted)| {
            others
                .headers
                .iter()
                .any(|(other, has)| name == other && (wanted.is_none() || wanted == has))
        });
        let json = self.json.iter().all(|(pointer, wanted)| {
            others.json.iter().any(|(other, has)| {
                let all_wanted = wanted.is_empty()
                    || !has.is_empty()
                        && has
                            .iter()
                            .all(|value| wanted.iter().any(|wanted| wanted.covers(value)));
                pointer == other && all_wanted
            })
        });
        self.statuses.cover(&others.statuses) && headers && json
    }
}

/// A field may stand several times; one matching value is enough.
fn has_field(headers: &HeaderMap, name: &HeaderName, wanted: Option<&Pattern>) -> bool {
    match wanted {
        None => headers.contains_key(name),
        Some(wanted) => headers
            .get_all(name)
            .iter()
            .any(|value| wanted.fits(value.as_bytes())),
    }
}

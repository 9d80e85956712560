//! `classify:` of a route: rules that say what an answer proves.

use super::conditions::{errors, headers, json, statuses, within};
use crate::config::fields::{Fields, mapping, value};
use crate::config::keys::RULE;
use crate::config::preset::INHERITED;
use crate::config::problem::{Code, Problem, Problems};
use crate::config::readers::word;
use crate::config::tree::{Entry, Node, Span, Value};
use crate::config::units::Invalid;
use crate::resilience::{Conditions, Outcome, Rule, Rules, Signal, Statuses, Then};

/// The rules of a route in their order.
pub(super) fn classify(fields: &mut Fields<'_, '_>) -> Rules {
    let Some(Entry { node, .. }) = fields.take("classify") else {
        return Rules::default();
    };
    let problems = &mut *fields.problems;
    let Value::Sequence(items) = &node.value else {
        if !matches!(node.value, Value::Unusable) {
            let message = format!("`classify` must be a list of rules, not {}", node.kind());
            let problem = Problem::error(Code::WrongKind, node.span, message);
            problems.push(problem.hint("write `[{status: 404, as: failure}]`, or `[]` for none"));
        }
        return Rules::default();
    };
    let items = within(items, "`classify` has", "rules", node.span, problems);
    let mut inherited = 0;
    let mut rules: Vec<(Rule, Span)> = Vec::with_capacity(items.len());
    for item in items {
        if let Value::Scalar(_) = &item.value {
            inherited += usize::from(is_inherited(item, problems));
            continue;
        }
        let rule = mapping(&RULE, "rule of classify", Some(item), problems, rule);
        rules.extend(rule.map(|rule| (rule, item.span)));
    }
    if inherited > 1 {
        let message = format!("`{INHERITED}` stands in the list more than once");
        problems.push(Problem::error(Code::DuplicateKey, node.span, message));
    }
    refuse_idle(&rules, problems);
    rules.into_iter().map(|(rule, _)| rule).collect()
}

fn is_inherited(item: &Node, problems: &mut Problems) -> bool {
    let read = |text: &str| match word(&[(INHERITED, ())])(text) {
        Ok(()) => Ok(()),
        Err(Invalid { code, hint, .. }) => Err(Invalid {
            code,
            what: format!("holds rules, and the word `{INHERITED}` for those of the preset"),
            hint,
        }),
    };
    value("classify", item, problems, read).is_some()
}

/// Reports a rule that an earlier one always decides. Rules of a preset may be overruled on purpose.
fn refuse_idle(rules: &[(Rule, Span)], problems: &mut Problems) {
    for (at, (rule, span)) in rules.iter().enumerate() {
        let Some((_, before)) = rules[..at].iter().find(|(before, _)| before.covers(rule)) else {
            continue;
        };
        if span.is_in_file() && before.is_in_file() {
            let message = "this rule can never hold: one before it takes all it asks for";
            problems.push(Problem::error(Code::IdleRule, *span, message).hint(format!(
                "the one in line {}; the first that holds decides",
                before.line
            )));
        }
    }
}

fn rule(fields: &mut Fields<'_, '_>) -> Option<Rule> {
    let before = fields.problems.count();
    let place = fields.span;
    let statuses = fields
        .take("status")
        .map(|entry| statuses(entry, fields.problems));
    let headers = headers(fields);
    let json = json(fields);
    let errors = fields
        .take("error")
        .map(|entry| errors(entry, fields.problems));
    let then = then(fields, errors.is_some());
    let asks_answer = statuses.is_some() || !headers.is_empty() || !json.is_empty();
    let wrong = match &errors {
        Some(_) if asks_answer => Some((
            "`error` is about attempts without an answer, so `status`, `header` and `json` cannot hold with it",
            "make two rules of it",
        )),
        None if !asks_answer => Some((
            "this rule asks for nothing",
            "give `status`, `header`, `json` or `error`",
        )),
        Some(_) | None => None,
    };
    if let Some((message, hint)) = wrong
        && place.is_in_file()
        && fields.problems.count() == before
    {
        let problem = Problem::error(Code::Rule, place, message);
        fields.problems.push(problem.hint(hint));
    }
    let then = then.filter(|_| fields.problems.count() == before)?;
    Some(match errors {
        Some(labels) => Rule::of_errors(labels, then),
        None => {
            let standard = if json.is_empty() {
                Statuses::ANY
            } else {
                Statuses::REFUSING
            };
            let conditions = Conditions {
                statuses: statuses.unwrap_or(standard),
                headers,
                json,
            };
            Rule::of_answers(conditions, then)
        }
    })
}

/// Reads what the rule decides, and the keys that belong to that decision only.
fn then(fields: &mut Fields<'_, '_>, is_about_errors: bool) -> Option<Then> {
    let as_at = fields.key_span("as");
    let Some(as_at) = as_at else {
        if fields.span.is_in_file() {
            let missing = Problem::error(Code::Missing, fields.span, "the rule has no `as`");
            fields.problems.push(missing.hint(
                "say what it means: `as: success`, `failure`, `alive`, `throttled` or `ignored`",
            ));
        }
        for key in ["scope", "pause", "config_error"] {
            let _ = fields.take(key);
        }
        return None;
    };
    let outcome = fields.read("as");
    if is_about_errors && outcome == Some(Outcome::Success) {
        let message = "an attempt without an answer is never a success";
        let problem = Problem::error(Code::Rule, as_at, message);
        fields
            .problems
            .push(problem.hint("use `alive` or `ignored`"));
    }
    let is_throttled = outcome.is_none_or(|outcome| outcome == Outcome::Throttled);
    let may_be_ours =
        outcome.is_none_or(|outcome| matches!(outcome, Outcome::Alive | Outcome::Ignored));
    for (key, fits, hint) in [
        ("scope", is_throttled, "goes with `as: throttled` only"),
        ("pause", is_throttled, "goes with `as: throttled` only"),
        (
            "config_error",
            may_be_ours,
            "goes with `as: alive` or `as: ignored` only",
        ),
    ] {
        if let (Some(span), false) = (fields.key_span(key), fits) {
            let problem = Problem::error(Code::Rule, span, format!("`{key}` {hint}"));
            fields.problems.push(problem);
        }
    }
    let signal = Signal {
        scope: fields.setting("scope"),
        pause: fields.read("pause"),
    };
    let config_error = fields.setting("config_error");
    Some(Then {
        outcome: outcome?,
        signal,
        config_error,
    })
}

//! Giving an operator's order to a route's breaker, or to the breaker of one key.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use serde::Serialize;

use super::api::Deed;
use super::breakers::{One, one};
use super::orders::{Verb, Wish};
use super::reply::{Answer, Form, Problem, json, plain};
use crate::config::plan::KeySource;
use crate::resilience::{Breaker, ForceRequest, Key, Order, Throttle, View};
use crate::snapshot::Route;
use crate::time::Moment;

/// What an order did.
#[derive(Serialize)]
pub(super) struct Obeyed {
    changed: bool,
    #[serde(flatten)]
    breaker: One,
}

impl Obeyed {
    /// The breaker as it is now, and whether the order changed anything.
    ///
    /// # Errors
    /// 500 for a defect of ours.
    pub(super) fn answer(&self, form: Form) -> Result<Answer, Problem> {
        match form {
            Form::Json => json(StatusCode::OK, self),
            Form::Text => {
                let nothing = if self.changed {
                    ""
                } else {
                    "; nothing was changed"
                };
                let text = format!("{}{nothing}\n", self.breaker.line());
                Ok(plain(StatusCode::OK, text))
            }
        }
    }
}

/// Gives the order; returns the breaker as it is then.
pub(super) fn obey(
    route: &Route,
    verb: Verb,
    Wish { order, reason, key }: Wish,
    (deed, moment): (&Deed<'_>, &Moment),
) -> Result<Obeyed, Problem> {
    let (breaker, key) = match key {
        None => (Arc::clone(&route.breaker), None),
        Some(text) => {
            let (breaker, key) = of_key(route, &text, order, moment.now)?;
            (breaker, Some(key))
        }
    };
    let before = breaker.view(moment.now);
    let request = ForceRequest {
        order,
        by: deed.actor.to_owned(),
        reason: reason.clone(),
    };
    let mut changed = breaker.force(request, moment.now);
    // An operator who says that the upstream is well again need not wait for the end of a pause.
    let ended_pause = matches!(verb, Verb::Close | Verb::Clear)
        .then(|| end_pause(&route.limits.throttle, key, moment.now))
        .flatten();
    changed |= ended_pause.is_some();
    if key.is_none() && verb == Verb::Clear {
        // Candidates are compared with the breaker, so they begin anew with it. Breakers of keys are parts of it, but their
        // holds stay.
        if let Some(candidates) = &route.shadows {
            changed |= candidates.clear(deed.actor, moment.now);
        }
        if let Some(keyed) = &route.keyed {
            changed |= keyed.clear(deed.actor, moment.now);
        }
    }
    let key = key.map(|key| key.to_string());
    let after = breaker.view(moment.now);
    tracing::info!(
        actor = deed.actor,
        remote = deed.remote,
        action = verb.label(),
        target = &*route.name,
        key,
        before = standing(&before),
        after = standing(&after),
        changed,
        endedPause = ended_pause,
        reason,
        correlation_id = deed.correlation.as_str(),
        "Admin action"
    );
    let breaker = match key {
        None => one(route, &after, moment),
        Some(key) => One::of_key(route, key, &after, moment),
    };
    Ok(Obeyed { changed, breaker })
}

/// Ends the pause of the key, or all of the route's; says in words what it ended, if there was one.
fn end_pause(throttle: &Throttle, key: Option<Key>, now: Instant) -> Option<String> {
    let sentence = match key {
        None => throttle.view(now).explain()?,
        Some(key) => throttle.view_of(key, now)?.explain()?,
    };
    match key {
        None => throttle.release(now),
        Some(key) => throttle.release_key(key, now),
    }
    Some(sentence)
}

/// The breaker of the key that is named by its text, or by the digits that logs and answers show. An order that holds makes one
/// for a key that has none yet, so that a tenant can be locked out before its first call.
fn of_key(
    route: &Route,
    text: &str,
    order: Order,
    now: Instant,
) -> Result<(Arc<Breaker>, Key), Problem> {
    let (Some(keyed), Some(plan)) = (&route.keyed, &route.plan.keyed) else {
        return Err(Problem::bad_request(format!(
            "route `{}` has one breaker for all; `key` needs `breaker.key` in the configuration",
            route.name
        )));
    };
    let shown = Key::from_digits(text).and_then(|key| Some((keyed.get(key)?, key)));
    if let Some(found) = shown {
        return Ok(found);
    }
    // The key may be paused although its breaker was forgotten.
    let is_paused = |key: Key| route.limits.throttle.view_of(key, now).is_some();
    let paused = Key::from_digits(text).filter(|key| is_paused(*key));
    let key = paused.unwrap_or_else(|| match plan.by {
        KeySource::Host => Key::of(text.to_ascii_lowercase().as_bytes()),
        KeySource::Header(_) | KeySource::PathSegment(_) => Key::of(text.as_bytes()),
    });
    let full = || {
        let most = keyed.max_keys();
        let detail = format!(
            "no room for another key: those unused for longest of the {most} (`max_keys`) must all be remembered"
        );
        Problem::new(StatusCode::CONFLICT, detail)
    };
    match order {
        Order::Close | Order::Clear if keyed.get(key).is_none() && is_paused(key) => {
            Ok((keyed.get_or_make(key, now).ok_or_else(full)?, key))
        }
        Order::Open { .. } | Order::HoldClosed { .. } => {
            Ok((keyed.get_or_make(key, now).ok_or_else(full)?, key))
        }
        Order::Close | Order::Clear | Order::Auto | Order::Renew { .. } | Order::Withdraw => {
            let detail = format!(
                "no breaker for this key on route `{}`: a key gets one with its first call; name it by its text or by the 16 digits that `explain` shows",
                route.name
            );
            let found = keyed.get(key);
            let found = found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, detail))?;
            Ok((found, key))
        }
    }
}

/// `closed/auto`
fn standing(view: &View) -> String {
    format!("{}/{}", view.state().label(), view.mode().label())
}

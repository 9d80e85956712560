//! Operators' orders and how they are written.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::reply::Problem;
use crate::config::units;
use crate::resilience::Order;
use crate::text::clip;

/// The last segment of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Hold it open.
    Open,
    /// Close it, or hold it closed.
    Close,
    /// Close it and forget what was counted.
    Clear,
    /// Drop the hold.
    Auto,
}

/// An order as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// What to do.
    pub(super) order: Order,
    /// Why.
    pub(super) reason: Option<String>,
    /// The key whose breaker is meant, as it was written; `None` means the route's own.
    pub(super) key: Option<String>,
}

/// The longest reason, in characters.
const LONGEST_REASON: usize = 256;
/// The longest key, in bytes: as long as a header that names one.
const LONGEST_KEY: usize = 8 * 1024;
/// The longest hold that ends by itself; beyond it a hold has no end.
const LONGEST_HOLD: Duration = Duration::from_secs(30 * 24 * 3600);

impl Verb {
    /// The verb of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "open" => Some(Self::Open),
            "close" => Some(Self::Close),
            "clear" => Some(Self::Clear),
            "auto" => Some(Self::Auto),
            _ => None,
        }
    }

    /// The word.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Clear => "clear",
            Self::Auto => "auto",
        }
    }
}

/// Reads the body of an order: nothing, or an object with `reason`, `for`, `hold` and `key`.
///
/// # Errors
/// 400 with what is wrong in it.
pub(super) fn wish(verb: Verb, body: &[u8], now: Instant) -> Result<Wish, Problem> {
    let mut members = object(body)?;
    let key = key(members.remove("key"))?;
    let reason = reason(members.remove("reason"))?;
    let lasting = lasting(members.remove("for"))?;
    let hold = match members.remove("hold") {
        None => false,
        Some(Value::Bool(hold)) => hold,
        Some(_) => return Err(Problem::bad_request("`hold` must be true or false")),
    };
    if !members.is_empty() {
        let unknown: Vec<String> = members.keys().take(8).map(|name| shown(name)).collect();
        return Err(Problem::bad_request(format!(
            "unknown: {}; an order takes `reason`, `for`, `hold` and `key`",
            unknown.join(", ")
        )));
    }
    if hold && verb != Verb::Close {
        return Err(Problem::bad_request(format!(
            "`hold` belongs to `close`; `{}` does not take it",
            verb.label()
        )));
    }
    let until = lasting.map(|lasting| now + lasting);
    let order = match verb {
        Verb::Open => Order::Open { until },
        Verb::Close if hold => Order::HoldClosed { until },
        Verb::Close | Verb::Clear | Verb::Auto if until.is_some() => {
            return Err(Problem::bad_request(format!(
                "`for` says how long to hold, and `{}` holds nothing; it belongs to `open`, and to `close` with `\"hold\": true`",
                verb.label()
            )));
        }
        Verb::Close => Order::Close,
        Verb::Clear => Order::Clear,
        Verb::Auto => Order::Auto,
    };
    Ok(Wish { order, reason, key })
}

/// Reads the body as an object; an empty body is an empty object.
fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        ) => Err(Problem::bad_request("the body must be a JSON object")),
        Err(error) => Err(Problem::bad_request(format!(
            "the body is no JSON: line {}, column {}",
            error.line(),
            error.column()
        ))),
    }
}

fn reason(value: Option<Value>) -> Result<Option<String>, Problem> {
    let Some(value) = value else { return Ok(None) };
    value
        .as_str()
        .filter(|reason| {
            reason.chars().count() <= LONGEST_REASON && !reason.chars().any(char::is_control)
        })
        .map(|reason| Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty()))
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "`reason` must be a text of at most {LONGEST_REASON} characters without control characters"
            ))
        })
}

fn key(value: Option<Value>) -> Result<Option<String>, Problem> {
    let Some(value) = value else { return Ok(None) };
    value
        .as_str()
        .filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY)
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "`key` must be a text of 1 to {LONGEST_KEY} bytes: the key itself, or the 16 digits that logs and `explain` show"
            ))
        })
}

fn lasting(value: Option<Value>) -> Result<Option<Duration>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let Some(text) = value.as_str() else {
        return Err(Problem::bad_request("`for` must be a text such as \"15m\""));
    };
    let lasting = units::duration(text).map_err(|invalid| {
        let hint = invalid.hint.filter(|_| text.len() <= 32);
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        Problem::bad_request(format!("`for` {}{hint}", invalid.what))
    })?;
    if lasting.is_zero() || lasting > LONGEST_HOLD {
        return Err(Problem::bad_request(
            "`for` must be above zero and at most 720h; leave it out to hold until another order",
        ));
    }
    Ok(Some(lasting))
}

/// A name that a caller sent, shortened, fit for a message.
pub(super) fn shown(name: &str) -> String {
    format!("`{}`", clip(name, 64))
}

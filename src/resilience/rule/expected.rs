//! The values that a rule may expect at a place in a JSON body.

use std::fmt;

use serde_json::{Number, Value};

use super::Pattern;

/// A value that a rule looks for. JSON's types do not count: APIs write the same code as a number here and as a string there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Expected {
    /// A whole number from the first to the second, or a string that is one.
    Numbers(i64, i64),
    /// A string, or another single value by its notation in JSON.
    Text(Pattern),
}

impl Expected {
    /// Whether that value is one of them.
    #[must_use]
    pub fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Numbers(first, last), Value::Number(number)) => {
                integer(number).is_some_and(|number| (*first..=*last).contains(&number))
            }
            (Self::Numbers(first, last), Value::String(text)) => digits(text)
                .and_then(|text| text.parse().ok())
                .is_some_and(|number| (*first..=*last).contains(&number)),
            (Self::Text(pattern), Value::String(text)) => pattern.fits(text.as_bytes()),
            (Self::Text(pattern), Value::Bool(_) | Value::Number(_)) => {
                pattern.fits(value.to_string().as_bytes())
            }
            (Self::Numbers(..), Value::Bool(_))
            | (_, Value::Null | Value::Array(_) | Value::Object(_)) => false,
        }
    }

    /// Whether it matches everything that `other` matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Numbers(first, last), Self::Numbers(from, to)) => first <= from && to <= last,
            (Self::Text(this), Self::Text(other)) => this == other,
            (Self::Numbers(..), Self::Text(_)) | (Self::Text(_), Self::Numbers(..)) => false,
        }
    }
}

/// A number that is whole, however it is written: `4`, `4.0`, `4e0`.
fn integer(number: &Number) -> Option<i64> {
    /// Up to here a double holds every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let number = number.as_f64()?;
        (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
    })
}

/// A text of nothing but digits.
fn digits(text: &str) -> Option<&str> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(first, last) if first == last => write!(f, "{first}"),
            Self::Numbers(first, last) => write!(f, "{first}-{last}"),
            Self::Text(pattern) => write!(f, "{pattern}"),
        }
    }
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//! A value that stands where a mapping should, as that of the first of its keys: `retry: 3` means `retry: {attempts: 3}`.

use std::time::Duration;

use super::keys::{Key, Kind, Section, Shown, Typed};
use super::tree::{Node, Scalar, Value};

/// What to write for such a value, without the braces; nothing where it is not clear.
pub(crate) fn setting_of(section: &Section, node: &Node) -> Option<String> {
    let Key { name, kind, .. } = section.keys().next()?;
    let Value::Scalar(Scalar {
        text,
        reference: None,
        ..
    }) = &node.value
    else {
        return None;
    };
    if matches!(kind, Kind::Decimal(..))
        && let Some(rate) = per_second(text)
    {
        return f64::read(kind, &rate)
            .is_ok()
            .then(|| format!("{name}: {rate}"));
    }
    let is_meant = matches!(kind, Kind::Number(..)) && u64::read(kind, text).is_ok()
        || matches!(kind, Kind::Decimal(..)) && f64::read(kind, text).is_ok()
        || matches!(kind, Kind::Time(..)) && Duration::read(kind, text).is_ok()
        || matches!(kind, Kind::Text(form) if form.shown == Shown::PathWithQuery)
            && is_plain_path(text);
    is_meant.then(|| format!("{name}: {text}"))
}

/// `60/s`, `30/m` or `1000r/h` as calls per second; nothing where that is no short number.
fn per_second(text: &str) -> Option<String> {
    let (count, unit) = text.split_once('/')?;
    let count = count
        .trim_end()
        .trim_end_matches("req")
        .trim_end_matches('r');
    let seconds = match unit.trim_start() {
        "s" | "sec" | "second" => 1_u64,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3_600,
        _ => return None,
    };
    let count: u64 = count.trim_end().parse().ok()?;
    let thousandths = count.checked_mul(1_000)?;
    if !thousandths.is_multiple_of(seconds) {
        return None;
    }
    let (whole, rest) = (thousandths / seconds / 1_000, thousandths / seconds % 1_000);
    let spelled = format!("{whole}.{rest:03}");
    Some(
        spelled
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
    )
}

/// What may hold a secret is not repeated.
fn is_plain_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte);
    text.starts_with('/') && text.len() <= 64 && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_in_calls_per_second_where_that_is_exact() {
        for (text, expected) in [
            ("60/s", Some("60")),
            ("60r/s", Some("60")),
            ("30/m", Some("0.5")),
            ("100/min", None),
            ("90 / min", Some("1.5")),
            ("3600/h", Some("1")),
            ("60", None),
            ("60/day", None),
            ("x/s", None),
            ("18446744073709551615/s", None),
        ] {
            assert_eq!(per_second(text).as_deref(), expected, "{text}");
        }
    }
}

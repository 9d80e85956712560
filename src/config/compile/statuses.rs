//! Statuses as they are written in rules, retries and probes.

/// The ends of `404`, `500-599` or `5xx`, of any value: the key decides which of them are allowed. `None` for any other text.
pub(super) fn ends(text: &str) -> Option<(u16, u16)> {
    match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => number(&format!("{class}00")).map(|first| (first, first + 99)),
        (None, Some((first, last))) => number(first).zip(number(last)),
        (None, None) => number(text).map(|status| (status, status)),
    }
}

/// Reads three digits.
fn number(text: &str) -> Option<u16> {
    let is_plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_a_range_and_a_class_have_two_ends_and_nothing_else_has() {
        for (text, expected) in [
            ("404", (404, 404)),
            ("500-599", (500, 599)),
            ("599-500", (599, 500)),
            ("5xx", (500, 599)),
            ("0xx", (0, 99)),
            ("9xx", (900, 999)),
        ] {
            assert_eq!(ends(text), Some(expected), "{text}");
        }
        for text in [
            "", "xx", "55xx", "+5xx", "40", "4040", "+40", "500-", "-599", "5xx-6xx", "a-b",
        ] {
            assert_eq!(ends(text), None, "{text}");
        }
    }
}

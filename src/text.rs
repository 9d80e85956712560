//! Texts for people: what of a foreign text may be shown, and how much of it.

use std::error::Error;

/// Whether a character has no place in what people are shown: control characters, among them those that begin an escape sequence of a
/// terminal, and what is not seen or turns the direction of the text, so that it reads as something else.
#[must_use]
pub fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// At most `longest` characters of a text, the last of them `…` if there were more; U+FFFD stands for each that [`is_unfit`].
///
/// ```
/// use sidefuse::text::clip;
///
/// assert_eq!(clip("four", 4), "four");
/// assert_eq!(clip("fives", 4), "fiv…");
/// assert_eq!(clip("a\u{1b}[31m", 9), "a\u{fffd}[31m");
/// ```
#[must_use]
pub fn clip(text: &str, longest: usize) -> String {
    let fit = |c| {
        if is_unfit(c) {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    if text.chars().nth(longest).is_none() {
        return text.chars().map(fit).collect();
    }
    let kept = text.chars().take(longest.saturating_sub(1)).map(fit);
    kept.chain(['…']).collect()
}

/// An error with its sources, on one line. A `Display` of ours never repeats its source.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_text_is_never_longer_and_shows_nothing_that_hides_or_turns() {
        for longest in 1..8 {
            let shown = clip("a\u{202e}b\u{200b}\u{1b}c", longest);
            assert!(shown.chars().count() <= longest, "{shown}");
            assert!(!shown.chars().any(is_unfit), "{shown:?}");
        }
        assert_eq!(clip("", 3), "");
    }
}

//! Readers of single values without units.

use super::problem::Code;
use super::suggest::nearest;
use super::units::Invalid;

/// A reader of one word out of several.
pub(crate) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Invalid> {
    |text| {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let all = words
            .iter()
            .map(|(word, _)| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let invalid = Invalid::new(Code::UnknownWord, format!("must be one of {all}"));
        Err(match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(meant) => invalid.hint(format!("did you mean `{meant}`?")),
            None => invalid,
        })
    }
}

/// A reader of a whole number within a range.
pub(crate) fn number<T>(min: T, max: T) -> impl Fn(&str) -> Result<T, Invalid>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    move |text| {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Invalid::new(
                Code::Malformed,
                format!("must be a whole number from {min} to {max}"),
            ));
        }
        match text.parse::<T>() {
            Ok(number) if number >= min && number <= max => Ok(number),
            Ok(_) | Err(_) => Err(Invalid::new(
                Code::OutOfRange,
                format!("must be from {min} to {max}"),
            )),
        }
    }
}

/// A reader of `true` or `false`.
pub(crate) fn flag(text: &str) -> Result<bool, Invalid> {
    word(&[("true", true), ("false", false)])(text).map_err(|invalid| {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => invalid.hint("write `true`"),
            "false" | "no" | "off" | "n" | "0" => invalid.hint("write `false`"),
            _ => invalid,
        }
    })
}

/// A reader of something that `off` turns off.
pub(crate) fn or_off<T>(
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> impl Fn(&str) -> Result<Option<T>, Invalid> {
    move |text| {
        if text == "off" {
            Ok(None)
        } else {
            parse(text).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_within_its_range() {
        let read = number(1_u32, 100);
        assert_eq!(read("1"), Ok(1));
        assert_eq!(read("0100"), Ok(100));
        for (text, code) in [
            ("0", Code::OutOfRange),
            ("101", Code::OutOfRange),
            ("99999999999999999999", Code::OutOfRange),
            ("", Code::Malformed),
            ("-1", Code::Malformed),
            ("+1", Code::Malformed),
            ("1.0", Code::Malformed),
            ("0x1", Code::Malformed),
        ] {
            assert_eq!(read(text).unwrap_err().code, code, "{text}");
        }
    }

    #[test]
    fn a_word_is_one_of_its_list_or_gets_a_suggestion() {
        let read = word(&[("enforce", 1), ("off", 2)]);
        assert_eq!(read("off"), Ok(2));
        assert_eq!(
            read("enforced").unwrap_err().hint.as_deref(),
            Some("did you mean `enforce`?")
        );
        assert_eq!(read("no").unwrap_err().hint, None);
    }

    #[test]
    fn off_turns_off() {
        assert_eq!(or_off(flag)("off"), Ok(None));
        assert_eq!(or_off(flag)("true"), Ok(Some(true)));
        assert!(or_off(flag)("on").is_err());
    }
}

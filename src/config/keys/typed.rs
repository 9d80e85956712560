//! Reads values as the types of a plan.

use std::time::Duration;

use super::Kind;
use crate::config::problem::Code;
use crate::config::readers::{flag, number, word};
use crate::config::units::{self, Invalid, spell_size, spell_time};
use crate::resilience::Ratio;

/// A type whose values can be read by a key's description.
pub(crate) trait Typed: Sized {
    /// Reads `text`, which a key of that kind holds.
    fn read(kind: &Kind, text: &str) -> Result<Self, Invalid>;
}

/// A type whose values are words.
pub(crate) trait Worded: Copy + 'static {
    /// The words in the order of the documentation, each with what it stands for.
    const WORDS: &'static [(&'static str, Self)];
}

/// The words of a type, for [`Kind::Word`].
pub(crate) fn words<T: Worded>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}

impl<T: Worded> Typed for T {
    fn read(kind: &Kind, text: &str) -> Result<Self, Invalid> {
        let Kind::Word(_) = kind else {
            return Err(mismatch(kind));
        };
        word(T::WORDS)(text)
    }
}

impl<T: Typed> Typed for Option<T> {
    fn read(kind: &Kind, text: &str) -> Result<Self, Invalid> {
        let Kind::Or(word, kind) = kind else {
            return Err(mismatch(kind));
        };
        if text == *word {
            return Ok(None);
        }
        T::read(kind, text)
            .map(Some)
            .map_err(|invalid| match (&invalid.hint, invalid.code) {
                (None, _) | (_, Code::OutOfRange) => invalid.hint(format!("or write `{word}`")),
                (Some(_), _) => invalid,
            })
    }
}

impl Typed for bool {
    fn read(kind: &Kind, text: &str) -> Result<Self, Invalid> {
        let Kind::Flag = kind else {
            return Err(mismatch(kind));
        };
        flag(text)
    }
}

impl Typed for Duration {
    fn read(kind: &Kind, text: &str) -> Result<Self, Invalid> {
        let Kind::Time(least, most) = kind else {
            return Err(mismatch(kind));
        };
        let time = units::duration(text)?;
        if time < *least || time > *most {
            let what = format!(
                "must be from {} to {}",
                spell_time(*least),
                spell_time(*most)
            );
            let invalid = Invalid::new(Code::OutOfRange, what);
            return Err(if time.is_zero() {
                invalid.hint(format!(
                    "it cannot be without end: the longest is `{}`",
                    spell_time(*most)
                ))
            } else {
                invalid
            });
        }
        Ok(time)
    }
}

impl Typed for Ratio {
    fn read(kind: &Kind, text: &str) -> Result<Self, Invalid> {
        let Kind::Share = kind else {
            return Err(mismatch(kind));
        };
        units::ratio(text)
    }
}

impl Typed for f64 {
    fn read(kind: &Kind, text: &str) -> Result<Self, Invalid> {
        let Kind::Decimal(least, most) = kind else {
            return Err(mismatch(kind));
        };
        let range = format!("from {least} to {most}");
        let malformed = || {
            let invalid = Invalid::new(Code::Malformed, format!("must be a number {range}"));
            match text.strip_suffix("/m").or_else(|| text.strip_suffix("/s")) {
                Some(_) => invalid.hint("write calls per second, such as `0.5` for 30 a minute"),
                None => invalid,
            }
        };
        let is_plain = text.bytes().any(|byte| byte.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_plain {
            return Err(malformed());
        }
        let number: Self = text.parse().map_err(|_| malformed())?;
        if (*least..=*most).contains(&number) {
            Ok(number)
        } else {
            Err(Invalid::new(Code::OutOfRange, format!("must be {range}")))
        }
    }
}

/// Whole numbers are counts or sizes, whatever they are held in.
macro_rules! whole {
    ($($type:ty),+) => {
        $(impl Typed for $type {
            fn read(kind: &Kind, text: &str) -> Result<Self, Invalid> {
                let too_large = |_| Invalid::new(Code::OutOfRange, "is too large");
                Self::try_from(count(kind, text)?).map_err(too_large)
            }
        })+
    };
}

whole!(u16, u32, u64, usize);

fn count(kind: &Kind, text: &str) -> Result<u64, Invalid> {
    if let Kind::Number(least, most) = kind {
        return number(*least, *most)(text);
    }
    let Kind::Size(least, most) = kind else {
        return Err(mismatch(kind));
    };
    let size = units::size(text)?;
    if size < *least || size > *most {
        let what = format!(
            "must be from {} to {}",
            spell_size(*least),
            spell_size(*most)
        );
        return Err(Invalid::new(Code::OutOfRange, what));
    }
    Ok(size)
}

/// A defect of ours: the plan needs another type than the description has. A test reads every key, so it should never be seen.
fn mismatch(kind: &Kind) -> Invalid {
    debug_assert!(false, "a plan cannot take its value from {kind:?}");
    Invalid::new(Code::Malformed, "cannot be read by this version")
}

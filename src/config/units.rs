//! Durations, sizes and shares as people write them.

use std::time::Duration;

use super::problem::Code;
use crate::resilience::Ratio;

/// Why a text is not the value it should be. `what` continues a sentence that begins with the key and never repeats the text;
/// `hint` may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The kind of problem.
    pub code: Code,
    /// `has no unit`
    pub what: String,
    /// ``write `30s` ``
    pub hint: Option<String>,
}

impl Invalid {
    /// Without a hint.
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            hint: None,
        }
    }

    /// With a hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// Reads a duration: numbers with the units `h`, `m`, `s`, `ms`, from large to small, each at most once.
///
/// ```
/// use sidefuse::config::units::duration;
/// use std::time::Duration;
///
/// assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
/// assert_eq!(duration("30").unwrap_err().hint.unwrap(), "write `30s`");
/// ```
///
/// # Errors
/// [`Invalid`] when it has no unit, is malformed, or is longer than 292 years.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    const UNITS: [(&str, u64); 4] = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ];
    const EXAMPLES: &str = "durations are written like `500ms`, `30s`, `1m30s` or `2h`";
    let malformed = || Invalid::new(Code::Malformed, "is no duration").hint(EXAMPLES);
    if is_number(text) {
        return Err(Invalid::new(Code::NoUnit, "has no unit").hint(with_unit(text)));
    }
    let mut total: u64 = 0;
    let mut larger = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(malformed)?;
        let length = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let rank = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(malformed)?;
        if larger.is_some_and(|larger| rank <= larger) {
            return Err(malformed());
        }
        let part = scaled(number, UNITS[rank].1).ok_or_else(malformed)?;
        total = total.checked_add(part).ok_or_else(malformed)?;
        (larger, rest) = (Some(rank), after);
    }
    if larger.is_none() {
        return Err(malformed());
    }
    Ok(Duration::from_nanos(total))
}

/// A time without a unit: seconds, unless it is long enough for milliseconds, which is how Node's libraries count.
fn with_unit(number: &str) -> String {
    match number.parse() {
        Ok(millis @ 1_000..) => {
            let time = spell_time(Duration::from_millis(millis));
            format!("write `{time}` for milliseconds, `{number}s` for seconds")
        }
        Ok(_) | Err(_) => format!("write `{number}s`"),
    }
}

/// Reads a size in bytes: a number with `B`, `KB`, `MB`, `GB` (thousands) or `KiB`, `MiB`, `GiB` (1024s).
///
/// ```
/// use sidefuse::config::units::size;
///
/// assert_eq!(size("64KiB"), Ok(65_536));
/// assert_eq!(size("10MB"), Ok(10_000_000));
/// assert_eq!(size("100").unwrap_err().hint.unwrap(), "write `100B`, or a larger unit as in `64KiB`");
/// ```
///
/// # Errors
/// [`Invalid`] when it has no unit, is malformed, or is no whole number of bytes.
pub fn size(text: &str) -> Result<u64, Invalid> {
    const UNITS: [(&str, u64); 7] = [
        ("B", 1),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    if is_number(text) {
        return Err(Invalid::new(Code::NoUnit, "has no unit")
            .hint(format!("write `{text}B`, or a larger unit as in `64KiB`")));
    }
    split_number(text)
        .and_then(|(number, unit)| {
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
            scaled(number, *scale)
        })
        .ok_or_else(|| {
            Invalid::new(Code::Malformed, "is no size")
                .hint("sizes are written like `64KiB` or `10MB`")
        })
}

/// Reads a share of a whole in percent, with at most two decimals.
///
/// ```
/// use sidefuse::config::units::ratio;
///
/// assert_eq!(ratio("25%").unwrap().hundredths(), 2_500);
/// assert_eq!(ratio("0.25").unwrap_err().hint.unwrap(), "write `25%`");
/// ```
///
/// # Errors
/// [`Invalid`] when it has no unit (0 needs none), is malformed, or is above 100 %.
pub fn ratio(text: &str) -> Result<Ratio, Invalid> {
    let malformed = || {
        Invalid::new(Code::Malformed, "is no share").hint("shares are written like `25%` or `0.5%`")
    };
    let number = match text.strip_suffix('%') {
        Some(number) => number,
        None if text == "0" => text,
        None if is_number(text) => {
            let invalid = Invalid::new(Code::NoUnit, "has no unit");
            // One percent, or one as in "all of it"?
            if text == "1" {
                return Err(invalid.hint("write `100%`, or `1%`"));
            }
            return Err(match scaled(text, 10_000) {
                Some(hundredths @ ..=10_000) if text.contains('.') => {
                    let meant = u16::try_from(hundredths)
                        .ok()
                        .and_then(Ratio::from_hundredths)
                        .ok_or_else(malformed)?;
                    invalid.hint(format!("write `{meant}`"))
                }
                Some(_) | None => invalid.hint(format!("write `{text}%`")),
            });
        }
        None => return Err(malformed()),
    };
    if !is_number(number) {
        return Err(malformed());
    }
    let hundredths = scaled(number, 100).ok_or_else(malformed)?;
    u16::try_from(hundredths)
        .ok()
        .and_then(Ratio::from_hundredths)
        .ok_or_else(|| Invalid::new(Code::OutOfRange, "is more than 100%"))
}

/// The shortest spelling of a duration of whole milliseconds.
pub(crate) fn spell_time(time: Duration) -> String {
    const UNITS: [(u128, &str); 3] = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let millis = time.as_millis();
    let unit = UNITS
        .iter()
        .find(|(scale, _)| millis > 0 && millis.is_multiple_of(*scale));
    match unit {
        Some((scale, name)) => format!("{}{name}", millis / scale),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// The shortest spelling of a size.
pub(crate) fn spell_size(size: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS
        .iter()
        .find(|(scale, _)| size > 0 && size.is_multiple_of(*scale));
    match unit {
        Some((scale, name)) => format!("{}{name}", size / scale),
        None => format!("{size}B"),
    }
}

fn is_number(text: &str) -> bool {
    split_number(text).is_some_and(|(_, rest)| rest.is_empty())
}

/// Splits a decimal number (`12`, `1.5`) from what follows it.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    (!whole.is_empty() && !fraction.is_empty() && !fraction.contains('.')).then_some((number, rest))
}

/// The decimal number times `scale`, if that is a whole number that fits.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u128 = whole.parse().ok()?;
    let fraction = fraction.trim_end_matches('0');
    let digits = u32::try_from(fraction.len()).ok()?;
    let tenths = 10_u128.checked_pow(digits)?;
    let part = if fraction.is_empty() {
        0
    } else {
        fraction
            .parse::<u128>()
            .ok()?
            .checked_mul(u128::from(scale))?
    };
    if part % tenths != 0 {
        return None;
    }
    let total = whole
        .checked_mul(u128::from(scale))?
        .checked_add(part / tenths)?;
    i64::try_from(total)
        .ok()
        .and_then(|total| u64::try_from(total).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_from_large_to_small() {
        let good = [
            ("500ms", 500),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("10m", 600_000),
            ("1.5s", 1_500),
            ("0s", 0),
        ];
        for (text, millis) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "ms",
            "30 s",
            "-1s",
            "1s1m",
            "1s1s",
            "1.s",
            ".5s",
            "1..5s",
            "1d",
            "1S",
            "1e3s",
            "99999999999999h",
            "∞s",
            "1s ",
        ] {
            assert_eq!(duration(text).unwrap_err().code, Code::Malformed, "{text}");
        }
        assert_eq!(
            duration("1.5").unwrap_err().hint.as_deref(),
            Some("write `1.5s`")
        );
    }

    #[test]
    fn sizes_are_whole_bytes() {
        assert_eq!(size("1.5KiB"), Ok(1_536));
        assert_eq!(size("0B"), Ok(0));
        for text in ["", "KiB", "1.5B", "10kb", "1 MB", "99999999999GiB"] {
            assert_eq!(size(text).unwrap_err().code, Code::Malformed, "{text}");
        }
    }

    #[test]
    fn shares_are_percent_with_two_decimals_at_most() {
        assert_eq!(ratio("0.05%").map(Ratio::hundredths), Ok(5));
        assert_eq!(ratio("100%"), Ok(Ratio::ONE));
        assert_eq!(ratio("0").map(Ratio::hundredths), Ok(0));
        assert_eq!(
            ratio("25").unwrap_err().hint.as_deref(),
            Some("write `25%`")
        );
        assert_eq!(
            ratio("1").unwrap_err().hint.as_deref(),
            Some("write `100%`, or `1%`")
        );
        assert_eq!(ratio("100.01%").unwrap_err().code, Code::OutOfRange);
        for text in ["", "%", "0.001%", "-1%", "50 %", "half"] {
            assert_eq!(ratio(text).unwrap_err().code, Code::Malformed, "{text}");
        }
    }
}

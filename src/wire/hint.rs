//! How long an upstream wishes to be left alone.
//!
//! Four fields are in use for it, and any of them may be malformed: what cannot be understood is ignored, what is too long is
//! cut, and nothing panics. The first valid one counts, in the order of [`PauseHints`].

use std::time::{Duration, SystemTime};

/// The longest pause that is passed on; the throttle that obeys it has a shorter limit of its own.
pub const MOST: Duration = Duration::from_secs(24 * 3600);

/// From here on `X-RateLimit-Reset` is no number of seconds from now (31 years) but a time: Unix seconds.
const UNIX_SECONDS: u64 = 1_000_000_000;
/// From here on it is Unix milliseconds, which some APIs send; as seconds this would be the year 5138.
const UNIX_MILLIS: u64 = 100_000_000_000;

/// The fields of one answer that may say how long to wait, as they came.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use sidefuse::wire::PauseHints;
///
/// let hints = PauseHints { retry_after: Some(b"30"), ..PauseHints::default() };
/// assert_eq!(hints.pause(SystemTime::UNIX_EPOCH), Some(Duration::from_secs(30)));
/// let hints = PauseHints { retry_after: Some(b"-1"), ..PauseHints::default() };
/// assert_eq!(hints.pause(SystemTime::UNIX_EPOCH), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseHints<'a> {
    /// `Retry-After`: seconds or a date (RFC 9110 §10.2.3).
    pub retry_after: Option<&'a [u8]>,
    /// `RateLimit-Reset`: seconds (draft-ietf-httpapi-ratelimit-headers, up to version 6).
    pub rate_limit_reset: Option<&'a [u8]>,
    /// `RateLimit`: items with `t=` seconds (the same draft, later versions).
    pub rate_limit: Option<&'a [u8]>,
    /// `X-RateLimit-Reset`: seconds from now, Unix seconds or Unix milliseconds, by its magnitude.
    pub x_rate_limit_reset: Option<&'a [u8]>,
    /// `Date`: the upstream's clock, so that its difference from ours does not matter.
    pub date: Option<&'a [u8]>,
}

impl PauseHints<'_> {
    /// The pause that is asked for, if any; `wall` is our own clock, for answers without a `Date`. At most [`MOST`].
    ///
    /// A time that has passed gives `None`: the upstream did ask for a pause, so its clock or ours is wrong.
    #[must_use]
    pub fn pause(&self, wall: SystemTime) -> Option<Duration> {
        let now = self.date.and_then(date).unwrap_or(wall);
        let until = |at: SystemTime| at.duration_since(now).ok().filter(|wait| !wait.is_zero());
        let retry_after = |text| seconds(text).or_else(|| date(text).and_then(until));
        let wish = self
            .retry_after
            .and_then(retry_after)
            .or_else(|| self.rate_limit_reset.and_then(seconds))
            .or_else(|| self.rate_limit.and_then(items))
            .or_else(|| match self.x_rate_limit_reset.and_then(seconds)? {
                delta if delta.as_secs() < UNIX_SECONDS => Some(delta),
                unix if unix.as_secs() < UNIX_MILLIS => {
                    SystemTime::UNIX_EPOCH.checked_add(unix).and_then(until)
                }
                unix => SystemTime::UNIX_EPOCH
                    .checked_add(unix / 1_000)
                    .and_then(until),
            });
        wish.map(|wish| wish.min(MOST))
    }
}

/// Reads digits with an optional fraction (`0.65` is in use, whatever RFC 9110 says); more than a `u64` holds gives its largest
/// value.
fn seconds(text: &[u8]) -> Option<Duration> {
    let text = text.trim_ascii();
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(point) => (&text[..point], Some(&text[point + 1..])),
        None => (text, None),
    };
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if !is_number(whole) || fraction.is_some_and(|fraction| !is_number(fraction)) {
        return None;
    }
    let digit = |byte: &u8| u64::from(byte - b'0');
    let whole = whole.iter().fold(0_u64, |number, byte| {
        number.saturating_mul(10).saturating_add(digit(byte))
    });
    let nanos = match fraction {
        None => 0,
        Some(fraction) => {
            let padded = fraction.iter().chain(&[b'0'; 9]).take(9);
            let nanos = padded.fold(0, |number, byte| number * 10 + digit(byte));
            // Rounded up: too late is better than too early.
            nanos + u64::from(fraction.iter().skip(9).any(|byte| *byte != b'0'))
        }
    };
    Some(Duration::from_secs(whole).saturating_add(Duration::from_nanos(nanos)))
}

fn date(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(text).ok()?.trim()).ok()
}

/// The longest `t=` (or, of older drafts, `reset=`) of the items that have nothing left, or of all when none says so.
fn items(text: &[u8]) -> Option<Duration> {
    let mut longest: [Option<Duration>; 2] = [None, None];
    for item in text.split(|byte| *byte == b',') {
        let (mut wait, mut is_used_up) = (None, false);
        for parameter in item.split(|byte| *byte == b';') {
            let parameter = parameter.trim_ascii();
            if let Some(value) = [&b"t="[..], b"reset="]
                .iter()
                .find_map(|name| parameter.strip_prefix(*name))
            {
                wait = seconds(value);
            }
            is_used_up |= matches!(parameter, b"r=0" | b"remaining=0");
        }
        let place = &mut longest[usize::from(!is_used_up)];
        *place = (*place).max(wait);
    }
    longest.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-24 06:00:00 UTC.
    const NOW: Duration = Duration::from_secs(1_795_500_000);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + NOW
    }

    fn retry_after(text: &str) -> Option<Duration> {
        let hints = PauseHints {
            retry_after: Some(text.as_bytes()),
            ..PauseHints::default()
        };
        hints.pause(now())
    }

    fn x_rate_limit_reset(text: &str) -> Option<Duration> {
        let hints = PauseHints {
            x_rate_limit_reset: Some(text.as_bytes()),
            ..PauseHints::default()
        };
        hints.pause(now())
    }

    const fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn http_date(seconds_from_now: i64) -> String {
        let at = NOW.as_secs().checked_add_signed(seconds_from_now).unwrap();
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("30"), secs(30));
        assert_eq!(retry_after(" 30 "), secs(30));
        assert_eq!(retry_after("0"), secs(0));
        assert_eq!(retry_after("0.65"), Some(Duration::from_millis(650)));
        assert_eq!(retry_after(&http_date(90)), secs(90));
    }

    #[test]
    fn what_is_absurd_is_cut_or_ignored_and_never_a_panic_case_126() {
        let day = Some(MOST);
        for (text, wish) in [
            ("-1", None),
            ("+1", None),
            ("1e9", None),
            ("0x10", None),
            ("", None),
            (" ", None),
            (".", None),
            ("1.", None),
            (".5", None),
            ("1.5.5", None),
            ("30s", None),
            ("30, 40", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("\u{663}", None),
            ("Tue, 99 Nov 2026 99:99:99 GMT", None),
            ("99999999999", day),
            ("99999999999999999999999999999999", day),
            ("18446744073709551615.999999999", day),
            ("18446744073709551615.9999999999", day),
        ] {
            assert_eq!(retry_after(text), wish, "{text}");
        }
        assert_eq!(retry_after(&http_date(-1)), None, "a past date");
        assert_eq!(retry_after(&http_date(0)), None);
        assert_eq!(retry_after(&http_date(10_000_000)), day);
        let not_utf8 = PauseHints {
            retry_after: Some(b"\xff\xfe"),
            ..PauseHints::default()
        };
        assert_eq!(not_utf8.pause(now()), None);
    }

    #[test]
    fn a_date_is_reckoned_by_the_upstreams_own_clock() {
        let (date, hour_ahead) = (http_date(3_600), http_date(3_630));
        let hints = PauseHints {
            retry_after: Some(hour_ahead.as_bytes()),
            date: Some(date.as_bytes()),
            ..PauseHints::default()
        };
        assert_eq!(hints.pause(now()), secs(30));
        let without = PauseHints {
            date: Some(b"yesterday"),
            ..hints
        };
        assert_eq!(without.pause(now()), secs(3_630));
    }

    #[test]
    fn x_rate_limit_reset_is_a_delta_or_a_time_by_its_magnitude() {
        let unix = |seconds: u64| (NOW.as_secs() + seconds).to_string();
        assert_eq!(x_rate_limit_reset("60"), secs(60));
        assert_eq!(x_rate_limit_reset(&unix(60)), secs(60));
        assert_eq!(x_rate_limit_reset(&format!("{}000", unix(60))), secs(60));
        assert_eq!(
            x_rate_limit_reset(&format!("{}.5", unix(60))),
            Some(Duration::from_millis(60_500))
        );
        assert_eq!(x_rate_limit_reset("1000000000"), None, "the year 2001");
        assert_eq!(x_rate_limit_reset("999999999"), Some(MOST));
        assert_eq!(x_rate_limit_reset(&"9".repeat(40)), Some(MOST));
    }

    #[test]
    fn rate_limit_items_tell_the_longest_of_those_used_up() {
        let wish = |text: &str| {
            let hints = PauseHints {
                rate_limit: Some(text.as_bytes()),
                ..PauseHints::default()
            };
            hints.pause(now())
        };
        assert_eq!(wish("\"default\";r=0;t=30"), secs(30));
        assert_eq!(
            wish("\"burst\";r=5;t=900, \"hour\";r=0;t=40, \"day\"; r=0; t=50"),
            secs(50)
        );
        assert_eq!(wish("\"a\";r=1;t=7,\"b\";r=2;t=8"), secs(8));
        assert_eq!(wish("limit=10, remaining=0, reset=20"), secs(20));
        for nothing in ["", ";;;,,,", "\"a\";r=0", "t=", "\"a\";r=0;t=soon", "t"] {
            assert_eq!(wish(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_first_field_that_says_something_counts() {
        let hints = PauseHints {
            retry_after: Some(b"1"),
            rate_limit_reset: Some(b"2"),
            rate_limit: Some(b"\"a\";t=3"),
            x_rate_limit_reset: Some(b"4"),
            date: None,
        };
        assert_eq!(hints.pause(now()), secs(1));
        let hints = PauseHints {
            retry_after: Some(b"never"),
            ..hints
        };
        assert_eq!(hints.pause(now()), secs(2));
        let hints = PauseHints {
            rate_limit_reset: None,
            ..hints
        };
        assert_eq!(hints.pause(now()), secs(3));
        let hints = PauseHints {
            rate_limit: Some(b"?"),
            ..hints
        };
        assert_eq!(hints.pause(now()), secs(4));
        assert_eq!(PauseHints::default().pause(now()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_more_than_a_day_or_a_panic(
            texts in proptest::array::uniform5(proptest::option::of(
                proptest::collection::vec(
                    prop_oneof![any::<u8>(), b'0'..=b'9', Just(b'.'), Just(b';'), Just(b'='), Just(b't')],
                    0..40,
                )
            )),
            clock in 0_u64..1_u64 << 40,
        ) {
            let [a, b, c, d, e] = &texts;
            let hints = PauseHints {
                retry_after: a.as_deref(),
                rate_limit_reset: b.as_deref(),
                rate_limit: c.as_deref(),
                x_rate_limit_reset: d.as_deref(),
                date: e.as_deref(),
            };
            let wish = hints.pause(SystemTime::UNIX_EPOCH + Duration::from_secs(clock));
            prop_assert!(wish.is_none_or(|wish| wish <= MOST));
        }
    }
}

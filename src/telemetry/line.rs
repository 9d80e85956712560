//! The parts that every log line has, access line or life-cycle event: severity, shape, time, service and environment.

use std::time::SystemTime;

use super::escape::{self, Place};

/// How severe a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Everything.
    Trace,
    /// Details for a developer.
    Debug,
    /// Life cycle and access lines.
    Info,
    /// Refusals and degraded service.
    Warn,
    /// Failures.
    Error,
}

impl Level {
    /// The word of the `level` key.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The word of a line for people, five columns wide.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO ",
            Self::Warn => "WARN ",
            Self::Error => "ERROR",
        }
    }

    /// The colour of that word.
    pub(super) const fn colour(self) -> &'static str {
        match self {
            Self::Trace | Self::Debug => "\x1b[2m",
            Self::Info => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Error => "\x1b[31m",
        }
    }
}

/// The shape of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object per line.
    Json,
    /// For people at a terminal.
    Pretty {
        /// With ANSI colours.
        color: bool,
    },
}

/// Service and environment: escaped once, then copied into every line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `"env":"…","service":"…"`.
    json: Box<[u8]>,
}

impl Stamp {
    /// The stamp of that service in that environment.
    #[must_use]
    pub fn new(service: &str, env: &str) -> Self {
        let mut json = Vec::new();
        for (key, value) in [("\"env\":\"", env), ("\",\"service\":\"", service)] {
            json.extend_from_slice(key.as_bytes());
            escape::push(&mut json, value.as_bytes(), Place::Json, 256);
        }
        json.push(b'"');
        Self { json: json.into() }
    }

    pub(super) fn json(&self) -> &[u8] {
        &self.json
    }
}

/// Writes points in time as `2025-10-16T15:00:00.000Z`. Everything but the milliseconds is computed once per second.
#[derive(Debug)]
pub(super) struct TimeText {
    second: u64,
    text: [u8; 24],
}

impl TimeText {
    pub(super) const fn new() -> Self {
        Self {
            second: 0,
            text: *b"1970-01-01T00:00:00.000Z",
        }
    }

    /// The text of that moment. Moments before 1970 are shown as its begin.
    pub(super) fn at(&mut self, time: SystemTime) -> &[u8; 24] {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        if since.as_secs() != self.second {
            self.second = since.as_secs();
            self.renew();
        }
        put_digits(&mut self.text, 20, 3, u64::from(since.subsec_millis()));
        &self.text
    }

    fn renew(&mut self) {
        let (days, second_of_day) = (self.second / 86_400, self.second % 86_400);
        let (year, month, day) = civil(days);
        put_digits(&mut self.text, 0, 4, year);
        put_digits(&mut self.text, 5, 2, month);
        put_digits(&mut self.text, 8, 2, day);
        put_digits(&mut self.text, 11, 2, second_of_day / 3_600);
        put_digits(&mut self.text, 14, 2, second_of_day / 60 % 60);
        put_digits(&mut self.text, 17, 2, second_of_day % 60);
    }
}

/// Overwrites `width` bytes from `at` on with the last digits of `number`.
fn put_digits(text: &mut [u8], at: usize, width: usize, mut number: u64) {
    for place in text.iter_mut().skip(at).take(width).rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let january_or_february = (month <= 2) as u64;
    (year_of_era + era * 400 + january_or_february, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn text_at(texts: &mut TimeText, millis: u64) -> String {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        String::from_utf8(texts.at(time).to_vec()).unwrap()
    }

    #[test]
    fn times_are_written_as_rfc_3339_with_milliseconds() {
        let mut texts = TimeText::new();
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_760_626_800_000, "2025-10-16T15:00:00.000Z"),
            (1_760_626_800_007, "2025-10-16T15:00:00.007Z"),
            (951_827_199_999, "2000-02-29T12:26:39.999Z"),
            (1_709_251_199_000, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(text_at(&mut texts, millis), expected);
        }
    }

    #[test]
    fn every_day_of_four_centuries_agrees_with_an_independent_calendar() {
        let mut texts = TimeText::new();
        for day in 0..146_097 {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + 45_296);
            let expected = humantime::format_rfc3339_millis(time).to_string();
            assert_eq!(texts.at(time), expected.as_bytes());
        }
    }

    #[test]
    fn a_stamp_is_escaped_once_and_for_all() {
        assert_eq!(
            Stamp::new("a\"b", "c\n").json(),
            br#""env":"c\u000a","service":"a\"b""#
        );
    }
}

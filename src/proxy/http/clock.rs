//! Times as callers are told them.

use std::time::SystemTime;

/// The time of day in UTC, to the second; with its date where that is not today's.
pub(super) fn clock(then: SystemTime, today: SystemTime) -> String {
    let mut stamp = humantime::format_rfc3339_seconds(then).to_string();
    // 2026-12-01T06:00:00Z
    stamp.truncate("2026-12-01T06:00:00".len());
    if day(then) == day(today) {
        stamp.drain(.."2026-12-01T".len());
        stamp
    } else {
        stamp.replace('T', " ")
    }
}

/// Days since 1970.
fn day(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / (24 * 3600))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_that_is_not_today_is_told_with_its_date() {
        let today = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_091_249);
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(clock(today, today), "02:14:09");
        for (then, told) in [
            (today + day, "2026-12-02 02:14:09"),
            (today + 30 * day, "2026-12-31 02:14:09"),
        ] {
            assert_eq!(clock(then, today), told);
        }
    }
}

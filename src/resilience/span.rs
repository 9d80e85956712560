//! Times in plain words.

use std::time::Duration;

/// A time in at most two units, rounded up so that no caller comes back too early.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let seconds = if seconds < 3600 {
        seconds
    } else {
        seconds.div_ceil(60) * 60
    };
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_at_most_two_units_rounded_up() {
        let told = [
            (1, "1 s"),
            (59_001, "1 min"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (3_660_001, "1 h 2 min"),
        ];
        for (millis, words) in told {
            assert_eq!(span(Duration::from_millis(millis)), words);
        }
    }
}

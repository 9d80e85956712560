//! How long a caller will wait, as it says in a field of its request.
//!
//! Two notations are in use. A malformed value is ignored: a deadline of our own invention would cut calls without reason.

use std::time::Duration;

/// The most digits of either notation (gRPC over HTTP/2, "Requests": at most 8).
const DIGITS: usize = 8;
const MOST: u64 = 99_999_999;

/// The units of `grpc-timeout` in nanoseconds, from fine to coarse.
const GRPC: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Reads a `grpc-timeout`: up to 8 digits and one of the units `H M S m u n`.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::wire::grpc_timeout;
///
/// assert_eq!(grpc_timeout(b"1500m"), Some(Duration::from_millis(1500)));
/// assert_eq!(grpc_timeout(b"2M"), Some(Duration::from_secs(120)));
/// assert_eq!(grpc_timeout(b"2s"), None);
/// ```
#[must_use]
pub fn grpc_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    let (_, nanos) = GRPC.iter().find(|(name, _)| name == unit)?;
    scaled(digits, *nanos)
}

/// Reads an `X-Request-Timeout`: up to 8 digits and one of the units `ms s m h`.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::wire::request_timeout;
///
/// assert_eq!(request_timeout(b"2s"), Some(Duration::from_secs(2)));
/// assert_eq!(request_timeout(b"1500ms"), Some(Duration::from_millis(1500)));
/// assert_eq!(request_timeout(b"1500"), None);
/// ```
#[must_use]
pub fn request_timeout(text: &[u8]) -> Option<Duration> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(length);
    let nanos = match unit {
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    };
    scaled(digits, nanos)
}

/// Writes a `grpc-timeout` in the finest unit that its 8 digits can hold, cut and never rounded up; at least `1n`, since it must be
/// positive.
///
/// ```
/// use std::time::Duration;
/// use sidefuse::wire::write_grpc_timeout;
///
/// assert_eq!(write_grpc_timeout(Duration::from_millis(1500)), "1500000u");
/// assert_eq!(write_grpc_timeout(Duration::from_secs(3600)), "3600000m");
/// ```
#[must_use]
pub fn write_grpc_timeout(left: Duration) -> String {
    let left = left.max(Duration::from_nanos(1));
    let written = GRPC.iter().find_map(|(unit, nanos)| {
        let count = u64::try_from(left.as_nanos() / u128::from(*nanos)).ok()?;
        (count <= MOST).then(|| format!("{count}{}", char::from(*unit)))
    });
    written.unwrap_or_else(|| format!("{MOST}H"))
}

/// Writes an `X-Request-Timeout` in milliseconds, cut and never rounded up; in seconds if that is too long. At least `1ms`:
/// many readers take 0 for no limit.
#[must_use]
pub fn write_request_timeout(left: Duration) -> String {
    match left.as_millis().max(1) {
        millis if millis <= u128::from(MOST) => format!("{millis}ms"),
        _ => format!("{}s", left.as_secs().min(MOST)),
    }
}

fn scaled(digits: &[u8], nanos: u64) -> Option<Duration> {
    if digits.is_empty() || digits.len() > DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    // 8 digits of hours are more nanoseconds than a `u64` holds.
    Some(Duration::from_nanos(nanos).saturating_mul(u32::try_from(number).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_of_grpc_is_read() {
        let read = ["1H", "1M", "1S", "1m", "1u", "1n"].map(|text| grpc_timeout(text.as_bytes()));
        let nanos = [
            3_600_000_000_000,
            60_000_000_000,
            1_000_000_000,
            1_000_000,
            1_000,
            1,
        ];
        assert_eq!(read, nanos.map(|nanos| Some(Duration::from_nanos(nanos))));
        let longest = Duration::from_secs(3_600 * MOST);
        assert_eq!(grpc_timeout(b"99999999H"), Some(longest));
        assert_eq!(grpc_timeout(b"0n"), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for text in [
            "",
            "S",
            "1",
            "123456789S",
            "1s",
            "1 S",
            "+1S",
            "-1S",
            "1.5S",
            "1SS",
            "0x1S",
            "１S",
        ] {
            assert_eq!(grpc_timeout(text.as_bytes()), None, "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "123456789s",
            "1S",
            "1 s",
            "+1s",
            "-1s",
            "1.5s",
            "1ss",
            "1m30s",
            "1us",
        ] {
            assert_eq!(request_timeout(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_most_that_a_unit_cuts_is_one_part_in_100_000() {
        let left = Duration::from_nanos(100_000_999_999_999);
        assert_eq!(write_grpc_timeout(left), "100000S");
    }

    #[test]
    fn a_deadline_that_is_over_is_told_as_the_shortest_there_is() {
        assert_eq!(write_grpc_timeout(Duration::ZERO), "1n");
        assert_eq!(write_request_timeout(Duration::from_micros(900)), "1ms");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_what_it_was_and_never_as_more(nanos: u64) {
            let left = Duration::from_nanos(nanos);
            let grpc = grpc_timeout(write_grpc_timeout(left).as_bytes()).unwrap();
            // The next finer unit is a thousandth and needed a ninth digit, so this one counts 100 000 at least.
            let left = left.max(Duration::from_nanos(1));
            prop_assert!(grpc <= left && left - grpc <= left / 100_000, "{left:?} {grpc:?}");
            let plain = request_timeout(write_request_timeout(left).as_bytes()).unwrap();
            let cut = if left < Duration::from_secs(99_999) { Duration::from_millis(1) } else { Duration::from_secs(1) };
            prop_assert!(plain <= left.max(Duration::from_millis(1)), "{left:?} {plain:?}");
            if left < Duration::from_secs(MOST) && left > Duration::from_millis(1) {
                prop_assert!(left - plain < cut, "{left:?} {plain:?}");
            }
        }

        #[test]
        fn no_text_is_a_panic(text: Vec<u8>) {
            let _ = (grpc_timeout(&text), request_timeout(&text));
        }
    }
}

//! Fields that are removed from a message before the next hop.

/// Those of one hop (RFC 9110 §7.6.1), whichever way it goes.
pub const HOP_BY_HOP: [&str; 6] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Fields that only the hop next to a caller may set.
pub const OF_THE_CALLER: [&str; 5] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-attempt",
];

/// Both lists, the first before the second, as a constant. `ALL` is the length of both.
#[must_use]
pub const fn joined<const A: usize, const B: usize, const ALL: usize>(
    one: [&'static str; A],
    other: [&'static str; B],
) -> [&'static str; ALL] {
    assert!(A + B == ALL, "the length of both");
    let mut all = [""; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < A { one[at] } else { other[at - A] };
        at += 1;
    }
    all
}

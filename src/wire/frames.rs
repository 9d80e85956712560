//! What the frames of an HTTP/2 peer cost, and whether that is in proportion (RFC 9113 §10.5).
//!
//! A frame that brings neither data nor a message is work without use, and the HTTP library does it for as long as the frames come.
//! So each costs credit, which time gives back, and so do the bytes that are written to the peer: who is answered may update windows.

use std::time::{Duration, Instant};

/// What a frame costs: less than half of the smallest frame, so that one with data which is written pays for the updates of both windows.
const FRAME: u64 = 4;

/// What a frame costs that the library answers: more than the 17 bytes of the answer to a PING, or the answers would pay for it.
const ANSWERED: u64 = 20;

/// The most credit that a connection can have: some ten thousand frames at once are a few milliseconds of work.
const MOST: u64 = 10_000 * FRAME;

/// The credit that a second gives: a thousand frames.
const PER_SECOND: u64 = 1_000 * FRAME;

/// The length of a frame's head, and of what is read of a GOAWAY besides.
const HEAD: usize = 9;
const GOAWAY: usize = HEAD + 8;

const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const LEAVE: u8 = 7;
const END_STREAM: u8 = 1;

/// Reads the frames of one direction of an HTTP/2 connection, in pieces of any size.
#[derive(Debug)]
pub struct Frames {
    /// What is read of the head under way, with the begin of its payload where that matters.
    begun: [u8; GOAWAY],
    length: usize,
    /// Bytes to come that are of no interest.
    skip: usize,
    credit: u64,
    since: Instant,
    has_given_up: bool,
}

impl Frames {
    /// Of a connection that begins at `now`; its first `preface` bytes are no frames.
    #[must_use]
    pub fn new(preface: usize, now: Instant) -> Self {
        Self {
            begun: [0; GOAWAY],
            length: 0,
            skip: preface,
            credit: MOST,
            since: now,
            has_given_up: false,
        }
    }

    /// Reads what the peer sent. False if its frames are out of proportion at `now`; the clock is read only where that is in doubt.
    #[must_use]
    pub fn read(&mut self, mut bytes: &[u8], now: impl FnOnce() -> Instant) -> bool {
        let mut cost = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let count = self.skip.min(bytes.len());
                self.skip -= count;
                bytes = &bytes[count..];
                continue;
            }
            let wanted = self.wanted();
            let count = (wanted - self.length).min(bytes.len());
            self.begun[self.length..self.length + count].copy_from_slice(&bytes[..count]);
            self.length += count;
            bytes = &bytes[count..];
            if self.length == HEAD && self.wanted() == HEAD || self.length == GOAWAY {
                cost += self.take();
            }
        }
        if cost > self.credit {
            let now = now();
            let spent = now.saturating_duration_since(self.since);
            self.since = now;
            self.gain(given(spent));
        }
        let is_paid = cost <= self.credit;
        self.credit = self.credit.saturating_sub(cost);
        is_paid
    }

    /// Notes how many bytes were written to the peer.
    pub fn wrote(&mut self, count: usize) {
        self.gain(count as u64);
    }

    /// Whether the peer has said GOAWAY with an error: it gives the connection up, and not because it ends.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    fn gain(&mut self, credit: u64) {
        self.credit = self.credit.saturating_add(credit).min(MOST);
    }

    /// How much of the frame under way is looked at.
    fn wanted(&self) -> usize {
        if self.length >= HEAD && self.begun[3] == LEAVE && self.payload() >= GOAWAY - HEAD {
            GOAWAY
        } else {
            HEAD
        }
    }

    fn payload(&self) -> usize {
        usize::from(self.begun[0]) << 16
            | usize::from(self.begun[1]) << 8
            | usize::from(self.begun[2])
    }

    /// Ends the look at a frame; what it costs.
    fn take(&mut self) -> u64 {
        let payload = self.payload();
        self.skip = payload - (self.length - HEAD);
        let (kind, flags) = (self.begun[3], self.begun[4]);
        if self.length == GOAWAY && self.begun[13..GOAWAY] != [0; 4] {
            self.has_given_up = true;
        }
        self.length = 0;
        match kind {
            DATA if payload > 0 || flags & END_STREAM != 0 => 0,
            PING | SETTINGS => ANSWERED,
            _ => FRAME,
        }
    }
}

/// The credit that a time gives.
fn given(time: Duration) -> u64 {
    let credit = time.as_millis().saturating_mul(u128::from(PER_SECOND)) / 1000;
    u64::try_from(credit).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// How many of these come before they are too many.
    fn taken(frame: &[u8], written_for_each: usize) -> Option<usize> {
        let start = now();
        let mut frames = Frames::new(0, start);
        (0..100_000).find(|_| {
            frames.wrote(written_for_each);
            !frames.read(frame, || start)
        })
    }

    #[test]
    fn case_64_frames_without_use_are_taken_by_the_thousand_and_not_for_ever() {
        for (kind, flags, payload, most) in [
            (DATA, 0, &[][..], 10_000),
            (2, 0, &[0; 5], 10_000),
            (8, 0, &[0; 4], 10_000),
            (99, 0, &[0; 10], 10_000),
            (1, 4, &[0; 5], 10_000),
            (SETTINGS, 0, &[], 2_000),
            (PING, 0, &[0; 8], 2_000),
            (PING, 1, &[0; 8], 2_000),
        ] {
            assert_eq!(taken(&frame(kind, flags, payload), 0), Some(most), "{kind}");
        }
    }

    #[test]
    fn the_answers_to_a_flood_do_not_pay_for_it() {
        assert!(taken(&frame(PING, 0, &[0; 8]), 17).is_some());
        assert!(taken(&frame(SETTINGS, 0, &[]), 9).is_some());
    }

    #[test]
    fn who_sends_data_or_is_sent_some_may_go_on() {
        assert_eq!(taken(&frame(DATA, 0, b"x"), 0), None);
        assert_eq!(taken(&frame(DATA, END_STREAM, b""), 0), None);
        let updates = [frame(8, 0, &[0; 4]), frame(8, 0, &[0; 4])].concat();
        assert_eq!(taken(&updates, HEAD + 1), None);
        assert_eq!(taken(&frame(1, 5, &[0; 40]), HEAD + 20), None);
    }

    #[test]
    fn time_gives_credit_back() {
        let start = now();
        let mut frames = Frames::new(0, start);
        let update = frame(8, 0, &[0; 4]);
        for second in 1..1_000 {
            for _ in 0..1_000 {
                assert!(frames.read(&update, || start + Duration::from_secs(second)));
            }
        }
    }

    #[test]
    fn a_goaway_with_an_error_is_seen_wherever_it_is_cut() {
        let no_error = frame(LEAVE, 0, &[0; 8]);
        let error = frame(LEAVE, 0, &[0, 0, 0, 1, 0, 0, 0, 11, b'w', b'h', b'y']);
        let around = frame(DATA, 0, &[7; 300]);
        for (goaway, is_error) in [(no_error, false), (error, true)] {
            let bytes = [b"PREFACE", &around[..], &goaway, &around].concat();
            for at in 0..bytes.len() {
                let mut frames = Frames::new(7, now());
                assert!(frames.read(&bytes[..at], now));
                assert!(frames.read(&bytes[at..], now));
                assert_eq!(frames.has_given_up(), is_error, "{at}");
                assert_eq!((frames.length, frames.skip), (0, 0), "{at}");
            }
        }
    }
}

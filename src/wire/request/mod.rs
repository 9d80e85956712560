//! The requests of an HTTP/1 connection, followed from byte to byte: where each begins and ends, and what is wrong with its framing.
//!
//! A parser may be less strict than RFC 9112 allows: it may silently accept two `Host` fields, a length beside a transfer
//! coding or a bare LF, and then the next hop may read another request than we did. [`Requests`] runs before the parser. It
//! keeps none of the bytes, gives the same verdict however they are split, and skips a body of known length.
//!
//! What every parser refuses (a name that is no token, a control character in a value) is left to the parser: that ends the
//! connection, so where the next request would begin does not matter.

mod chunks;
mod decoded;
mod flaw;
mod head;
mod name;
mod value;

#[cfg(test)]
mod tests;

use chunks::Chunks;
pub use decoded::{Decoded, flaw_of_target};
pub use flaw::Flaw;
use head::Head;
use memchr::memchr;

/// The requests of one connection.
///
/// ```
/// use sidefuse::wire::{Flaw, Reading, Requests};
///
/// let mut requests = Requests::default();
/// assert_eq!(requests.read(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HT"), Reading::Clear);
/// assert_eq!(requests.read(b"TP/1.1\r\n\r\n"), Reading::Refused { at: 9, flaw: Flaw::NoHost });
/// ```
#[derive(Debug, Default)]
pub struct Requests {
    place: Place,
    head: Head,
    heads: u64,
}

/// What is known of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All may be read.
    Clear,
    /// Those before `at` may be read, and nothing after them.
    Refused {
        /// The place of the first byte that must not be read.
        at: usize,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Those before `at` may be read. What the others are depends on the answer to the request before them, which may switch protocols.
    Open {
        /// The place of the first byte after that request.
        at: usize,
    },
}

/// A part of a request is over after so many bytes; `None` when they all belong to it.
type Over = Result<Option<usize>, Wrong>;

/// The place of a byte, and what is wrong with it.
type Wrong = (usize, Flaw);

#[derive(Debug, Default)]
enum Place {
    #[default]
    Head,
    /// Within a body, so many bytes before its end.
    Length(u64),
    Chunks(Chunks),
    /// Behind a request that may switch protocols.
    Open,
}

impl Requests {
    /// Follows the bytes that come next. After anything but [`Reading::Clear`] it is to be asked no more, until [`Requests::go_on`] where
    /// the answer is still open.
    pub fn read(&mut self, bytes: &[u8]) -> Reading {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let over = match &mut self.place {
                Place::Head => self.head.read(rest),
                Place::Length(left) => Ok(pass(left, rest.len())),
                Place::Chunks(chunks) => chunks.read(rest),
                Place::Open => return Reading::Open { at },
            };
            match over {
                Ok(None) => return Reading::Clear,
                Ok(Some(count)) => at += count,
                Err((place, flaw)) => {
                    return Reading::Refused {
                        at: at + place,
                        flaw,
                    };
                }
            }
            self.turn();
        }
        Reading::Clear
    }

    /// The request that could have switched protocols has not: what follows is another.
    pub fn go_on(&mut self) {
        self.place = Place::Head;
    }

    /// Whether what comes next depends on the answer to the last request.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.place, Place::Open)
    }

    /// How many heads were read to their end.
    #[must_use]
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether a head has begun and is not over.
    #[must_use]
    pub fn is_within_head(&self) -> bool {
        matches!(self.place, Place::Head) && self.head.has_begun()
    }

    /// Whether all requests so far are whole, and no other has begun.
    #[cfg(test)]
    pub(crate) fn is_between(&self) -> bool {
        match self.place {
            Place::Head => !self.head.has_begun(),
            Place::Length(_) | Place::Chunks(_) => false,
            Place::Open => true,
        }
    }

    /// A part is over: finds what comes after it.
    fn turn(&mut self) {
        if matches!(self.place, Place::Head) {
            self.heads += 1;
            if self.head.is_chunked() {
                self.place = Place::Chunks(Chunks::default());
                return;
            }
            if self.head.length() > 0 {
                self.place = Place::Length(self.head.length());
                return;
            }
        }
        let head = std::mem::take(&mut self.head);
        self.place = if head.may_switch() {
            Place::Open
        } else {
            Place::Head
        };
    }
}

/// Passes a line that nobody looks at, up to its LF; `is_after_cr` says whether the byte before is a CR.
fn pass_line(bytes: &[u8], is_after_cr: &mut bool) -> Over {
    let Some(end) = memchr(b'\n', bytes) else {
        *is_after_cr = bytes.ends_with(b"\r");
        return Ok(None);
    };
    let cr = end.checked_sub(1).map(|before| bytes[before] == b'\r');
    if cr.unwrap_or(*is_after_cr) {
        Ok(Some(end + 1))
    } else {
        Err((end, Flaw::BareLf))
    }
}

/// What is wrong with a part that begins at `at`, by its place in the whole.
fn within(at: usize, (place, flaw): Wrong) -> Wrong {
    (at + place, flaw)
}

/// Goes on by `count` bytes where `left` are left; tells how many of them those were if that is the end.
fn pass(left: &mut u64, count: usize) -> Option<usize> {
    match usize::try_from(*left) {
        Ok(rest) if rest <= count => {
            *left = 0;
            Some(rest)
        }
        Ok(_) | Err(_) => {
            *left -= count as u64;
            None
        }
    }
}

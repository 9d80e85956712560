//! What must hold of any bytes that a caller sends over HTTP/1. The fuzzer asks it of new ones, an ordinary test of those it has kept.

use httparse::{EMPTY_HEADER, Request, Status};
use sidefuse::wire::{Reading, Requests};

/// Holds the bytes to all claims; panics with the one that is broken.
pub(crate) fn hold(bytes: &[u8]) {
    let whole = read(&[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(
        read(&single),
        whole,
        "the verdict on single bytes is another"
    );
    let at = usize::from(bytes.first().copied().unwrap_or_default()) % (bytes.len() + 1);
    let (start, end) = bytes.split_at(at);
    assert_eq!(
        read(&[start, end]),
        whole,
        "the verdict after a cut at {at} is another"
    );
    if let Some(length) = first_head(bytes) {
        let mut fields = [EMPTY_HEADER; 256];
        match Request::new(&mut fields).parse(bytes) {
            Ok(Status::Complete(theirs)) => {
                assert_eq!(length, theirs, "the parser ends the head elsewhere")
            }
            Ok(Status::Partial) => panic!("the parser waits for more of a head of {length} bytes"),
            // Refused by the parser, which ends the connection.
            Err(_) => {}
        }
    }
}

/// The verdict, with its place among all bytes.
fn read(pieces: &[&[u8]]) -> Reading {
    let mut requests = Requests::default();
    let mut before = 0;
    for piece in pieces {
        match requests.read(piece) {
            Reading::Clear => before += piece.len(),
            Reading::Refused { at, flaw } => {
                return Reading::Refused {
                    at: before + at,
                    flaw,
                };
            }
            Reading::Open { at } => return Reading::Open { at: before + at },
        }
    }
    Reading::Clear
}

/// How long the first head is, if it is whole and accepted.
fn first_head(bytes: &[u8]) -> Option<usize> {
    let mut requests = Requests::default();
    for (at, byte) in bytes.chunks(1).enumerate() {
        if requests.read(byte) != Reading::Clear {
            return None;
        }
        if requests.heads() == 1 {
            return Some(at + 1);
        }
    }
    None
}

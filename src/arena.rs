//! Memory for the small texts of a call.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// The size of a piece of memory, which many texts share.
const PIECE: usize = 1024;

/// The longest text that shares a piece: a longer one would have little of it left for others.
const LONGEST: usize = PIECE / 4;

/// Makes small shared texts, many in one piece of memory, so that hardly one of them costs an allocation.
///
/// A piece is free when the last of its texts is dropped; so a text that lives long keeps at most [`PIECE`] bytes.
#[derive(Debug, Default)]
pub struct Arena(RefCell<BytesMut>);

impl Arena {
    /// The parts, one behind the other.
    #[must_use]
    pub fn join(&self, parts: &[&[u8]]) -> Bytes {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        if length > LONGEST {
            return parts.concat().into();
        }
        let mut piece = self.0.borrow_mut();
        if piece.capacity() < length {
            // Takes the old piece again if nothing of it is in use any more.
            piece.reserve(PIECE);
        }
        for part in parts {
            piece.extend_from_slice(part);
        }
        piece.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_whole_whatever_their_length_and_however_long_the_others_live() {
        let arena = Arena::default();
        let mut kept = Vec::new();
        for length in (0..2 * LONGEST).chain([PIECE, 10 * PIECE]) {
            let text = vec![b'a' + (length % 26) as u8; length];
            let (front, back) = text.split_at(length / 3);
            let joined = arena.join(&[front, b"", back]);
            assert_eq!(joined, text);
            if length % 3 == 0 {
                kept.push((joined, text));
            }
        }
        for (joined, text) in kept {
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn texts_that_are_short_lie_side_by_side() {
        let arena = Arena::default();
        let texts: Vec<_> = (0..PIECE / 64)
            .map(|_| arena.join(&[&[b'x'; 64]]))
            .collect();
        for pair in texts.windows(2) {
            assert_eq!(pair[0].as_ptr().wrapping_add(64), pair[1].as_ptr());
        }
    }

    #[test]
    fn memory_that_nobody_uses_any_more_is_used_again() {
        let arena = Arena::default();
        let first = arena.join(&[b"first"]).as_ptr();
        let again = (0..PIECE).any(|_| arena.join(&[b"other"]).as_ptr() == first);
        assert!(again);
    }
}

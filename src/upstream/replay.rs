//! The part of a request body that was sent, kept so that another attempt can send the same bytes.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// The longest body that is kept, in bytes.
pub(super) const MOST: u64 = 64 * 1024;

/// What was sent so far. From the second piece on it is copied: each piece of the library's holds a read buffer, and a body
/// that comes in single bytes would hold thousands of them.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// What attempts before have sent, or the first piece.
    earlier: Bytes,
    data: BytesMut,
    trailers: Option<HeaderMap>,
    is_complete: bool,
}

/// What a later attempt sends first.
#[derive(Debug)]
pub(super) struct Replay {
    data: Bytes,
    trailers: Option<HeaderMap>,
    /// The caller's body ends with it.
    is_complete: bool,
}

impl Record {
    /// Adds a frame; false when it does not fit.
    pub(super) fn add(&mut self, frame: &Frame<Bytes>) -> bool {
        if let Some(data) = frame.data_ref() {
            if (self.earlier.len() + self.data.len() + data.len()) as u64 > MOST {
                return false;
            }
            if self.earlier.is_empty() && self.data.is_empty() {
                self.earlier = data.clone();
            } else {
                self.data.extend_from_slice(data);
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
            self.is_complete = true;
        }
        true
    }

    /// Marks the end of the body.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// All of it, for the next attempt.
    pub(super) fn replay(&mut self) -> Replay {
        if !self.data.is_empty() {
            self.earlier = if self.earlier.is_empty() {
                self.data.split().freeze()
            } else {
                let mut whole = BytesMut::with_capacity(self.earlier.len() + self.data.len());
                whole.extend_from_slice(&self.earlier);
                whole.extend_from_slice(&self.data.split());
                whole.freeze()
            };
        }
        Replay {
            data: self.earlier.clone(),
            trailers: self.trailers.clone(),
            is_complete: self.is_complete,
        }
    }
}

impl Replay {
    /// The next frame, and whether nothing follows it; `None` when there is no more.
    pub(super) fn next(&mut self) -> Option<(Frame<Bytes>, bool)> {
        if !self.data.is_empty() {
            let is_last = self.is_complete && self.trailers.is_none();
            return Some((Frame::data(std::mem::take(&mut self.data)), is_last));
        }
        let trailers = self.trailers.take()?;
        Some((Frame::trailers(trailers), true))
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> u64 {
        self.data.len() as u64
    }

    /// Whether the caller's body ends with it.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn data(bytes: &[u8]) -> Frame<Bytes> {
        Frame::data(Bytes::copy_from_slice(bytes))
    }

    /// What an attempt would send of a replay.
    fn sent(mut replay: Replay) -> (Vec<u8>, Option<HeaderMap>) {
        let (mut bytes, mut trailers) = (Vec::new(), None);
        while let Some((frame, _)) = replay.next() {
            match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        (bytes, trailers)
    }

    proptest! {
        #[test]
        fn case_121_every_attempt_sends_the_same_bytes_wherever_the_one_before_stopped(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20),
            stops in proptest::collection::vec(0_usize..20, 0..5),
        ) {
            let mut record = Record::default();
            for (at, piece) in pieces.iter().enumerate() {
                if stops.contains(&at) {
                    prop_assert_eq!(sent(record.replay()).0, pieces[..at].concat());
                }
                prop_assert!(record.add(&data(piece)));
            }
            let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"))]);
            prop_assert!(record.add(&Frame::trailers(trailers.clone())));
            for _ in 0..2 {
                let replay = record.replay();
                prop_assert!(replay.is_complete());
                prop_assert_eq!(sent(replay), (pieces.concat(), Some(trailers.clone())));
            }
        }
    }

    #[test]
    fn case_120_a_body_of_64_kib_fits_and_not_a_byte_more() {
        let mut record = Record::default();
        for _ in 0..64 {
            assert!(record.add(&data(&[7; 1024])));
            let _ = record.replay();
        }
        assert!(!record.add(&data(&[7])));
    }

    #[test]
    fn the_last_frame_is_told() {
        let mut record = Record::default();
        assert!(record.add(&data(b"ab")));
        assert!(
            !record.replay().next().unwrap().1,
            "the caller's own follows"
        );
        record.complete();
        let mut replay = record.replay();
        assert!(replay.next().unwrap().1);
        assert!(replay.next().is_none());
    }
}

//! Copies an answer on its way to the caller; the copy is kept if the answer ends well.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::kept::Kept;
use super::print::Print;
use super::store::Store;

/// Takes a copy of an answer's body. Dropped before [`Collector::finish`], it keeps nothing.
#[derive(Debug)]
pub struct Collector {
    store: Arc<Store>,
    print: Print,
    kept: Kept,
    body: Vec<u8>,
    /// How many bytes of the store's room it has taken.
    room: u64,
}

impl Collector {
    /// `None` when there is no room.
    pub(super) fn new(
        store: Arc<Store>,
        print: Print,
        kept: Kept,
        length: Option<u64>,
    ) -> Option<Self> {
        let room = length.unwrap_or(0);
        if !store.take_room(room) {
            return None;
        }
        Some(Self {
            store,
            print,
            kept,
            body: Vec::with_capacity(usize::try_from(room).unwrap_or(0)),
            room,
        })
    }

    /// Adds the next piece; `false` if the answer can no longer be kept.
    #[must_use]
    pub fn push(&mut self, data: &[u8]) -> bool {
        let length = (self.body.len() + data.len()) as u64;
        if length > self.store.plan().max_body {
            return false;
        }
        if length > self.room {
            // In steps, so that a body in small pieces seldom asks for room.
            let more = (length.max(self.room * 2).max(4096)).min(self.store.plan().max_body);
            if !self.store.take_room(more - self.room) {
                return false;
            }
            self.room = more;
        }
        self.body.extend_from_slice(data);
        true
    }

    /// Keeps the answer: its body ended well.
    pub fn finish(mut self, now: Instant) -> Arc<Kept> {
        let body = std::mem::take(&mut self.body);
        let kept = Kept {
            headers: std::mem::take(&mut self.kept.headers),
            body: fitting(body),
            made: self.kept.made,
            varies: std::mem::take(&mut self.kept.varies),
        };
        let kept = Arc::new(kept);
        self.store.keep(self.print, Arc::clone(&kept), now);
        kept
    }
}

/// The body in no more memory than it needs: copied, since an allocator may leave a shrunk block where it is.
fn fitting(body: Vec<u8>) -> Bytes {
    if body.capacity() == body.len() {
        Bytes::from(body)
    } else {
        Bytes::copy_from_slice(&body)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.store.give_room(self.room);
    }
}

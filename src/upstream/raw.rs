//! A stream of which we know no protocol: what a tunnel is made of.

use super::endpoint::Connected;
use super::slots::Slot;
use crate::net::BoxIo;

/// A stream of which we know no protocol. It counts among the upstream's connections also after the stream was taken out of it.
pub(super) struct Raw {
    pub(super) stream: Option<BoxIo>,
    pub(super) _slot: Slot,
    pub(super) _connected: Connected,
}

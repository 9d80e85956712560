//! How an exchange ends: the one place where the breaker gets its verdict, the connection goes back to its pool and the access
//! line is written.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::classify::{Judged, sample};
use super::connection::Busy;
use super::kept::Kept;
use super::ours;
use crate::failure::{Blame, Failure};
use crate::resilience::{Permit, Verdict, grpc};
use crate::telemetry::{End, Exchange};
use crate::time::{Deadline, now};
use crate::upstream::{Lease, UploadProgress};
use crate::wire::strip_trailers;

/// An answer below that leaves with the caller's first window, which is four times as large unless he says otherwise (RFC 9113 §6.9.2).
const SHORT: u64 = 16 * 1024;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// All of it was handed on.
    Whole,
    /// Broken off by the upstream.
    Broken(Failure),
    /// Cut after a switch of protocols or in a tunnel, where nobody can tell which side was to send.
    Cut(Failure),
}

/// An exchange from its beginning to its end, boxed so that it is never moved; dropping it unfinished means that the caller is
/// gone.
pub(super) struct Ending {
    pub(super) exchange: Exchange,
    upstream: Option<Box<UpstreamEnding>>,
    /// Bytes of the answer so far.
    sent: u64,
    /// Dropped last: with it the connection has no exchange open.
    pub(super) busy: Busy,
}

/// The upstream's part in an exchange.
pub(super) struct UpstreamEnding {
    /// The connection that the answer comes over, unless all of it has come already. A tunnel's cannot be kept, but counts
    /// among the upstream's.
    pub(super) lease: Option<Lease>,
    /// The request body, which may still be on its way.
    pub(super) upload: Rc<UploadProgress>,
    /// The breaker's permit, unless its verdict is given already.
    pub(super) permit: Option<Permit>,
    /// The verdict that was given, or will be if the body ends well.
    pub(super) judged: Judged,
    /// What the exchange keeps to its end: its place under the bulkhead, its pass of the throttle.
    pub(super) kept: Kept,
}

/// What becomes of the request body when an answer is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inherited {
    /// It is given up as well.
    ByNobody,
    /// Another upstream, whose answer the caller gets instead, may still read it.
    ByAnother,
    /// The same, but the connection of the answer waited for its own upstream with it.
    WhileStuck,
}

impl Ending {
    /// The ending of an exchange that begins.
    pub(super) fn of(exchange: Exchange, busy: Busy) -> Box<Self> {
        Box::new(Self {
            exchange,
            upstream: None,
            sent: 0,
            busy,
        })
    }

    /// Whether its caller speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.busy.pulse().is_some()
    }

    /// Adds the upstream's part: the answer is the upstream's.
    pub(super) fn relays(&mut self, upstream: Box<UpstreamEnding>) {
        if let Some(pulse) = self.busy.pulse() {
            pulse.follow(&upstream.upload);
        }
        self.upstream = Some(upstream);
    }

    /// Counts bytes handed to the caller.
    pub(super) fn count_out(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        self.exchange.sent(bytes as u64);
    }

    /// Takes the last byte off the last piece of an answer, to be handed over by itself, where an HTTP/2 caller may have no room for all.
    ///
    /// The library parts with a whole piece where its caller has room for one byte. From then on the last one is beyond reach, and its stream
    /// can no longer be cut: so that is a piece which leaves only when its caller has room for all.
    pub(super) fn take_last_byte(&self, piece: &mut Bytes) -> Option<Box<Bytes>> {
        let at = piece.len().checked_sub(1).filter(|at| *at > 0)?;
        let is_long = self.sent + piece.len() as u64 > SHORT;
        (is_long && self.is_http2()).then(|| Box::new(piece.split_off(at)))
    }

    /// Counts bytes of the upstream's, which also restart the idle time of the upload.
    pub(super) fn relayed_bytes(&mut self, bytes: usize) {
        self.count_out(bytes);
        if let Some(upstream) = &self.upstream {
            upstream.upload.touch();
        }
    }

    /// Takes verdict and status from the trailers, and removes fields that go no further.
    pub(super) fn heard(&mut self, trailers: &mut HeaderMap) {
        self.exchange.grpc_status(grpc::code(trailers));
        if let Some(upstream) = &mut self.upstream {
            upstream.judged.hear(trailers);
        }
        strip_trailers(trailers, &self.busy.correlation_header());
        ours::remove_from_trailers(trailers);
    }

    /// Until when the answer may pause because the upload still moves.
    pub(super) fn patience(&self, idle_timeout: Duration) -> Option<Deadline> {
        self.upstream.as_ref()?.upload.patience(idle_timeout)
    }

    /// Counts bytes that the caller sent after a 101.
    pub(super) fn count_in(&mut self, bytes: u64) {
        self.exchange.request_bytes().add(bytes);
    }

    /// The upstream at the end of a tunnel has said its first byte, `wait` after it could, and that is all that a tunnel shows of it.
    pub(super) fn answered(&mut self, wait: Duration, now: Instant) {
        if let Some(upstream) = &mut self.upstream {
            upstream.answered(&self.exchange, wait, now);
        }
    }

    /// The body ended; so does the exchange.
    pub(super) fn finish(mut self: Box<Self>, end: BodyEnd) {
        let now = now();
        if let Some(upstream) = self.upstream.take() {
            if end == BodyEnd::Whole && upstream.upload.is_whole() {
                self.busy.leaves_nothing();
            }
            upstream.finish(&mut self.exchange, end, now);
        }
        match end {
            BodyEnd::Whole => self.exchange.finish(End::Complete, now),
            BodyEnd::Broken(failure) | BodyEnd::Cut(failure) => {
                self.exchange.finish(End::Broken(failure), now);
            }
        }
    }
}

impl UpstreamEnding {
    /// Gives up an answer that the caller does not get.
    pub(super) fn give_up(mut self, exchange: &mut Exchange, upload: Inherited) {
        let verdict = self.judged.verdict;
        settle(exchange, verdict);
        self.kept.settle(verdict, now());
        if let Some(permit) = self.permit {
            let sample = sample(verdict, self.judged.latency);
            permit.finish_as(sample, now(), || exchange.identity());
        }
        match upload {
            Inherited::ByNobody => let_go(self.lease, &self.upload),
            Inherited::WhileStuck => self.lease.into_iter().for_each(Lease::retire),
            Inherited::ByAnother => drop(self.lease),
        }
    }

    fn answered(&mut self, exchange: &Exchange, wait: Duration, now: Instant) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let judged = &mut self.judged;
        judged.verdict = Verdict::of_status(StatusCode::OK.as_u16(), false);
        judged.latency = judged.latency.saturating_add(wait);
        let sample = sample(judged.verdict, judged.latency);
        if let Some(lease) = &mut self.lease {
            lease.record(sample, now);
        }
        permit.finish_as(sample, now, || exchange.identity());
    }

    /// Ends the upstream's part.
    pub(super) fn finish(self, exchange: &mut Exchange, end: BodyEnd, now: Instant) {
        let Self {
            mut lease,
            upload,
            permit,
            judged,
            mut kept,
        } = self;
        let end = match (end, &lease) {
            (BodyEnd::Broken(failure), Some(lease)) => BodyEnd::Broken(lease.charge(failure)),
            (end, _) => end,
        };
        let mut record = |sample| {
            if let Some(lease) = &mut lease {
                lease.record(sample, now);
            }
        };
        if let BodyEnd::Broken(failure) = end
            && failure.blame() == Blame::Upstream
        {
            exchange.attempt_failed(failure);
        }
        match (end, permit) {
            (BodyEnd::Whole, permit) => {
                let verdict = judged.at_end();
                settle(exchange, verdict);
                kept.settle(verdict, now);
                if let Some(permit) = permit {
                    let sample = sample(verdict, judged.latency);
                    record(sample);
                    permit.finish_as(sample, now, || exchange.identity());
                }
                if upload.is_whole() {
                    return lease.into_iter().for_each(|lease| lease.keep(now));
                }
            }
            (BodyEnd::Broken(failure), Some(permit)) => {
                let verdict = judged.at_break(failure);
                settle(exchange, verdict);
                let sample = sample(verdict, judged.latency);
                record(sample);
                permit.finish_as(sample, now, || exchange.identity());
            }
            (BodyEnd::Broken(_) | BodyEnd::Cut(_), _) => settle(exchange, judged.verdict),
        }
        let_go(lease, &upload);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some(upstream) = self.upstream.take() else {
            return;
        };
        if upstream.permit.is_none() {
            // A verdict that was given at the headers stands.
            settle(&mut self.exchange, upstream.judged.verdict);
        }
        let_go(upstream.lease, &upstream.upload);
        self.exchange.finish(End::ClientGone, now());
    }
}

/// Drops the connection, and with it an upload that may still be under way: neither outlives the exchange.
fn let_go(lease: Option<Lease>, upload: &UploadProgress) {
    if let Some(lease) = lease {
        give_back(lease, upload);
    }
    upload.abandon();
}

/// Drops a connection whose call is over, without giving up what the caller still sends.
pub(super) fn give_back(lease: Lease, upload: &UploadProgress) {
    if upload.is_stuck() {
        // Over HTTP/2 only the end of the connection ends such an upload.
        lease.retire();
    }
}

/// The exchange is recorded as what the verdict says.
pub(super) fn settle(exchange: &mut Exchange, verdict: Verdict) {
    exchange.settled(verdict.outcome);
    if verdict.config_error {
        exchange.config_error();
    }
}

//! The caller's request, read once. It outlives a failed attempt, so that another attempt can be made of it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Request, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::allowance::Patience;
use super::headers;
use super::key::key_of;
use crate::resilience::Key;
use crate::snapshot::{Route, Way};
use crate::telemetry::ByteCount;
use crate::upstream::{Purpose, UploadProgress};
use crate::wire::{Decoded, Flaw, flaw_of_target};

/// The caller's request. What depends on a route or an attempt is derived from it each time (`outgoing`).
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    /// The fields as the caller sent them.
    headers: HeaderMap,
    /// Whether the fields were given away to the only attempt.
    is_spent: bool,
    /// Whether another route may get the call after this one.
    is_for_another: bool,
    pub(super) upload: Rc<UploadProgress>,
    /// The protocol that the caller would switch to, and its side of the switch, if the current route can switch.
    pub(super) upgrade: Option<(HeaderValue, OnUpgrade)>,
    /// The same, kept for another route, if the current one cannot.
    spare_upgrade: Option<(HeaderValue, OnUpgrade)>,
    /// The key of the call on the current route.
    pub(super) key: Option<Key>,
    /// Until when the caller will wait, if it says so.
    pub(super) patience: Option<Patience>,
    /// When the current route got the call: its time limits are counted from here.
    pub(super) begin: Instant,
    /// When it could go to the upstream: later than `begin` if it waited for the same call of another caller first.
    pub(super) free: Instant,
    /// How long it waited in sidefuse before that.
    pub(super) held_before: Duration,
}

/// Whether an attempt copies the caller's fields so that another one can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Another attempt may follow.
    Copy,
    /// No other attempt can follow.
    Nothing,
}

impl Call {
    /// Reads a request that was accepted at `begin`; its body's bytes are counted in `bytes`.
    pub(super) fn read(mut request: Request<Incoming>, begin: Instant, bytes: ByteCount) -> Self {
        let upgrade = headers::upgrade_of(request.version(), request.method(), request.headers())
            .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
        let (parts, body) = request.into_parts();
        let patience = Patience::of(&parts.headers, begin);
        Self {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers,
            is_spent: false,
            is_for_another: false,
            upload: Rc::new(UploadProgress::new(body, parts.version, bytes)),
            upgrade,
            spare_upgrade: None,
            key: None,
            patience,
            begin,
            free: begin,
            held_before: Duration::ZERO,
        }
    }

    /// Hides the wish to switch protocols from a route that cannot switch, and brings it back for one that can.
    pub(super) fn let_switch(&mut self, may: bool) {
        let wish = self.upgrade.take().or(self.spare_upgrade.take());
        if may {
            self.upgrade = wish;
        } else {
            self.spare_upgrade = wish;
        }
    }

    /// What its connection is for.
    pub(super) fn purpose(&self) -> Purpose {
        if self.upgrade.is_some() {
            Purpose::Switch
        } else {
            Purpose::Call
        }
    }

    /// Whether the caller would switch protocols.
    pub(super) fn wants_to_switch(&self) -> bool {
        self.upgrade.is_some() || self.spare_upgrade.is_some()
    }

    /// Finds its key on its current route.
    pub(super) fn find_key(&mut self, route: &Route, way: &Way) {
        self.key = self.key_at(route, way);
    }

    /// Its key on that route.
    pub(super) fn key_at(&self, route: &Route, way: &Way) -> Option<Key> {
        let keyed = route.plan.keyed.as_ref()?;
        key_of(&keyed.by, &self.uri, &self.headers, way.strip)
    }

    /// The fields as the caller sent them; empty once they are given away.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The fields for one attempt; `None` when an earlier one took them along.
    pub(super) fn take_headers(&mut self, keep: Keep) -> Option<HeaderMap> {
        if self.is_spent {
            return None;
        }
        if keep == Keep::Copy || self.is_for_another {
            // The copy stays: it has no room for what an attempt adds.
            let copy = self.headers.clone();
            return Some(std::mem::replace(&mut self.headers, copy));
        }
        self.is_spent = true;
        Some(std::mem::take(&mut self.headers))
    }

    /// From now on every attempt keeps the fields and, if possible, the body: another route may get the call when this one has
    /// failed.
    pub(super) fn keep_for_another(&mut self) {
        self.is_for_another = true;
        self.upload.keep();
    }

    /// Whether it could be sent (again) from its first byte to its last.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_spent && self.upload.is_intact()
    }

    /// Whether its method may be carried out twice (RFC 9110 §9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        [
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::PUT,
            Method::DELETE,
        ]
        .contains(&self.method)
    }

    /// What is wrong with its head that no framing shows: with the target, and over HTTP/2 with the fields, too.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        match self.decoded() {
            Some(decoded) => decoded.flaw(),
            None => {
                let authority = self.uri.authority().map(Authority::as_str);
                flaw_of_target(self.uri.scheme_str(), authority)
            }
        }
    }

    /// Its head, over HTTP/2.
    pub(super) fn decoded(&self) -> Option<Decoded<'_>> {
        (self.version == Version::HTTP_2).then(|| Decoded {
            scheme: self.uri.scheme_str(),
            authority: self.uri.authority().map(Authority::as_str),
            path: self.uri.path_and_query().map_or("", PathAndQuery::as_str),
            fields: &self.headers,
        })
    }

    /// Its path and query.
    pub(super) fn target(&self) -> PathAndQuery {
        self.uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"))
    }

    /// The host that the caller wrote: the target's before the field's (RFC 9112 §3.2.2).
    pub(super) fn host(&self) -> Option<HeaderValue> {
        match self.uri.authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => self.headers.get(HOST).cloned(),
        }
    }
}

//! The cache entry of one name: a pure state machine that takes `now`.
//!
//! An answer is fresh for its TTL. Then one caller queries anew, and calls that need the name meanwhile wait for that only
//! briefly, however slow the name server is. While queries fail, the last good answer stays in use without a wait. Only a name
//! that is denied for long counts as gone: its addresses may belong to another service by then.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::NameError;

/// The shortest time that an answer is used: a TTL of 0 must not cause a query for each connection.
const MIN_TTL: Duration = Duration::from_secs(5);

/// The longest: moving a service should not have to wait for a TTL of a day.
const MAX_TTL: Duration = Duration::from_secs(5 * 60);

/// How long an error is cached: from `MIN_PAUSE`, doubling, to `MAX_PAUSE`.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How long name servers must deny a name until its last good answer is dropped.
const DENIAL_BELIEVED_AFTER: Duration = Duration::from_secs(5 * 60);

/// The addresses of a name, IPv6 and IPv4 mixed, in the order of the answer.
pub type Addresses = Arc<[IpAddr]>;

/// The cache entry of one name.
#[derive(Debug)]
pub(super) struct Entry {
    good: Option<Good>,
    trouble: Option<Trouble>,
    is_asking: bool,
    used: Instant,
}

/// The last good answer.
#[derive(Debug)]
struct Good {
    addresses: Addresses,
    /// From this instant on a use triggers a query ahead of expiry.
    aging: Instant,
    expires: Instant,
}

/// The failures since the last good answer.
#[derive(Debug)]
struct Trouble {
    why: NameError,
    failures: u32,
    denied_since: Option<Instant>,
    again: Instant,
}

/// What to do for a caller that wants the name's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Use these.
    Use {
        /// The addresses.
        addresses: Addresses,
        /// The last good answer, while asking fails.
        is_stale: bool,
        /// Ask anew, in the background.
        ask: bool,
    },
    /// Wait for a query; with a `last_good` only briefly.
    Wait {
        /// The addresses as they were.
        last_good: Option<Addresses>,
        /// No query is under way: start one.
        ask: bool,
    },
    /// Fail with the cached error.
    Fail(NameError),
}

/// What an answer changed, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing worth a log line.
    None,
    /// The name can no longer be resolved.
    Lost {
        /// The last good answer stays in use.
        has_last_good: bool,
    },
    /// It can be again.
    Found,
}

impl Entry {
    /// The entry of a name that was never looked up.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            good: None,
            trouble: None,
            is_asking: false,
            used: now,
        }
    }

    /// What to do for a caller. The advice to query is given once; the caller that gets it must call [`Entry::answered`].
    pub(super) fn want(&mut self, now: Instant) -> Advice {
        self.used = now;
        let is_due = match &self.trouble {
            Some(trouble) => now >= trouble.again,
            None => true,
        };
        let may_ask = is_due && !self.is_asking;
        let advice = match (&self.good, &self.trouble) {
            (Some(good), trouble) if now < good.expires || trouble.is_some() => Advice::Use {
                addresses: Arc::clone(&good.addresses),
                is_stale: now >= good.expires,
                ask: may_ask && now >= good.aging,
            },
            (Some(good), _) => Advice::Wait {
                last_good: Some(Arc::clone(&good.addresses)),
                ask: may_ask,
            },
            (None, Some(trouble)) if !is_due && !self.is_asking => Advice::Fail(trouble.why),
            (None, _) => Advice::Wait {
                last_good: None,
                ask: may_ask,
            },
        };
        if let Advice::Use { ask: true, .. } | Advice::Wait { ask: true, .. } = advice {
            self.is_asking = true;
        }
        advice
    }

    /// What is known after a query: the last good answer and whether it is stale, or why there is none.
    pub(super) fn known(&self, now: Instant) -> Result<(Addresses, bool), NameError> {
        match (&self.good, &self.trouble) {
            (Some(good), _) => Ok((Arc::clone(&good.addresses), now >= good.expires)),
            (None, Some(trouble)) => Err(trouble.why),
            (None, None) => Err(NameError::ServerFailure),
        }
    }

    /// Records the result of a query.
    pub(super) fn answered(
        &mut self,
        answer: Result<(Addresses, Duration), NameError>,
        now: Instant,
    ) -> News {
        self.is_asking = false;
        match answer {
            Ok((addresses, ttl)) => {
                let ttl = ttl.clamp(MIN_TTL, MAX_TTL);
                self.good = Some(Good {
                    addresses,
                    aging: now + ttl * 4 / 5,
                    expires: now + ttl,
                });
                match self.trouble.take() {
                    Some(_) => News::Found,
                    None => News::None,
                }
            }
            Err(why) => {
                let before = self.trouble.take();
                let failures = before.as_ref().map_or(0, |before| before.failures);
                let denied_since = match why {
                    NameError::NotFound => {
                        let earlier = before.as_ref().and_then(|before| before.denied_since);
                        Some(earlier.unwrap_or(now))
                    }
                    NameError::ServerFailure | NameError::Timeout | NameError::Shortage(_) => None,
                };
                let is_gone =
                    denied_since.is_some_and(|since| now - since >= DENIAL_BELIEVED_AFTER);
                let had_good = self.good.is_some();
                if is_gone {
                    self.good = None;
                }
                self.trouble = Some(Trouble {
                    why,
                    failures: failures.saturating_add(1),
                    denied_since,
                    again: now + (MIN_PAUSE * (1 << failures.min(3))).min(MAX_PAUSE),
                });
                if before.is_none() || had_good != self.good.is_some() {
                    News::Lost {
                        has_last_good: self.good.is_some(),
                    }
                } else {
                    News::None
                }
            }
        }
    }

    /// Drops cached errors, as after a change of the name servers. Addresses stay until there are new ones.
    pub(super) fn doubt(&mut self, now: Instant) {
        if let Some(good) = &mut self.good {
            good.expires = good.expires.min(now);
            good.aging = good.aging.min(now);
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.again = now;
        }
    }

    /// Since when the name has not been used; `None` while a query is under way.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (!self.is_asking).then_some(self.used)
    }
}

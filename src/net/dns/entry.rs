//! What is known of one name, and what to do about it: a pure machine that takes `now`.
//!
//! An answer is fresh for its TTL. Then one caller asks anew, and whoever wants the name meanwhile waits for that only shortly: a slow
//! name server costs nobody more. While asking fails, the last good answer stays in use at once. Only a name that is denied for long
//! is believed to be gone: its addresses may belong to somebody else by then.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::NameError;

/// The shortest that an answer is used: a TTL of 0 must not make a question of each connection.
const MIN_TTL: Duration = Duration::from_secs(5);

/// The longest: who moves a service would rather not wait for a TTL of a day.
const MAX_TTL: Duration = Duration::from_secs(5 * 60);

/// How long an error is an answer: from the first to the last, doubling.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A name whose servers have said for so long that it does not exist, does not exist.
const DENIAL_BELIEVED_AFTER: Duration = Duration::from_secs(5 * 60);

/// The addresses of a name, IPv6 and IPv4 mixed, in the order of the answer.
pub type Addresses = Arc<[IpAddr]>;

/// What is known of one name.
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
    /// From here on a use asks anew ahead of time.
    aging: Instant,
    expires: Instant,
}

/// Since the last good answer asking has failed.
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
    /// They are these.
    Use {
        /// The addresses.
        addresses: Addresses,
        /// The last good answer, while asking fails.
        is_stale: bool,
        /// Ask anew, in the background.
        ask: bool,
    },
    /// The answer is on its way. Where it has a `last_good`, wait shortly only.
    Wait {
        /// The addresses as they were.
        last_good: Option<Addresses>,
        /// Nobody asks yet: do.
        ask: bool,
    },
    /// There are none, as was said a moment ago.
    Fail(NameError),
}

/// What an answer changed, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that one need know.
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
    /// A name of which nothing is known.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            good: None,
            trouble: None,
            is_asking: false,
            used: now,
        }
    }

    /// What to do for a caller. Advice to ask is given once; whoever gets it owes an [`Entry::answered`].
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

    /// What is known after asking: the last good answer and whether its time is over, or why there is none.
    pub(super) fn known(&self, now: Instant) -> Result<(Addresses, bool), NameError> {
        match (&self.good, &self.trouble) {
            (Some(good), _) => Ok((Arc::clone(&good.addresses), now >= good.expires)),
            (None, Some(trouble)) => Err(trouble.why),
            (None, None) => Err(NameError::ServerFailure),
        }
    }

    /// Asking has ended.
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

    /// Forgets what errors said, as after a change of the name servers. Addresses stay until there are better ones.
    pub(super) fn doubt(&mut self, now: Instant) {
        if let Some(good) = &mut self.good {
            good.expires = good.expires.min(now);
            good.aging = good.aging.min(now);
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.again = now;
        }
    }

    /// Since when nobody has wanted it, unless somebody is asking.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (!self.is_asking).then_some(self.used)
    }
}

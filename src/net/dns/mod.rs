//! Names and their addresses: one cache for the whole process.
//!
//! | file | what it holds |
//! |---|---|
//! | `entry` | what is known of one name and when to ask anew; pure |
//! | `servers` | asking: hosts file, search domains, name servers |
//! | `error` | why a name has no address |
//!
//! Queries run on the runtime that [`Names`] was made with, the control thread's, so they outlive the call and the worker that
//! need the answer. One query per name is under way; all calls that need the name meanwhile wait for it. A new answer changes
//! nothing for breakers and pools: open connections stay, the next is opened to the new address.

mod entry;
mod error;
mod servers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

pub use entry::Addresses;
pub use error::NameError;

use self::entry::{Advice, Entry, News};
use self::servers::Servers;
use crate::config::plan::DnsPlan;
use crate::telemetry::Meters;
use crate::telemetry::names::DnsResult;
use crate::time::{Deadline, now, timeout_at};

/// How long a caller waits for news of a name whose last answer has expired; then it takes that.
const PATIENCE: Duration = Duration::from_millis(200);

/// Questions under way at once: each holds two sockets, and a start with thousands of routes asks for all of them.
const MOST_QUESTIONS: usize = 128;

/// A name that nobody has wanted for so long may be forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// Below so many names nothing is forgotten.
const FEW: usize = 1024;

/// The names of upstreams with their addresses. Cloning gives the same cache.
#[derive(Clone)]
pub struct Names(Arc<Shared>);

struct Shared {
    runtime: Handle,
    meters: Meters,
    servers: Mutex<Chosen>,
    turns: Semaphore,
    known: Mutex<Known>,
}

/// Whom to ask.
struct Chosen {
    plan: DnsPlan,
    servers: Option<Arc<Servers>>,
}

struct Known {
    names: HashMap<Arc<str>, Record>,
    /// With so many names it is time to look for those that nobody wants.
    sweep_at: usize,
}

struct Record {
    entry: Entry,
    /// While a question is under way; its drop tells all who wait for it.
    asking: Option<watch::Sender<()>>,
}

impl Names {
    /// An empty cache whose questions are asked on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle, meters: Meters) -> Self {
        Self(Arc::new(Shared {
            runtime,
            meters,
            servers: Mutex::new(Chosen {
                plan: DnsPlan::default(),
                servers: None,
            }),
            turns: Semaphore::new(MOST_QUESTIONS),
            known: Mutex::new(Known {
                names: HashMap::new(),
                sweep_at: FEW,
            }),
        }))
    }

    /// Asks by these settings from now on. Addresses that are known stay in use until there are better ones.
    pub fn respec(&self, plan: &DnsPlan) {
        {
            let mut chosen = lock(&self.0.servers);
            if chosen.plan == *plan {
                return;
            }
            *chosen = Chosen {
                plan: plan.clone(),
                servers: None,
            };
        }
        let now = now();
        let mut known = lock(&self.0.known);
        known
            .names
            .values_mut()
            .for_each(|record| record.entry.doubt(now));
    }

    /// The addresses of a name; at least one. Waits for the first answer as long as the caller likes, for a newer one only shortly.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn addresses(&self, name: &str) -> Result<Addresses, NameError> {
        let (advice, answered) = self.want(name);
        let last_good = match advice {
            Advice::Use { addresses, .. } => return Ok(addresses),
            Advice::Fail(why) => return Err(why),
            Advice::Wait { last_good, .. } => last_good,
        };
        if let Some(mut answered) = answered {
            // An error says that the question has ended, which is what is waited for.
            let answer = async { drop(answered.changed().await) };
            match last_good {
                None => answer.await,
                Some(last_good) => {
                    let patience = Deadline::after(now(), PATIENCE);
                    if timeout_at(patience, answer).await.is_err() {
                        self.0.meters.dns_lookup(DnsResult::StaleServed);
                        return Ok(last_good);
                    }
                }
            }
        }
        self.known(name)
    }

    /// The addresses of a name as far as they are known now, without waiting; has them looked up where it is time to.
    #[must_use]
    pub fn known_addresses(&self, name: &str) -> Option<Addresses> {
        match self.want(name).0 {
            Advice::Use { addresses, .. } => Some(addresses),
            Advice::Wait { last_good, .. } => last_good,
            Advice::Fail(_) => None,
        }
    }

    /// What to do, and the end of the question that is under way, if one is.
    fn want(&self, name: &str) -> (Advice, Option<watch::Receiver<()>>) {
        let now = now();
        let mut known = lock(&self.0.known);
        let record = known.record(name, now);
        let advice = record.entry.want(now);
        let must_ask = match &advice {
            Advice::Use { ask, is_stale, .. } => {
                if *is_stale {
                    self.0.meters.dns_lookup(DnsResult::StaleServed);
                }
                *ask
            }
            Advice::Wait { ask, .. } => *ask,
            Advice::Fail(_) => false,
        };
        if must_ask {
            record.asking = Some(watch::Sender::new(()));
        }
        let answered = record.asking.as_ref().map(watch::Sender::subscribe);
        drop(known);
        if must_ask {
            let question = Question {
                names: self.clone(),
                name: name.into(),
                answer: Err(NameError::ServerFailure),
            };
            drop(self.0.runtime.spawn(question.ask()));
        }
        (advice, answered)
    }

    fn known(&self, name: &str) -> Result<Addresses, NameError> {
        let known = lock(&self.0.known);
        let record = known.names.get(name).ok_or(NameError::ServerFailure)?;
        let (addresses, is_stale) = record.entry.known(now())?;
        if is_stale {
            self.0.meters.dns_lookup(DnsResult::StaleServed);
        }
        Ok(addresses)
    }

    /// Whom to ask, read anew where the system's files have changed.
    fn servers(&self) -> Arc<Servers> {
        let mut chosen = lock(&self.0.servers);
        if let Some(servers) = &chosen.servers
            && servers.is_current(&chosen.plan)
        {
            return Arc::clone(servers);
        }
        let servers = Arc::new(Servers::read(&chosen.plan));
        chosen.servers = Some(Arc::clone(&servers));
        servers
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Known {
    fn record(&mut self, name: &str, now: Instant) -> &mut Record {
        if self.names.len() >= self.sweep_at && !self.names.contains_key(name) {
            self.names.retain(|_, record| {
                let is_old = |since| now.saturating_duration_since(since) >= FORGOTTEN_AFTER;
                !record.entry.idle_since().is_some_and(is_old)
            });
            self.sweep_at = FEW.max(self.names.len() * 2);
        }
        self.names.entry(name.into()).or_insert_with(|| Record {
            entry: Entry::new(now),
            asking: None,
        })
    }
}

/// A question under way. However it ends, even with its runtime, its drop tells those who wait.
struct Question {
    names: Names,
    name: Arc<str>,
    answer: Result<(Addresses, Duration), NameError>,
}

impl Question {
    async fn ask(mut self) {
        let names = self.names.clone();
        // The semaphore is never closed.
        let _turn = names.0.turns.acquire().await;
        let servers = names.servers();
        self.answer = servers.look_up(&self.name).await;
        self.names.0.meters.dns_lookup(match self.answer {
            Ok(_) => DnsResult::Ok,
            Err(NameError::NotFound) => DnsResult::NxDomain,
            Err(NameError::ServerFailure) => DnsResult::ServFail,
            Err(NameError::Timeout) => DnsResult::Timeout,
            Err(NameError::Shortage(_)) => DnsResult::Shortage,
        });
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let answer = std::mem::replace(&mut self.answer, Err(NameError::ServerFailure));
        let why = answer.as_ref().err().map(ToString::to_string);
        let news = {
            let mut known = lock(&self.names.0.known);
            let Some(record) = known.names.get_mut(&*self.name) else {
                return;
            };
            record.asking = None;
            record.entry.answered(answer, now())
        };
        let name = &*self.name;
        match news {
            News::None => {}
            News::Lost { has_last_good } => tracing::warn!(
                name,
                why,
                has_last_good,
                "Name cannot be resolved; its last known addresses stay in use if there are any"
            ),
            News::Found => tracing::info!(name, "Name can be resolved again"),
        }
    }
}

/// Nothing under these locks can be seen half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

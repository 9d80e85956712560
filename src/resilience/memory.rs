//! The state of all breakers that outlives the process, and its file format.
//!
//! ```text
//! sidefuse state 2                       version of the format
//! 7d1a54127b222502…                      SHA-256 of everything below, in hexadecimal digits
//! {"savedAt":1764000000000,"routes":…}   when that was (Unix time in ms), and the routes, in one line of JSON
//! ```
//!
//! Version 1 had the breakers of routes only; it is still read. A file is accepted whole or not at all: if it is cut short,
//! damaged, of another program or of a newer version it is refused, and the breakers begin closed. The wall clock is used for
//! nothing but the age of the file; see [`Memory::age`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::resilience::breaker::Saved;
use crate::resilience::key::Key;
use crate::resilience::throttle::SavedPauses;

/// How a file begins; the version follows.
const MAGIC: &str = "sidefuse state ";
const VERSION: u32 = 2;
/// The oldest version that is read.
const OLDEST: u32 = 1;
/// How its body begins, which is a line by itself.
const BODY: &str = "{\"savedAt\":";

/// Everything that is saved at one moment.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::time::{Duration, Instant, SystemTime};
/// use sidefuse::resilience::{Breaker, BreakerKeys, BreakerSpec, Label, Memory, Remembered, Sample, State};
///
/// let keys = BreakerKeys { failure_threshold: 1, ..BreakerKeys::default() };
/// let spec = BreakerSpec::try_new(keys).expect("one failure makes sense");
/// let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000));
/// let breaker = Breaker::new(spec.clone(), 0, now, Box::new(|_transition| {}));
/// breaker.admit(now).expect("it is closed").finish(Sample::failure(Label::Named("timeout")), now);
/// let remembered = Remembered { breaker: breaker.save(now), ..Remembered::default() };
/// let file = Memory::new(wall, BTreeMap::from([("crm".to_owned(), remembered)])).encode();
///
/// // In the next process, ten seconds later.
/// let memory = Memory::decode(file.as_bytes()).expect("nobody has damaged it");
/// let elapsed = memory.age(wall + Duration::from_secs(10));
/// let next = Breaker::new(spec, 0, now, Box::new(|_transition| {}));
/// let saved = memory.routes["crm"].breaker.as_ref().expect("it was open");
/// next.resume(saved, elapsed, &|word| (word == "timeout").then_some("timeout"), now);
/// assert_eq!(next.in_force(now).0, State::Open);
/// assert_eq!(next.view(now).next_probe_at, Some(now + Duration::from_secs(50)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// When it was saved, in whole milliseconds.
    pub saved_at: SystemTime,
    /// The saved state of each route.
    pub routes: BTreeMap<String, Remembered>,
}

/// The saved state of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remembered {
    /// Its breaker, if it is not as good as new.
    pub breaker: Option<Saved>,
    /// The fingerprint of the override that its breaker has obeyed, so that it is not obeyed a second time.
    pub overridden: Option<String>,
    /// The breakers of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed: Option<RememberedKeys>,
    /// Its candidates that are not as good as new, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shadows: BTreeMap<String, Saved>,
    /// Its pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pauses: Option<SavedPauses>,
}

/// What is saved of a route's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RememberedKeys {
    /// Identifies the part of a request that is the key: if another part is the key now, this state is dropped.
    pub source: String,
    /// Their breakers that have something to remember.
    pub breakers: Vec<(Key, Saved)>,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Another program wrote it, or it was cut within its first line.
    #[error("it is no state file of sidefuse")]
    Foreign,
    /// A newer sidefuse wrote it.
    #[error("its format is version {0}, and this sidefuse knows version {VERSION}")]
    Newer(u32),
    /// It was cut short, or something in it was changed.
    #[error("it is damaged: its checksum does not fit")]
    Damaged,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    saved_at: u64,
    routes: BTreeMap<String, Remembered>,
}

impl Memory {
    /// The memory of that moment.
    #[must_use]
    pub fn new(wall: SystemTime, routes: BTreeMap<String, Remembered>) -> Self {
        Self {
            saved_at: SystemTime::UNIX_EPOCH + Duration::from_millis(millis(wall)),
            routes,
        }
    }

    /// How old it is at `wall`; zero if the clock was set back, so that the remaining times are as they were.
    #[must_use]
    pub fn age(&self, wall: SystemTime) -> Duration {
        wall.duration_since(self.saved_at).unwrap_or_default()
    }

    /// The content of a file.
    #[must_use]
    pub fn encode(&self) -> String {
        let body = Body {
            saved_at: millis(self.saved_at),
            routes: self.routes.clone(),
        };
        // Plain data with text keys always makes JSON; a defect here must cost the file, not the process.
        let mut body = serde_json::to_string(&body).unwrap_or_default();
        body.push('\n');
        format!("{MAGIC}{VERSION}\n{}\n{body}", digest(body.as_bytes()))
    }

    /// Checks only the first line: whether this program may have written the file.
    ///
    /// # Errors
    /// [`MemoryError::Foreign`] or [`MemoryError::Newer`].
    pub fn check_version(content: &[u8]) -> Result<(), MemoryError> {
        let (first, _) = line(content).ok_or(MemoryError::Foreign)?;
        let version = first
            .strip_prefix(MAGIC.as_bytes())
            .and_then(|version| std::str::from_utf8(version).ok())
            .filter(|version| version.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|version| version.parse::<u32>().ok())
            .ok_or(MemoryError::Foreign)?;
        match version {
            OLDEST..=VERSION => Ok(()),
            newer if newer > VERSION => Err(MemoryError::Newer(newer)),
            _ => Err(MemoryError::Foreign),
        }
    }

    /// Whether a file that begins so was one of ours before its first lines were broken.
    #[must_use]
    pub fn resembles(content: &[u8]) -> bool {
        let mut lines = content.split(|byte| *byte == b'\n');
        lines.any(|line| line.starts_with(BODY.as_bytes()))
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// [`MemoryError`] for everything that [`Memory::encode`] did not write.
    pub fn decode(content: &[u8]) -> Result<Self, MemoryError> {
        Self::check_version(content)?;
        let (_, rest) = line(content).ok_or(MemoryError::Foreign)?;
        let (sum, body) = line(rest).ok_or(MemoryError::Damaged)?;
        if sum != digest(body).as_bytes() {
            return Err(MemoryError::Damaged);
        }
        let Body { saved_at, routes } =
            serde_json::from_slice(body).map_err(|_| MemoryError::Damaged)?;
        let saved_at = SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(saved_at))
            .ok_or(MemoryError::Damaged)?;
        Ok(Self { saved_at, routes })
    }
}

fn millis(wall: SystemTime) -> u64 {
    let since = wall
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The text before the first line break and behind it.
fn line(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = content.iter().position(|byte| *byte == b'\n')?;
    Some((&content[..end], &content[end + 1..]))
}

fn digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

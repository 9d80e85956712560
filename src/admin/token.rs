//! Bearer tokens. Only their digests are kept, so that no core dump and no log line can show one.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use crate::config::open_regular;
use crate::config::plan::AdminPlan;

/// How late a rotated file is noticed.
const FRESH: Duration = Duration::from_secs(1);
/// The most bytes of a token file.
const MAX_BYTES: u64 = 64 * 1024;

/// The digest of a token. Comparing two takes the same time wherever they differ.
#[derive(Clone, Copy)]
pub(super) struct TokenDigest([u8; 32]);

/// The token that a request's must equal.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// No token is configured.
    None,
    /// One is configured but its file cannot be read: no token is accepted.
    Unreadable,
    /// This one.
    Token(TokenDigest),
}

/// Both tokens as they are now.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// May change state.
    pub(super) operator: Expected,
    /// May read.
    pub(super) reader: Expected,
}

/// The token files, read again when they were last read a second ago.
#[derive(Default)]
pub(super) struct Keyring(Mutex<Files>);

#[derive(Default)]
struct Files {
    operator: TokenFile,
    reader: TokenFile,
}

#[derive(Default)]
struct TokenFile {
    path: PathBuf,
    read_at: Option<Instant>,
    digest: Option<TokenDigest>,
}

impl TokenDigest {
    /// The digest of that token.
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether both are digests of the same token.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let different = self
            .0
            .iter()
            .zip(&other.0)
            .fold(0, |seen, (a, b)| seen | (a ^ b));
        std::hint::black_box(different) == 0
    }
}

impl Expected {
    /// Whether a token is configured.
    pub(super) fn is_configured(&self) -> bool {
        match self {
            Self::None => false,
            Self::Unreadable | Self::Token(_) => true,
        }
    }

    /// Whether that token fits.
    pub(super) fn accepts(&self, token: &TokenDigest) -> bool {
        match self {
            Self::None | Self::Unreadable => false,
            Self::Token(expected) => expected.fits(token),
        }
    }
}

impl Keyring {
    /// The tokens that the plan names, as in their files now or within the last second.
    pub(super) fn keys(&self, plan: &AdminPlan, now: Instant) -> Keys {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Keys {
            operator: files
                .operator
                .expected(plan.operator_token_file.as_deref(), now),
            reader: files
                .reader
                .expected(plan.reader_token_file.as_deref(), now),
        }
    }
}

impl TokenFile {
    fn expected(&mut self, path: Option<&Path>, now: Instant) -> Expected {
        let Some(path) = path else {
            *self = Self::default();
            return Expected::None;
        };
        let is_fresh = self.path == path
            && self
                .read_at
                .is_some_and(|at| now.saturating_duration_since(at) < FRESH);
        if !is_fresh {
            self.read(path, now);
        }
        self.digest.map_or(Expected::Unreadable, Expected::Token)
    }

    fn read(&mut self, path: &Path, now: Instant) {
        let was_good = self.read_at.is_none() || self.digest.is_some();
        self.digest = match read(path) {
            Ok(digest) => Some(digest),
            Err(error) => {
                if was_good {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(file = %path.display(), error, "Cannot read an admin token, it is refused");
                }
                None
            }
        };
        path.clone_into(&mut self.path);
        self.read_at = Some(now);
    }
}

fn read(path: &Path) -> io::Result<TokenDigest> {
    let mut content = Vec::new();
    open_regular(path)?
        .take(MAX_BYTES)
        .read_to_end(&mut content)?;
    let token = content.trim_ascii();
    if token.is_empty() {
        return Err(io::Error::other("the file is empty"));
    }
    Ok(TokenDigest::of(token))
}

/// The token that a request presents: one `Authorization` field with the scheme `Bearer`.
pub(super) fn presented(headers: &HeaderMap) -> Option<TokenDigest> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then(|| TokenDigest::of(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(path: &Path) -> AdminPlan {
        AdminPlan {
            operator_token_file: Some(path.to_owned()),
            reader_token_file: None,
            allowed_hosts: Vec::new(),
        }
    }

    #[test]
    fn a_token_is_read_again_after_a_second_and_its_newline_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let (ring, plan, now) = (Keyring::default(), plan(&path), crate::time::now());
        let fits = |token: &str, now| {
            ring.keys(&plan, now)
                .operator
                .accepts(&TokenDigest::of(token.as_bytes()))
        };
        assert!(fits("first", now) && !fits("first\n", now) && !fits("second", now));

        std::fs::write(&path, "second").unwrap();
        assert!(fits("first", now + FRESH - Duration::from_nanos(1)));
        assert!(fits("second", now + FRESH) && !fits("first", now + FRESH));
    }

    #[test]
    fn a_token_file_that_is_gone_or_empty_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (ring, plan, now) = (Keyring::default(), plan(&path), crate::time::now());
        let keys = ring.keys(&plan, now);
        assert!(keys.operator.is_configured() && !keys.reader.is_configured());
        assert!(!keys.operator.accepts(&TokenDigest::of(b"")));
        std::fs::write(&path, "\n").unwrap();
        assert!(
            !ring
                .keys(&plan, now + FRESH)
                .operator
                .accepts(&TokenDigest::of(b""))
        );
    }

    #[test]
    fn only_one_bearer_field_presents_a_token() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            presented(&headers).is_some_and(|token| token.fits(&TokenDigest::of(b"t0k")))
        };
        assert!(of(&["Bearer t0k"]) && of(&["bearer  t0k"]));
        for wrong in [
            &[][..],
            &["t0k"],
            &["Basic t0k"],
            &["Bearer "],
            &["Bearer"],
            &["Bearer x"],
        ] {
            assert!(!of(wrong), "{wrong:?}");
        }
        assert!(!of(&["Bearer t0k", "Bearer t0k"]));
    }
}

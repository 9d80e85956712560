//! What a request says of the host that it is for, where its line shows that.

use http::HeaderValue;
use http::uri::Authority;

use super::access_log::Hosts;

/// What a request says of the host that it is for.
#[derive(Debug, Default)]
pub struct Target {
    hosts: Option<(Authority, HeaderValue)>,
    tunnel: Option<Authority>,
}

impl Target {
    /// Records the target's authority and the `Host` field, where they differ or the target's is refused.
    pub fn differs(&mut self, target: Authority, field: HeaderValue) {
        self.hosts = Some((target, field));
    }

    /// Records that the caller asked for a tunnel to there; it has no user.
    pub fn tunnels(&mut self, to: Authority) {
        self.tunnel = Some(to);
    }

    pub(super) fn hosts(&self) -> Option<Hosts<'_>> {
        self.hosts.as_ref().map(|(target, field)| Hosts {
            target: without_user(target.as_str().as_bytes()),
            field: without_user(field.as_bytes()),
        })
    }

    pub(super) fn tunnel(&self) -> Option<&[u8]> {
        self.tunnel.as_ref().map(|to| to.as_str().as_bytes())
    }
}

/// An authority without what stands before its last `@`: that may be a password.
fn without_user(authority: &[u8]) -> &[u8] {
    let start = authority.iter().rposition(|byte| *byte == b'@');
    start.map_or(authority, |at| &authority[at + 1..])
}

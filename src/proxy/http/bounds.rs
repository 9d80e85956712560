//! What a call may not do: over HTTP/2 have a larger head than the configuration allows; and on its route, where requests are read
//! strictly, be two callers at once, or leave the directory that the configuration names.

use super::call::Call;
use super::key::refuse_several;
use super::reply::Refusal;
use crate::config::plan::{HttpPlan, RoutePlan};
use crate::failure::Failure;
use crate::snapshot::Way;
use crate::snapshot::router::is_under;

/// Refuses a head over HTTP/2 that is larger than allowed. Over HTTP/1 the HTTP library does so.
///
/// # Errors
/// [`Failure::HeadersTooLarge`].
pub(super) fn refuse_too_large(call: &Call, limits: &HttpPlan) -> Result<(), Refusal> {
    let Some(head) = call.decoded() else {
        return Ok(());
    };
    let (count, size) = (head.count(), head.size());
    let detail = if count > limits.max_headers {
        format!("the request has {count} header fields, more than `http.max_headers` allows")
    } else if size > limits.max_header_bytes {
        format!(
            "the request's head has {size} bytes with 32 for each field (RFC 9113 §6.5.2), more than `http.max_header_bytes` allows"
        )
    } else {
        return Ok(());
    };
    Err(Refusal::new(Failure::HeadersTooLarge, detail))
}

/// Refuses what another server could read as a call that the configuration does not mean.
///
/// # Errors
/// [`Failure::BadRequest`].
pub(super) fn refuse_outside(call: &Call, plan: &RoutePlan, way: &Way) -> Result<(), Refusal> {
    refuse_several(plan, call.headers())?;
    if leaves(call.uri.path(), plan, way) {
        let detail = "the path has `..` segments that lead above the base path of the route's upstream, or above the prefix of its match (RFC 3986 §5.2.4)";
        return Err(Refusal::new(Failure::BadRequest, detail));
    }
    Ok(())
}

/// Whether a path climbs above what bounds it: the base path of the upstream, or the prefix of a match that stays in the path.
fn leaves(path: &str, plan: &RoutePlan, way: &Way) -> bool {
    let base = plan.upstream.base_path.as_str();
    let rest = path.get(way.strip..).unwrap_or_default();
    let prefix = plan
        .matches
        .as_deref()
        .and_then(|it| it.path_prefix.as_deref());
    let kept = prefix.filter(|_| way.strip == 0).into_iter();
    // Who writes the upstream's own URL has its base path in it.
    let own = (!way.prepend_base).then_some(base).into_iter();
    let within = kept.chain(own).filter(|bound| is_under(rest, bound));
    let longest = within.map(str::len).max().unwrap_or_default();
    let is_bounded = longest > 0 || way.prepend_base && !base.is_empty();
    is_bounded && climbs(&rest[longest..])
}

/// Whether a path leads above its beginning for any server: one that takes escaped slashes and backslashes for slashes, leaves out empty
/// segments or cuts parameters off, or one that does none of this.
fn climbs(path: &str) -> bool {
    let dots = path.contains("..") || path.contains("%2e") || path.contains("%2E");
    dots && {
        let path = path.replace("%2e", ".").replace("%2E", ".");
        let slashed = ["%2f", "%2F", "%5c", "%5C", "\\"]
            .iter()
            .fold(path.clone(), |path, slash| path.replace(slash, "/"));
        leads_up(&path) || leads_up(&slashed)
    }
}

fn leads_up(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in path.split('/') {
        let name = segment.split_once(';').map_or(segment, |(name, _)| name);
        match name {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_climbs_if_any_server_could_read_it_so() {
        for path in [
            "/..",
            "/../admin",
            "/%2e%2e/admin",
            "/%2E./admin",
            "/..%2fadmin",
            "/..%5Cadmin",
            "/..\\admin",
            "/..;/admin",
            "/..;x=1/admin",
            "//../admin",
            "/./../admin",
            "/a/../../admin",
            "/a%2f..%2f..%2fadmin",
            // Two segments for some, one for others.
            "/a%2fb/../../admin",
            "..",
        ] {
            assert!(climbs(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/./b",
            "/.../b",
            "/..a/b..",
            "/group%2Fproject/1.2..3",
            "/%252e%252e/b",
            "/a%2fb/../c",
            "/.well-known/x",
        ] {
            assert!(!climbs(path), "{path}");
        }
    }
}

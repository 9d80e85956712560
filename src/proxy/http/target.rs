//! The request target on its way through: behind the prefix, the path is forwarded byte for byte as it was routed.

use http::uri::{Authority, InvalidUri, PathAndQuery, Scheme};
use http::{Uri, uri};

use crate::arena::Arena;
use crate::snapshot::Way;

/// The path and query for the upstream.
///
/// # Errors
/// When base path and rest make no valid target together; each was valid by itself, so this is a defect of ours.
pub(super) fn rewrite(
    target: &PathAndQuery,
    way: &Way,
    base_path: &str,
    arena: &Arena,
) -> Result<PathAndQuery, InvalidUri> {
    let base = if way.prepend_base { base_path } else { "" };
    if base.is_empty() && way.strip == 0 {
        return Ok(target.clone());
    }
    let rest = target.as_str().get(way.strip..).unwrap_or_default();
    let slash = if rest.starts_with('/')
        || (rest.starts_with('?') || rest.is_empty()) && !base.is_empty()
    {
        ""
    } else {
        "/"
    };
    PathAndQuery::from_maybe_shared(arena.join(&[base, slash, rest].map(str::as_bytes)))
}

/// The target as HTTP/1.1 writes it: the path alone.
pub(super) fn origin_form(path: PathAndQuery) -> Uri {
    Uri::from(path)
}

/// The target as HTTP/2 needs it: with `:scheme` and `:authority`.
///
/// # Errors
/// When the three make no URI together; each was valid by itself, so this is a defect of ours.
pub(super) fn absolute_form(
    path: PathAndQuery,
    scheme: Scheme,
    authority: Authority,
) -> Result<Uri, uri::InvalidUriParts> {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(target: &'static str, strip: usize, base: &str) -> String {
        let way = Way {
            route: 0,
            strip,
            prepend_base: true,
        };
        rewrite(
            &PathAndQuery::from_static(target),
            &way,
            base,
            &Arena::default(),
        )
        .unwrap()
        .to_string()
    }

    #[test]
    fn the_prefix_is_cut_and_the_base_path_put_in_front() {
        assert_eq!(
            forward("/whatsapp/v19.0/1?x=/a//b", 9, ""),
            "/v19.0/1?x=/a//b"
        );
        assert_eq!(forward("/whatsapp", 9, ""), "/");
        assert_eq!(forward("/whatsapp?x", 9, ""), "/?x");
        assert_eq!(forward("/whatsapp/", 9, ""), "/");
        assert_eq!(forward("/partner/a", 8, "/api/v2"), "/api/v2/a");
        assert_eq!(forward("/partner?a", 8, "/api/v2"), "/api/v2?a");
        assert_eq!(forward("/partner", 8, "/api/v2"), "/api/v2");
    }

    #[test]
    fn what_follows_the_prefix_is_not_touched_by_a_byte() {
        for rest in [
            "/a/../admin",
            "/a/%2e%2e/admin",
            "//admin",
            "/%61dmin",
            "/admin;x?y=%20",
        ] {
            let target: PathAndQuery = format!("/r{rest}").parse().unwrap();
            let way = Way {
                route: 0,
                strip: 2,
                prepend_base: true,
            };
            assert_eq!(
                rewrite(&target, &way, "", &Arena::default())
                    .unwrap()
                    .as_str(),
                rest
            );
        }
    }
}

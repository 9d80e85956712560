//! Keeps web pages from using a browser to give orders: checks the `Host`, the origin and the content type of a request.

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, StatusCode};

use super::access::Caller;
use super::reply::Problem;
use crate::wire::essence;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Accepts a request over TCP only for a loopback host or one of `allowed`, whatever the port. A page whose name was rebound to
/// our address (DNS rebinding) still sends its own name.
///
/// # Errors
/// 400 without exactly one well-formed `Host`, 403 for another host.
pub(super) fn check_host(
    parts: &Parts,
    caller: &Caller,
    allowed: &[String],
) -> Result<(), Problem> {
    match caller {
        Caller::Unix { .. } => return Ok(()),
        Caller::Tcp { .. } => {}
    }
    let authority = authority(&parts.headers)?;
    let target = parts.uri.authority();
    for host in [Some(&authority), target].into_iter().flatten().map(host) {
        let is_loopback = host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback());
        if !is_loopback && !allowed.contains(&host) {
            return Err(Problem::forbidden(
                "the request names a host that is neither loopback nor one of `admin.allowed_hosts`",
            ));
        }
    }
    Ok(())
}

/// Accepts a change of state only if it does not come from a page of another origin.
///
/// # Errors
/// 403 for another origin, 415 for another content type than JSON.
pub(super) fn check_change(parts: &Parts, caller: &Caller, body: &[u8]) -> Result<(), Problem> {
    let headers = &parts.headers;
    let foreign = || Problem::forbidden("state is not changed for pages of another origin");
    for site in headers.get_all(SEC_FETCH_SITE) {
        if !matches!(site.as_bytes(), b"same-origin" | b"none") {
            return Err(foreign());
        }
    }
    for origin in headers.get_all(ORIGIN) {
        let own = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://"))
            .and_then(|origin| origin.parse::<Authority>().ok());
        if own.is_none_or(|own| authority(headers).ok() != Some(own)) {
            return Err(foreign());
        }
    }
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let is_fine = match (kinds.next(), kinds.next()) {
        (Some(kind), None) => essence(kind.as_bytes()).eq_ignore_ascii_case(b"application/json"),
        (None, _) => body.is_empty() && matches!(caller, Caller::Unix { .. }),
        (Some(_), Some(_)) => false,
    };
    if is_fine {
        Ok(())
    } else {
        Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `Content-Type: application/json`, with an empty body or a JSON object",
        ))
    }
}

fn authority(headers: &HeaderMap) -> Result<Authority, Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        (Some(_), Some(_)) | (None, _) => None,
    }
    .filter(|authority| !authority.as_str().contains('@'))
    .ok_or_else(|| Problem::bad_request("the request needs exactly one well-formed `Host`"))
}

/// The host in lower case, without brackets.
fn host(authority: &Authority) -> String {
    let host = authority.host();
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .to_ascii_lowercase()
}

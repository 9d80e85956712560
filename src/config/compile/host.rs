//! Host names and addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::problem::Code;
use crate::config::units::Invalid;

/// Reads a host without port: lower-cased name, IPv4 address, or IPv6 address with or without brackets (returned without).
pub(super) fn host(text: &str) -> Result<String, Invalid> {
    let malformed = |what: &str| Err(Invalid::new(Code::Malformed, what));
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = inner.unwrap_or(text).parse::<Ipv6Addr>() {
        return Ok(address.to_string());
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        return Ok(text.to_owned());
    }
    if !text.is_ascii() {
        return Err(Invalid::new(Code::Malformed, "must be written in ASCII")
            .hint("write the `xn--…` form of the name"));
    }
    if text.contains("://") || text.contains('/') {
        return malformed("must be a host alone, not a URL");
    }
    if text.contains(':') {
        return malformed("must be a host without a port");
    }
    if let Some(name) = text.strip_suffix('.')
        && let Ok(name) = host(name)
    {
        return Err(Invalid::new(Code::Malformed, "must be without a final dot")
            .hint(format!("write `{name}`")));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > 253 || numeric || !text.split('.').all(label) {
        return Err(Invalid::new(Code::Malformed, "is no host name or address")
            .hint("write it like `api.example.com` or `10.0.0.1`"));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn hosts_are_names_or_addresses_in_lower_case() {
        assert_eq!(
            host("Graph.Facebook.COM").as_deref(),
            Ok("graph.facebook.com")
        );
        assert_eq!(host("localhost").as_deref(), Ok("localhost"));
        assert_eq!(host("my_service").as_deref(), Ok("my_service"));
        assert_eq!(host("127.0.0.1").as_deref(), Ok("127.0.0.1"));
        assert_eq!(host("[::1]").as_deref(), Ok("::1"));
        assert_eq!(host("0:0::1").as_deref(), Ok("::1"));
    }

    #[test]
    fn what_cannot_be_dialled_is_no_host() {
        for text in [
            "",
            ".",
            "a..b",
            "a.",
            "-a",
            "a-",
            "a b",
            "1.2.3",
            "256.1.1.1",
            "a:80",
            "[::1]:80",
            "http://a",
            "a/b",
            "münchen.de",
            "a%00b",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}

//! The head of a request over HTTP/2, which the HTTP library has decoded: no byte of it is framed by what it says, but the next hop may
//! still read another request than we did.

use http::header::{COOKIE, HOST, HeaderMap};

use super::Flaw;
use super::value::Host;

/// The parts of such a head.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// `:scheme`.
    pub scheme: Option<&'a str>,
    /// `:authority`.
    pub authority: Option<&'a str>,
    /// `:path` without its query, or with it.
    pub path: &'a str,
    /// The fields.
    pub fields: &'a HeaderMap,
}

impl Decoded<'_> {
    /// How many fields it has. Of `Cookie` there may be many in place of one (RFC 9113 §8.2.3).
    #[must_use]
    pub fn count(&self) -> usize {
        let cookies = self.fields.get_all(COOKIE).iter().count();
        self.fields.len() - cookies.saturating_sub(1)
    }

    /// How large it is: its names and values, and 32 bytes for each (RFC 9113 §6.5.2).
    #[must_use]
    pub fn size(&self) -> usize {
        let fields = self.fields.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 32);
        let target = self.authority.map_or(0, str::len) + self.path.len();
        fields.sum::<usize>() + target
    }

    /// What is wrong with it by the rules for HTTP/1, as far as they hold for HTTP/2 as well (RFC 9113 §8.2.1 and §8.3.1).
    #[must_use]
    pub fn flaw(&self) -> Option<Flaw> {
        if let Some(flaw) = flaw_of_target(self.scheme, self.authority) {
            return Some(flaw);
        }
        if !self.path.is_ascii() {
            return Some(Flaw::Target);
        }
        let mut hosts = self.fields.get_all(HOST).iter();
        if let Some(host) = hosts.next() {
            if hosts.next().is_some() {
                return Some(Flaw::SeveralHosts);
            }
            let host = host.as_bytes();
            if !Host::is_one(host) {
                return Some(Flaw::Host);
            }
            let differs = |other: &str| !other.as_bytes().eq_ignore_ascii_case(host);
            if self.authority.is_some_and(differs) {
                return Some(Flaw::OtherHost);
            }
        } else if self.authority.is_none() {
            return Some(Flaw::NoHost);
        }
        let is_spaced = |value: &[u8]| value.trim_ascii().len() < value.len();
        let mut values = self.fields.values();
        values
            .any(|value| is_spaced(value.as_bytes()))
            .then_some(Flaw::SpacedValue)
    }
}

/// What is wrong with the scheme and the authority of a target, in either version of HTTP.
#[must_use]
pub fn flaw_of_target(scheme: Option<&str>, authority: Option<&str>) -> Option<Flaw> {
    let is_ours = |scheme: &str| matches!(scheme, "http" | "https");
    if scheme.is_some_and(|scheme| !is_ours(scheme)) {
        return Some(Flaw::Scheme);
    }
    let is_host = |authority: &str| Host::is_one(authority.as_bytes());
    authority
        .is_some_and(|authority| !is_host(authority))
        .then_some(Flaw::Authority)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn flaw(authority: &str, path: &str, fields: &[(&'static str, &'static str)]) -> Option<Flaw> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        let decoded = Decoded {
            scheme: Some("http"),
            authority: Some(authority),
            path,
            fields: &map,
        };
        decoded.flaw()
    }

    #[test]
    fn a_head_that_the_next_hop_could_read_otherwise_has_a_flaw() {
        for (authority, path, fields, expected) in [
            ("u:p@a", "/", &[][..], Flaw::Authority),
            ("a:99999", "/", &[], Flaw::Authority),
            ("a", "/é", &[], Flaw::Target),
            (
                "a",
                "/",
                &[("host", "a"), ("host", "a")],
                Flaw::SeveralHosts,
            ),
            ("a", "/", &[("host", "u@a")], Flaw::Host),
            ("a", "/", &[("host", "b")], Flaw::OtherHost),
            ("a", "/", &[("x-tenant", "a ")], Flaw::SpacedValue),
            ("a", "/", &[("x-tenant", "\ta")], Flaw::SpacedValue),
        ] {
            assert_eq!(flaw(authority, path, fields), Some(expected), "{fields:?}");
        }
        for (authority, path, fields) in [
            ("a:80", "/b c?d", &[("host", "A:80"), ("x", "")][..]),
            ("[::1]:8080", "", &[("x", "a b")]),
        ] {
            assert_eq!(flaw(authority, path, fields), None, "{fields:?}");
        }
    }

    #[test]
    fn a_head_without_any_host_has_a_flaw() {
        let mut fields = HeaderMap::new();
        let flaw = |fields: &HeaderMap| {
            let decoded = Decoded {
                scheme: Some("http"),
                authority: None,
                path: "/",
                fields,
            };
            decoded.flaw()
        };
        assert_eq!(flaw(&fields), Some(Flaw::NoHost));
        fields.insert(HOST, HeaderValue::from_static("a"));
        assert_eq!(flaw(&fields), None);
    }

    #[test]
    fn a_head_is_as_large_as_its_names_and_values_with_32_bytes_for_each_field() {
        let mut fields = HeaderMap::new();
        for cookie in ["a=1", "b=2"] {
            fields.append(COOKIE, HeaderValue::from_static(cookie));
        }
        fields.append("x", HeaderValue::from_static("y"));
        let decoded = Decoded {
            scheme: Some("http"),
            authority: Some("a"),
            path: "/b",
            fields: &fields,
        };
        assert_eq!(decoded.count(), 2, "one of them in two pieces");
        assert_eq!(decoded.size(), 2 * (6 + 3 + 32) + (1 + 1 + 32) + 1 + 2);
    }

    #[test]
    fn a_target_is_of_http_or_https() {
        assert_eq!(flaw_of_target(Some("ftp"), Some("a")), Some(Flaw::Scheme));
        assert_eq!(flaw_of_target(Some("https"), Some("a")), None);
        assert_eq!(flaw_of_target(None, None), None);
    }
}

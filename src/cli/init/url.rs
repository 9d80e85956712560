//! The URL of a service, and what of it may be printed.

use http::Uri;

/// The URL of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// `https://api.example.com`, the host in lower case, without a port that the scheme has anyway.
    pub(super) origin: String,
    /// The host, without brackets.
    pub(super) host: String,
    /// The rest of the URL, without anything that may be a secret.
    path: String,
    has_user: bool,
}

impl Url {
    /// `None` for what is no HTTP URL, or one with a reference or placeholder that cannot be resolved here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, _) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let uri: Uri = text.split('#').next()?.parse().ok()?;
        let authority = uri.authority()?;
        let host = authority.host().to_ascii_lowercase();
        let origin = match authority.port_u16() {
            Some(port) if port != usual => format!("{scheme}://{host}:{port}"),
            Some(_) | None => format!("{scheme}://{host}"),
        };
        let mut path = uri.path().trim_end_matches('/').to_owned();
        if path.split('/').any(is_secret) {
            path = path
                .split('/')
                .map(|segment| if is_secret(segment) { "…" } else { segment })
                .collect::<Vec<_>>()
                .join("/");
        }
        if uri.query().is_some() {
            path.push_str("?…");
        }
        Some(Self {
            origin,
            host: host.trim_matches(['[', ']']).to_owned(),
            path,
            has_user: authority.as_str().contains('@'),
        })
    }

    /// The same URL by way of sidefuse's route.
    pub(super) fn through(&self, route: &str) -> String {
        let user = if self.has_user { "…@" } else { "" };
        format!("http://{user}127.0.0.1:7900/{route}{}", self.path)
    }

    /// Whether something of it is left out.
    pub(super) fn is_cut(&self) -> bool {
        self.has_user || self.path.contains('…')
    }
}

/// Whether a segment of a path looks like a key: long, or with letters and digits mixed over some length.
fn is_secret(segment: &str) -> bool {
    let has = |of: fn(&char) -> bool| segment.chars().any(|c| of(&c));
    let is_mixed = has(char::is_ascii_digit) && has(|c| c.is_ascii_alphabetic());
    segment.len() >= 24 || segment.len() >= 9 && is_mixed || segment.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        let url = Url::parse(text)?;
        Some(format!("{} {}", url.origin, url.through("x")))
    }

    #[test]
    fn a_url_keeps_its_path_and_loses_what_may_be_secret() {
        for (text, expected) in [
            (
                "https://graph.facebook.com/v19.0",
                "https://graph.facebook.com http://127.0.0.1:7900/x/v19.0",
            ),
            (
                "HTTPS://API.Example.com:443/",
                "https://api.example.com http://127.0.0.1:7900/x",
            ),
            (
                "http://[::1]:8080",
                "http://[::1]:8080 http://127.0.0.1:7900/x",
            ),
            (
                "https://me:hush@a.example.com/b?key=hush#hush",
                "https://a.example.com http://…@127.0.0.1:7900/x/b?…",
            ),
            (
                "https://hooks.example.com/services/T0HUSH4711/B0/x",
                "https://hooks.example.com http://127.0.0.1:7900/x/services/…/B0/x",
            ),
        ] {
            assert_eq!(told(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_http_is_none() {
        for text in [
            "",
            "https://",
            "postgres://a/b",
            "mailto:a@b",
            "https://bücher.example",
            "https://${HOST}/",
            "https://a b",
            "//a.example.com",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}

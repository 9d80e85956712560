//! `upstream:` of a route.

use std::collections::HashSet;
use std::net::IpAddr;

use ::http::{HeaderValue, Uri};
use sha2::{Digest, Sha256};

use super::Scope;
use super::endpoints::endpoints;
use super::host::host;
use super::scheme::{of_another_protocol, scheme_missing};
use crate::config::certificates::check_authorities;
use crate::config::fields::{Fields, value};
use crate::config::files::{Secrecy, file};
use crate::config::plan::{PoolPlan, PublicFile, Resolve, TlsPlan, UpstreamPlan};
use crate::config::problem::{Code, Problem};
use crate::config::tree::{Entry, Span, Value};
use crate::config::units::Invalid;

/// Reads the upstream whose key is at `place`; `None` when it has no usable URL, which was reported.
pub(super) fn upstream(
    fields: &mut Fields<'_, '_>,
    place: Span,
    scope: Scope,
) -> Option<UpstreamPlan> {
    let url = match scope {
        Scope::Route(route) => url(fields, place.or(route)),
        Scope::Shared => {
            fields.refuse("url", "of an upstream belongs to a route");
            fields.refuse("also_hosts", "of an upstream belongs to a route");
            fields.refuse("endpoints", "of an upstream belong to a route");
            None
        }
    };
    let endpoints = match scope {
        Scope::Route(_) => endpoints(fields, url.as_ref().map(|url| url.port)),
        Scope::Shared => Vec::new(),
    };
    let place = fields.key_span("resolve").unwrap_or(Span::BUILT_IN);
    let resolve = fields.setting("resolve");
    let also_hosts = match scope {
        Scope::Route(_) => also_hosts(fields, url.as_ref()),
        Scope::Shared => Vec::new(),
    };
    let version = fields.setting("http");
    let tls_written = fields.key_span("tls");
    let ca_file = fields.section("tls", tls);
    let pool = fields.section("pool", |fields| pool(fields, scope));
    let connect_timeout = fields.setting("connect_timeout");

    let url = url?;
    if resolve == Resolve::All {
        let has_name = url.host.parse::<IpAddr>().is_err();
        let why = match (endpoints.is_empty(), has_name) {
            (false, _) => Some("the upstream's `endpoints` are given already"),
            (true, false) => Some("the upstream's host is an address, not a name"),
            (true, true) => None,
        };
        if let Some(why) = why {
            let message = format!("`resolve: all` has nothing to look up: {why}");
            let problem = Problem::error(Code::Resolve, place, message);
            fields.problems.push(problem.hint("remove it"));
        }
    }
    if let (false, Some(span)) = (url.tls, tls_written) {
        let problem = Problem::error(
            Code::Url,
            span,
            "`tls` is set, but the upstream's URL begins with `http://`",
        );
        fields
            .problems
            .push(problem.hint("write `https://`, or remove `tls`"));
    }
    Some(UpstreamPlan {
        tls: url.tls.then_some(TlsPlan { ca_file }),
        host: url.host,
        port: url.port,
        authority: url.authority,
        base_path: url.base_path,
        endpoints,
        resolve,
        also_hosts,
        http: version,
        pool,
        connect_timeout,
    })
}

/// The parts of a URL.
struct Url {
    tls: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
    base_path: String,
}

fn url(fields: &mut Fields<'_, '_>, place: Span) -> Option<Url> {
    let Some(Entry { node, .. }) = fields.take("url") else {
        let missing = Problem::error(Code::Missing, place, "the route has no upstream");
        fields
            .problems
            .push(missing.hint("add `upstream: https://…`"));
        return None;
    };
    value("upstream", node, fields.problems, parse_url)
}

/// Reads a URL. Messages never repeat one that may hold a password.
fn parse_url(text: &str) -> Result<Url, Invalid> {
    const EXAMPLE: &str = "write it like `https://api.example.com`";
    let invalid = |what: &str| Invalid::new(Code::Url, what);
    if let Some(hint) = of_another_protocol(text) {
        return Err(invalid("must be an `http://` or `https://` URL").hint(hint));
    }
    if text.contains(['?', '#']) {
        let hint = "leave out what begins with `?` or `#`: calls bring their own";
        return Err(invalid("must be a URL without query and fragment").hint(hint));
    }
    let uri: Uri = text.parse().map_err(|_| {
        let hint = scheme_missing(text).unwrap_or_else(|| EXAMPLE.to_owned());
        invalid("is no URL").hint(hint)
    })?;
    let (tls, standard) = match uri.scheme_str() {
        Some("https") => (true, 443),
        Some("http") => (false, 80),
        Some(_) | None => {
            let hint = scheme_missing(text).unwrap_or_else(|| EXAMPLE.to_owned());
            return Err(invalid("must be an `http://` or `https://` URL").hint(hint));
        }
    };
    let authority = uri
        .authority()
        .ok_or_else(|| invalid("names no host").hint(EXAMPLE))?;
    if authority.as_str().contains('@') {
        let hint = "set the `Authorization` header under `headers.request.set`, from a file";
        return Err(invalid("must not hold a user name or password").hint(hint));
    }
    let name = host(authority.host())
        .map_err(|reason| Invalid::new(Code::Url, format!("has a bad host: it {}", reason.what)))?;
    let port = match (authority.port(), authority.port_u16()) {
        (_, Some(port)) if port > 0 => port,
        (None, None) if authority.as_str().len() == authority.host().len() => standard,
        (_, Some(_) | None) => {
            return Err(invalid("has a port that is not from 1 to 65535").hint(EXAMPLE));
        }
    };
    let bracketed = if name.contains(':') {
        format!("[{name}]")
    } else {
        name.clone()
    };
    let written = if port == standard {
        bracketed
    } else {
        format!("{bracketed}:{port}")
    };
    let authority = HeaderValue::try_from(written).map_err(|_| invalid("has a bad host"))?;
    let base_path = uri.path().trim_end_matches('/').to_owned();
    Ok(Url {
        tls,
        host: name,
        port,
        authority,
        base_path,
    })
}

/// Reads the hosts: each once, in any notation, and not the URL's own.
fn also_hosts(fields: &mut Fields<'_, '_>, url: Option<&Url>) -> Vec<String> {
    const KEY: &str = "also_hosts";
    let written = fields.node(KEY);
    let hosts = fields.list(KEY, host).unwrap_or_default();
    let mut known: HashSet<String> = HashSet::new();
    if let Some(Value::Sequence(items)) = written.map(|node| &node.value) {
        for item in items {
            let Value::Scalar(text) = &item.value else {
                continue;
            };
            let Ok(host) = host(&text.text) else {
                continue;
            };
            let what = if url.is_some_and(|url| url.host == host) {
                "is the upstream's own host"
            } else if known.contains(&host) {
                "is named twice"
            } else {
                known.insert(host);
                continue;
            };
            let message = format!("`{}` {what}", text.shown());
            let problem = Problem::error(Code::SharedHost, item.span, message);
            fields.problems.push(problem.hint("remove it"));
        }
    }
    hosts
}

fn tls(fields: &mut Fields<'_, '_>) -> Option<PublicFile> {
    let node = &fields.take("ca_file")?.node;
    let (path, content) = file("ca_file", node, Secrecy::Public, fields.problems)?;
    let digest = Sha256::digest(&content).into();
    // The defaults are read for every route, and parsing a bundle takes time.
    if fields.problems.is_first_look(&path, node.span) {
        check_authorities("ca_file", &content, node.span, fields.problems);
    }
    Some(PublicFile { path, digest })
}

fn pool(fields: &mut Fields<'_, '_>, scope: Scope) -> PoolPlan {
    let at = |key| fields.key_span(key).unwrap_or(Span::BUILT_IN);
    let place = at("min").or(at("max"));
    let plan = PoolPlan {
        max: fields.setting("max"),
        min: fields.setting("min"),
        acquire_timeout: fields.setting("acquire_timeout"),
        idle_timeout: fields.setting("idle_timeout"),
        evict_every: fields.setting("evict_every"),
        max_lifetime: fields.setting("max_lifetime"),
    };
    if let (Scope::Route(route), true) = (scope, plan.min > plan.max) {
        fields.problems.push(Problem::error(
            Code::Pool,
            place.or(route),
            "the pool's `min` is more than its `max`",
        ));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match parse_url(text) {
            Ok(url) => format!(
                "{} {} {} {:?} {:?}",
                url.tls, url.host, url.port, url.authority, url.base_path
            ),
            Err(invalid) => format!("{} {:?}", invalid.what, invalid.hint),
        }
    }

    #[test]
    fn a_url_is_read_into_its_parts() {
        assert_eq!(
            read("https://Graph.Facebook.com"),
            "true graph.facebook.com 443 \"graph.facebook.com\" \"\""
        );
        assert_eq!(
            read("http://10.0.0.1:8080/base/"),
            "false 10.0.0.1 8080 \"10.0.0.1:8080\" \"/base\""
        );
        assert_eq!(
            read("https://[::1]:443/a/b"),
            "true ::1 443 \"[::1]\" \"/a/b\""
        );
        assert_eq!(read("HTTP://host:80"), "false host 80 \"host\" \"\"");
    }

    #[test]
    fn a_bad_url_is_refused_without_being_repeated() {
        for text in [
            "",
            "host",
            "host:80",
            "/path",
            "ftp://hush",
            "https://",
            "https://hush:",
            "https://hush:99999",
            "https://hush:0",
            "https://a:hush@b",
            "https://a/?hush=1",
            "https://a/#hush",
            "https://hush hush",
            "https://1.2.3",
            "https://hu%73h",
            "https://[hush]",
            "https://[::1",
            "unix:/hush",
            "*",
            "https://:443",
        ] {
            let told = read(text);
            assert!(
                !told.starts_with("true") && !told.starts_with("false"),
                "{text}: {told}"
            );
            assert!(!told.contains("hush"), "{text}: {told}");
        }
    }
}

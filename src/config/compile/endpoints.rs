//! `endpoints:` of an upstream.

use super::host::host;
use crate::config::fields::{Fields, value};
use crate::config::keys::MOST_ENDPOINTS as MOST;
use crate::config::plan::EndpointPlan;
use crate::config::problem::{Code, Problem};
use crate::config::tree::Value;
use crate::config::units::Invalid;

const KEY: &str = "endpoints";

/// Reads the list; an endpoint without a port has that of the URL. Empty when there is none, or no valid item in it.
pub(super) fn endpoints(fields: &mut Fields<'_, '_>, port: Option<u16>) -> Vec<EndpointPlan> {
    let read = |text: &str| endpoint(text, port.unwrap_or(1));
    let entries = fields.entries();
    let written = entries.iter().find(|entry| entry.key.text == KEY);
    let Some(Value::Sequence(items)) = written.map(|entry| &entry.node.value) else {
        return fields.list(KEY, read).unwrap_or_default();
    };
    let place = fields.take(KEY).map_or(fields.span, |entry| entry.key.span);
    let mut refuse = |span, message: String, hint: &str| {
        let problem = Problem::error(Code::Endpoints, span, message);
        fields.problems.push(problem.hint(hint));
    };
    if items.is_empty() {
        let hint = "remove it: connections then go to the host of the URL";
        refuse(place, "`endpoints` names none".to_owned(), hint);
    }
    if items.len() > MOST {
        let message = format!("`endpoints` names {}; {MOST} are allowed", items.len());
        refuse(place, message, "divide them among several routes");
        return Vec::new();
    }
    let mut endpoints: Vec<EndpointPlan> = Vec::with_capacity(items.len());
    for item in items {
        let Some(endpoint) = value(KEY, item, fields.problems, read) else {
            continue;
        };
        if endpoints.contains(&endpoint) {
            let problem =
                Problem::error(Code::Endpoints, item.span, "this endpoint is named twice");
            let hint = "remove one: the load is spread evenly as it is";
            fields.problems.push(problem.hint(hint));
        } else {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

/// `host`, `host:port`, `[IPv6]:port`, or an IPv6 address alone.
fn endpoint(text: &str, standard: u16) -> Result<EndpointPlan, Invalid> {
    const EXAMPLE: &str = "write it like `10.0.0.1:8443` or `[::1]:8443`";
    let invalid = |what: &str| Invalid::new(Code::Endpoint, what).hint(EXAMPLE);
    if text.contains("://") || text.contains('/') {
        return Err(invalid("must be `host[:port]`, not a URL"));
    }
    let is_bracketed = text.starts_with('[');
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if is_bracketed && name.ends_with(']') => (name, Some(port)),
        Some((name, port)) if !is_bracketed && !name.contains(':') => (name, Some(port)),
        Some(_) | None => (text, None),
    };
    let port = match port {
        None => standard,
        Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(invalid("has a bad port"));
        }
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => return Err(invalid("has a port that is not from 1 to 65535")),
            Ok(port) => port,
        },
    };
    match host(name) {
        Ok(host) => Ok(EndpointPlan { host, port }),
        Err(reason) => Err(invalid(&format!("has a bad host: it {}", reason.what))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_with_a_port_or_with_that_of_the_url() {
        let read = |text| endpoint(text, 443).map(|endpoint| endpoint.label());
        for (text, meant) in [
            ("10.0.0.1:8443", "10.0.0.1:8443"),
            ("10.0.0.1", "10.0.0.1:443"),
            ("A.Example.com:1", "a.example.com:1"),
            ("[::1]:8443", "[::1]:8443"),
            ("[::1]", "[::1]:443"),
            ("fe80::1", "[fe80::1]:443"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(meant), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a: 1",
            "a:b",
            "a b",
            "http://a",
            "a/b",
            "1.2.3:80",
            "[::1",
            "[::1]x",
            "[]:80",
            "user@a:80",
        ] {
            let told = read(text).unwrap_err();
            assert_eq!(told.code, Code::Endpoint, "{text}");
        }
    }
}

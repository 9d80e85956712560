//! What somebody meant whose upstream does not begin with `http://` or `https://`.

use std::net::IpAddr;

/// Protocols that people name as an upstream and that are no HTTP.
const OTHERS: [&str; 18] = [
    "redis",
    "rediss",
    "mysql",
    "mariadb",
    "postgres",
    "postgresql",
    "mongodb",
    "mongodb+srv",
    "amqp",
    "amqps",
    "kafka",
    "nats",
    "memcached",
    "smtp",
    "smtps",
    "ldap",
    "ldaps",
    "tcp",
];

/// What to do about a URL of a protocol that no route carries. Nothing but its scheme is repeated.
pub(super) fn of_another_protocol(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "ws" => Some("write `http://`: a WebSocket begins as a call of HTTP".to_owned()),
        "wss" => Some("write `https://`: a WebSocket begins as a call of HTTP".to_owned()),
        _ => OTHERS.contains(&scheme.as_str()).then(|| {
            format!(
                "routes carry HTTP only: let the application go on calling `{scheme}://` itself"
            )
        }),
    }
}

/// What to write for a URL without its scheme, or for the name of a variable; nothing else is repeated.
pub(super) fn scheme_missing(text: &str) -> Option<String> {
    let is = |text: &str, also: &[char]| {
        let plain = |c: char| c.is_ascii_alphanumeric() || also.contains(&c);
        !text.is_empty() && text.len() <= 100 && text.chars().all(plain)
    };
    match text.strip_prefix('$') {
        Some(variable) if is(variable, &['_']) => Some(format!("write `${{{variable}}}`")),
        None if (text.contains(['.', ':']) || text == "localhost")
            && is(text, &['.', '-', ':', '/', '[', ']'])
            && !text.contains("//")
            && has_place(text) =>
        {
            Some(if is_near(text) {
                format!("write `http://{text}`, or `https://` if it speaks TLS")
            } else {
                format!("write `https://{text}`, or `http://` if it speaks no TLS")
            })
        }
        Some(_) | None => None,
    }
}

/// Whether it begins with a host, or a host and a port.
fn has_place(text: &str) -> bool {
    let place = text.split('/').next().unwrap_or_default();
    let port = place.rsplit(']').next().unwrap_or_default();
    port.split_once(':')
        .is_none_or(|(_, port)| port.parse::<u16>().is_ok())
}

/// Whether a host, perhaps with a port and a path, is of the kind that rarely has a certificate: this machine, or a name that only a
/// cluster or a house knows.
fn is_near(text: &str) -> bool {
    const PRIVATE: [&str; 3] = ["local", "internal", "svc"];
    let place = text.split('/').next().unwrap_or_default();
    let host = match place.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => place.split(':').next().unwrap_or_default(),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host
            .rsplit_once('.')
            .is_none_or(|(_, last)| PRIVATE.contains(&last.to_ascii_lowercase().as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_offered_http_and_what_is_far_https() {
        for near in [
            "localhost",
            "localhost:3000",
            "localhost:3000/api",
            "127.0.0.1:3000",
            "[::1]:3000",
            "billing:8080",
            "billing.internal",
            "billing.prod.svc:80/x",
            "billing.prod.svc.cluster.local",
        ] {
            let hint = scheme_missing(near).unwrap();
            assert!(
                hint.starts_with(&format!("write `http://{near}`")),
                "{hint}"
            );
        }
        for far in ["api.example.com", "api.example.com:8443/v1", "10.0.0.7:80"] {
            let hint = scheme_missing(far).unwrap();
            assert!(
                hint.starts_with(&format!("write `https://{far}`")),
                "{hint}"
            );
        }
        for none in ["hush", "unix:/hush", "a:hush", "hush://a.b"] {
            assert_eq!(scheme_missing(none), None, "{none}");
        }
        assert_eq!(scheme_missing("$API_URL").unwrap(), "write `${API_URL}`");
    }

    #[test]
    fn of_other_protocols_only_the_scheme_is_told() {
        let hint = of_another_protocol("Postgres://me:hush@db/crm?sslmode=require").unwrap();
        assert!(
            hint.contains("HTTP only") && hint.contains("`postgres://`"),
            "{hint}"
        );
        assert!(!hint.contains("hush") && !hint.contains("crm"), "{hint}");
        assert!(
            of_another_protocol("wss://hush")
                .unwrap()
                .contains("`https://`")
        );
        assert_eq!(of_another_protocol("https://a"), None);
        assert_eq!(of_another_protocol("hush://a"), None);
    }
}

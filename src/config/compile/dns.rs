//! `dns:`, how names of upstreams are looked up.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use crate::config::fields::Fields;
use crate::config::keys::MOST_SERVERS;
use crate::config::plan::DnsPlan;
use crate::config::problem::{Code, Problem};
use crate::config::tree::{Entry, Value};
use crate::config::units::Invalid;

/// The port of DNS (RFC 1035 §4.2).
const DNS: u16 = 53;

pub(super) fn dns(fields: &mut Fields<'_, '_>) -> DnsPlan {
    let written = fields.entries().into_iter();
    for Entry { key, node } in written.filter(|entry| entry.key.text == "servers") {
        let Value::Sequence(items) = &node.value else {
            continue;
        };
        if !(1..=MOST_SERVERS).contains(&items.len()) {
            let message = format!("`servers` must name 1 to {MOST_SERVERS} name servers");
            let problem = Problem::error(Code::NameServers, key.span, message);
            fields
                .problems
                .push(problem.hint("remove it for those of /etc/resolv.conf"));
        }
    }
    let mut known = HashSet::new();
    let servers = fields.list("servers", |text| {
        let address = server(text)?;
        if !known.insert(address) {
            let twice = Invalid::new(Code::NameServers, "names a server twice");
            return Err(twice.hint("remove one: it would be asked twice as long"));
        }
        Ok(address)
    });
    DnsPlan {
        servers: servers.unwrap_or_default(),
        timeout: fields.setting("timeout"),
    }
}

/// An IP address, with a port if it is not 53. A name would have to be looked up first.
fn server(text: &str) -> Result<SocketAddr, Invalid> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare.unwrap_or(text).parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, DNS),
        Err(_) => text.parse().map_err(|_| {
            Invalid::new(
                Code::NameServers,
                "must be an IP address, or one with a port",
            )
            .hint("write it like `10.0.0.2` or `127.0.0.1:5353`")
        })?,
    };
    if address.port() == 0 {
        return Err(Invalid::new(
            Code::NameServers,
            "has a port that is not from 1 to 65535",
        ));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        let read = |text| server(text).map(|address| address.to_string()).ok();
        assert_eq!(read("10.0.0.2").as_deref(), Some("10.0.0.2:53"));
        assert_eq!(read("127.0.0.1:5353").as_deref(), Some("127.0.0.1:5353"));
        assert_eq!(read("fd00::1").as_deref(), Some("[fd00::1]:53"));
        assert_eq!(read("[fd00::1]").as_deref(), Some("[fd00::1]:53"));
        assert_eq!(read("[fd00::1]:5353").as_deref(), Some("[fd00::1]:5353"));
        for bad in [
            "dns.example.com",
            "10.0.0.2:0",
            "10.0.0.2:99999",
            "",
            "[10.0.0.2",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}

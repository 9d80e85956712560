//! `listen:` and `admin:`, which depend on each other.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::host::host;
use crate::config::fields::{Fields, mapping, value};
use crate::config::files::token_file;
use crate::config::keys::{MOST_LISTENERS, PROXY_LISTENER};
use crate::config::plan::{AdminAddress, AdminPlan, ListenPlan};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::readers::or_off;
use crate::config::tree::{Entry, Node, Span, Value};
use crate::config::units::Invalid;

/// The longest path of a unix socket that every system takes.
const LONGEST_SOCKET: usize = 103;

/// An address with the place where it is written.
type Placed<T> = (T, Span);

pub(super) fn listen(file: &mut Fields<'_, '_>) -> (ListenPlan, AdminPlan) {
    let (proxy, admin, health) = file.section("listen", |fields| {
        let proxy = fields
            .take("proxy")
            .map(|entry| proxy(entry, fields.problems));
        let admin = fields
            .take("admin")
            .map(|entry| admin(&entry.node, fields.problems));
        let health = fields.take("health").and_then(|entry| {
            let address = value("health", &entry.node, fields.problems, or_off(socket))?;
            address.map(|address| (address, entry.node.span))
        });
        (proxy, admin, health)
    });
    let built_in = |port: u16| (SocketAddr::from(([127, 0, 0, 1], port)), Span::BUILT_IN);
    let proxy = proxy.unwrap_or_else(|| vec![built_in(7900)]);
    let admin = admin.unwrap_or_else(|| {
        let (address, span) = built_in(7901);
        vec![(Some(AdminAddress::Tcp(address)), span)]
    });
    let admin: Vec<Placed<AdminAddress>> = admin
        .into_iter()
        .filter_map(|(address, span)| Some((address?, span)))
        .collect();

    let (guarded, access) = file.section("admin", |fields| {
        // A token file that cannot be read is reported separately.
        let guarded = fields.has("operator_token_file");
        let access = AdminPlan {
            operator_token_file: token_file(fields, "operator_token_file"),
            reader_token_file: token_file(fields, "reader_token_file"),
            allowed_hosts: fields.list("allowed_hosts", host).unwrap_or_default(),
        };
        (guarded, access)
    });
    if !guarded {
        refuse_open_admin(&admin, file.problems);
    }
    refuse_duplicates(&proxy, &admin, health, file.problems);
    let plan = ListenPlan {
        proxy: proxy.into_iter().map(|(address, _)| address).collect(),
        admin: admin.into_iter().map(|(address, _)| address).collect(),
        health: health.map(|(address, _)| address),
    };
    (plan, access)
}

/// The proxy's addresses: one, a list, or mappings with `address`.
fn proxy(entry: &Entry, problems: &mut Problems) -> Vec<Placed<SocketAddr>> {
    let items = items("proxy", &entry.node, problems);
    if items.is_empty() {
        problems.push(
            Problem::error(Code::NoValue, entry.key.span, "`proxy` names no address")
                .hint("remove it for the default"),
        );
    }
    let mut addresses = Vec::new();
    for item in items {
        let address = match &item.value {
            Value::Mapping(_) => {
                mapping(&PROXY_LISTENER, "proxy", Some(item), problems, |fields| {
                    fields.parse("address", socket)
                })
            }
            Value::Null | Value::Scalar(_) | Value::Sequence(_) | Value::Unusable => {
                value("proxy", item, problems, socket)
            }
        };
        addresses.extend(address.map(|address| (address, item.span)));
    }
    addresses
}

/// The admin port's addresses, one or a list; `None` stands for `off`.
fn admin(node: &Node, problems: &mut Problems) -> Vec<Placed<Option<AdminAddress>>> {
    items("admin", node, problems)
        .iter()
        .filter_map(|item| Some((value("admin", item, problems, admin_address)?, item.span)))
        .collect()
}

/// The items of a list; anything else is a list of one. If there are too many, the first ones.
fn items<'n>(key: &str, node: &'n Node, problems: &mut Problems) -> &'n [Node] {
    match &node.value {
        Value::Sequence(items) if items.len() > MOST_LISTENERS => {
            let message = format!("`{key}` names more than {MOST_LISTENERS} addresses");
            problems.push(Problem::error(Code::Budget, node.span, message));
            &items[..MOST_LISTENERS]
        }
        Value::Sequence(items) => items,
        Value::Null | Value::Scalar(_) | Value::Mapping(_) | Value::Unusable => {
            std::slice::from_ref(node)
        }
    }
}

fn admin_address(text: &str) -> Result<Option<AdminAddress>, Invalid> {
    if text == "off" {
        return Ok(None);
    }
    let Some(path) = text.strip_prefix("unix:") else {
        return socket(text).map(AdminAddress::Tcp).map(Some);
    };
    if !path.starts_with('/') || path.len() > LONGEST_SOCKET {
        let what =
            format!("must name its socket by an absolute path of at most {LONGEST_SOCKET} bytes");
        return Err(
            Invalid::new(Code::Malformed, what).hint("write `unix:/run/sidefuse/admin.sock`")
        );
    }
    Ok(Some(AdminAddress::Unix(PathBuf::from(path))))
}

fn socket(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse().map_err(|_| {
        let invalid = Invalid::new(Code::Malformed, "must be an IP address and a port");
        match text.rsplit_once(':') {
            Some(("", port)) if port.parse::<u16>().is_ok() => {
                invalid.hint(format!("write `127.0.0.1:{port}`"))
            }
            Some(("localhost" | "*", port)) if port.parse::<u16>().is_ok() => {
                let address = if text.starts_with('*') {
                    "0.0.0.0"
                } else {
                    "127.0.0.1"
                };
                invalid.hint(format!("write `{address}:{port}`"))
            }
            Some(_) | None if text.parse::<u16>().is_ok() => {
                invalid.hint(format!("write `127.0.0.1:{text}`"))
            }
            Some(_) | None => {
                invalid.hint("addresses are written like `127.0.0.1:7900` or `[::1]:7900`")
            }
        }
    })
}

fn refuse_open_admin(admin: &[Placed<AdminAddress>], problems: &mut Problems) {
    for (address, span) in admin {
        match address {
            AdminAddress::Tcp(address) if !address.ip().to_canonical().is_loopback() => {
                let message = "the admin port would be open to the network without a token";
                problems.push(Problem::error(Code::OpenAdmin, *span, message).hint(
                    "set `admin.operator_token_file`, or listen on 127.0.0.1 or a unix socket",
                ));
            }
            AdminAddress::Tcp(_) | AdminAddress::Unix(_) => {}
        }
    }
}

/// Two listeners cannot share a port of one address, nor of an address and its wildcard; the IPv6 wildcard includes IPv4. Port
/// 0 is a new port each time.
fn refuse_duplicates(
    proxy: &[Placed<SocketAddr>],
    admin: &[Placed<AdminAddress>],
    health: Option<Placed<SocketAddr>>,
    problems: &mut Problems,
) {
    let mut all: Vec<(AdminAddress, Span, &str)> = Vec::new();
    all.extend(
        proxy
            .iter()
            .map(|(address, span)| (AdminAddress::Tcp(*address), *span, "proxy")),
    );
    all.extend(
        admin
            .iter()
            .map(|(address, span)| (address.clone(), *span, "admin")),
    );
    all.extend(
        health
            .iter()
            .map(|(address, span)| (AdminAddress::Tcp(*address), *span, "health")),
    );
    for (at, later) in all.iter().enumerate() {
        let Some(earlier) = all[..at].iter().find(|earlier| clash(&later.0, &earlier.0)) else {
            continue;
        };
        let ((_, span, _), (_, other, name)) = if later.1.is_in_file() {
            (later, earlier)
        } else {
            (earlier, later)
        };
        let owner = if other.is_in_file() {
            format!("`{name}` in line {}", other.line)
        } else {
            format!("`{name}` by default")
        };
        let problem = Problem::error(
            Code::DuplicateAddress,
            *span,
            "two listeners have the same address",
        );
        problems.push(problem.hint(format!("taken by {owner}")));
    }
}

fn clash(a: &AdminAddress, b: &AdminAddress) -> bool {
    match (a, b) {
        (AdminAddress::Tcp(a), AdminAddress::Tcp(b)) => {
            let (one, other) = (a.ip().to_canonical(), b.ip().to_canonical());
            let covers = |wide: IpAddr, ip: IpAddr| {
                wide.is_unspecified() && (wide.is_ipv6() || ip.is_ipv4())
            };
            a.port() == b.port()
                && a.port() != 0
                && (one == other || covers(one, other) || covers(other, one))
        }
        (AdminAddress::Unix(a), AdminAddress::Unix(b)) => a == b,
        (AdminAddress::Tcp(_), AdminAddress::Unix(_))
        | (AdminAddress::Unix(_), AdminAddress::Tcp(_)) => false,
    }
}

//! Asking: the hosts file first, then the name servers, with the search domains of the system.
//!
//! hickory-resolver speaks to the name servers. Which names are asked for, and what several answers mean together, is decided
//! here: its own rule would query the IPv6 address of a name that has an IPv4 address in the hosts file, and wait for both.

use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};

use super::entry::Addresses;
use super::error::NameError;
use crate::config::plan::DnsPlan;
use crate::net::{Shortage, happy};
use crate::time::{Deadline, now, timeout_at};

/// The most addresses of a name: more cannot be tried within a connect timeout.
const MOST_ADDRESSES: usize = 64;

/// How long the second family is waited for after the first has answered (RFC 8305 §3: Resolution Delay).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The hosts file costs no query, so it may be read often.
const HOSTS_TTL: Duration = Duration::ZERO;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// A family's good answer: addresses and their TTL.
type Found = (Vec<IpAddr>, Duration);

/// The settings that were read: name servers, search domains, hosts file.
pub(super) struct Servers {
    plan: DnsPlan,
    edition: Edition,
    /// `None` when the settings cannot be used at all.
    resolver: Option<TokioResolver>,
    hosts: Hosts,
    search: Vec<Name>,
    ndots: usize,
}

/// Identifies one content of the system's files.
#[derive(Debug, PartialEq, Eq)]
struct Edition([Option<(SystemTime, u64)>; 2]);

impl Edition {
    fn read() -> Self {
        let stamp = |path: &str| {
            let file = std::fs::metadata(Path::new(path)).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        Self([RESOLV_CONF, HOSTS].map(stamp))
    }
}

impl Servers {
    /// Reads the system's files; `plan` overrides them.
    pub(super) fn read(plan: &DnsPlan) -> Self {
        let edition = Edition::read();
        let (system, mut options) = read_system_conf().unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot read {RESOLV_CONF}: asking 127.0.0.1");
            // What the C libraries do without the file.
            let local = NameServerConfig::udp_and_tcp([127, 0, 0, 1].into());
            let config = ResolverConfig::from_name_servers(vec![local]);
            (config, ResolverOpts::default())
        });
        let (domain, mut search, mut servers) = system.into_parts();
        if search.is_empty() {
            search.extend(domain);
        }
        if !plan.servers.is_empty() {
            servers = plan.servers.iter().map(server).collect();
        }
        options.timeout = plan.timeout;
        // High enough never to be reached: the library answers further queries with an error.
        options.max_active_requests = 1024;
        // Cache and hosts file are handled by us.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let ndots = options.ndots;
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .inspect_err(|error| tracing::debug!(%error, "no resolver"))
            .ok();
        Self {
            plan: plan.clone(),
            edition,
            resolver,
            hosts: Hosts::from_system().unwrap_or_default(),
            search,
            ndots,
        }
    }

    /// Whether reading anew would bring nothing else.
    pub(super) fn is_current(&self, plan: &DnsPlan) -> bool {
        self.plan == *plan && self.edition == Edition::read()
    }

    /// Looks a name up. Runs on a runtime that outlives the query.
    pub(super) async fn look_up(&self, host: &str) -> Result<(Addresses, Duration), NameError> {
        let name = Name::from_ascii(host).map_err(|_| NameError::NotFound)?;
        let in_hosts = self.in_hosts(&name);
        if !in_hosts.is_empty() {
            return Ok((bounded(in_hosts), HOSTS_TTL));
        }
        let mut failed = None;
        for candidate in candidates(&name, &self.search, self.ndots) {
            match self.ask(candidate).await {
                Ok((addresses, ttl)) => return Ok((bounded(addresses), ttl)),
                Err(NameError::NotFound) => {}
                // Queries for other search domains would time out as well, or lack the same resource.
                Err(why @ (NameError::Timeout | NameError::Shortage(_))) => return Err(why),
                Err(NameError::ServerFailure) => failed = Some(NameError::ServerFailure),
            }
        }
        // One domain's denial proves nothing while another one's query has failed.
        Err(failed.unwrap_or(NameError::NotFound))
    }

    fn in_hosts(&self, name: &Name) -> Vec<IpAddr> {
        [RecordType::AAAA, RecordType::A]
            .into_iter()
            .filter_map(|family| {
                let query = Query::query(name.clone(), family);
                self.hosts.lookup_static_host(&query)
            })
            .flat_map(|lookup| addresses(&lookup))
            .collect()
    }

    /// Queries both families of a full name at once.
    async fn ask(&self, name: Name) -> Result<Found, NameError> {
        let v6 = std::pin::pin!(self.ask_for(name.clone(), RecordType::AAAA));
        let v4 = std::pin::pin!(self.ask_for(name, RecordType::A));
        both(v6, v4).await
    }

    async fn ask_for(&self, name: Name, family: RecordType) -> Result<Found, NameError> {
        let resolver = self.resolver.as_ref().ok_or(NameError::ServerFailure)?;
        let lookup = resolver
            .lookup(name, family)
            .await
            .map_err(|error| why(&error))?;
        // The TTL of a chain of aliases is that of its shortest link.
        let ttl = lookup.answers().iter().map(|record| record.ttl).min();
        let found = addresses(&lookup);
        if found.is_empty() {
            return Err(NameError::NotFound);
        }
        let ttl = Duration::from_secs(u64::from(ttl.unwrap_or(0)));
        Ok((found, ttl))
    }
}

fn addresses(lookup: &Lookup) -> Vec<IpAddr> {
    let records = lookup.answers().iter();
    records.filter_map(|record| record.data.ip_addr()).collect()
}

/// The query of one family.
type Asking<'a> = Pin<&'a mut (dyn Future<Output = Result<Found, NameError>> + Send)>;

/// Waits for both families. Once one has addresses, the other is waited for briefly only.
async fn both<'a>(mut one: Asking<'a>, mut other: Asking<'a>) -> Result<Found, NameError> {
    let (first, rest) = tokio::select! {
        first = &mut one => (first, other),
        first = &mut other => (first, one),
    };
    let second = if first.is_ok() {
        let delay = Deadline::after(now(), RESOLUTION_DELAY);
        timeout_at(delay, rest)
            .await
            .unwrap_or(Err(NameError::NotFound))
    } else {
        rest.await
    };
    together(first, second)
}

/// Combines the answers of two families.
fn together(
    first: Result<Found, NameError>,
    second: Result<Found, NameError>,
) -> Result<Found, NameError> {
    match (first, second) {
        (Ok((mut first, ttl)), Ok((second, other_ttl))) => {
            first.extend(second);
            Ok((first, ttl.min(other_ttl)))
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (Err(NameError::NotFound), Err(why))
        | (Err(why), Err(NameError::NotFound))
        | (Err(why @ NameError::Shortage(_)), Err(_))
        | (Err(_), Err(why @ NameError::Shortage(_))) => Err(why),
        (Err(NameError::Timeout), Err(_)) | (Err(_), Err(NameError::Timeout)) => {
            Err(NameError::Timeout)
        }
        (Err(NameError::ServerFailure), Err(NameError::ServerFailure)) => {
            Err(NameError::ServerFailure)
        }
    }
}

/// The full names that `name` may mean, likeliest first: a name with at least `ndots` dots is one by itself (resolv.conf(5)).
fn candidates(name: &Name, search: &[Name], ndots: usize) -> Vec<Name> {
    let mut itself = name.clone();
    itself.set_fqdn(true);
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    let mut candidates: Vec<Name> = search
        .iter()
        .filter_map(|domain| name.clone().append_domain(domain).ok())
        .collect();
    if dots >= ndots || name.is_localhost() {
        candidates.insert(0, itself);
    } else {
        candidates.push(itself);
    }
    candidates
}

/// At most [`MOST_ADDRESSES`], each once, with some of each family.
fn bounded(mut addresses: Vec<IpAddr>) -> Addresses {
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    let mut addresses = happy::order(&addresses, 0);
    addresses.truncate(MOST_ADDRESSES);
    addresses.into()
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn why(error: &NetError) -> NameError {
    if let NetError::Dns(DnsError::NoRecordsFound(none)) = error {
        let is_denied = matches!(
            none.response_code,
            ResponseCode::NXDomain | ResponseCode::NoError
        );
        return if is_denied {
            NameError::NotFound
        } else {
            NameError::ServerFailure
        };
    }
    if let NetError::Io(error) = error
        && let Some(shortage) = Shortage::of(error)
    {
        return NameError::Shortage(shortage);
    }
    let is_late = matches!(error, NetError::Timeout)
        || matches!(error, NetError::Io(error) if error.kind() == io::ErrorKind::TimedOut);
    if is_late {
        NameError::Timeout
    } else {
        NameError::ServerFailure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<Name> {
        texts
            .iter()
            .map(|text| Name::from_ascii(text).unwrap())
            .collect()
    }

    fn asked(name: &str, ndots: usize) -> Vec<String> {
        let search = names(&["ns.svc.cluster.local", "cluster.local"]);
        candidates(&Name::from_ascii(name).unwrap(), &search, ndots)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_pods_search_domains_come_before_a_name_with_few_dots() {
        let in_pod = [
            "api.partner.ns.svc.cluster.local.",
            "api.partner.cluster.local.",
            "api.partner.",
        ];
        assert_eq!(asked("api.partner", 5), in_pod);
        assert_eq!(asked("api.partner", 1)[0], "api.partner.");
        assert_eq!(asked("localhost", 5)[0], "localhost.");
        assert_eq!(asked("api", 1)[0], "api.ns.svc.cluster.local.");
    }

    #[test]
    fn an_error_of_one_family_hides_no_address_of_the_other_and_denies_nothing() {
        let found = |last, ttl| {
            Ok((
                vec![IpAddr::from([10, 0, 0, last])],
                Duration::from_secs(ttl),
            ))
        };
        use NameError::{NotFound, ServerFailure, Timeout};
        assert_eq!(together(found(1, 9), Err(Timeout)), found(1, 9));
        let (addresses, ttl) = together(found(1, 9), found(2, 7)).unwrap();
        assert_eq!((addresses.len(), ttl), (2, Duration::from_secs(7)));
        assert_eq!(
            together(Err(NotFound), Err(ServerFailure)),
            Err(ServerFailure)
        );
        assert_eq!(together(Err(ServerFailure), Err(Timeout)), Err(Timeout));
        assert_eq!(together(Err(NotFound), Err(NotFound)), Err(NotFound));
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_is_not_answered_costs_50_ms() {
        let begin = now();
        let mut silent = std::pin::pin!(std::future::pending());
        let found: Found = (vec![IpAddr::from([10, 0, 0, 1])], Duration::from_secs(9));
        let mut quick = std::pin::pin!(std::future::ready(Ok(found.clone())));
        assert_eq!(both(silent.as_mut(), quick.as_mut()).await, Ok(found));
        let took = now() - begin;
        assert!(
            took >= RESOLUTION_DELAY && took < RESOLUTION_DELAY * 2,
            "{took:?}"
        );
    }

    #[test]
    fn of_many_addresses_64_are_kept_each_once_and_of_both_families() {
        let mut many: Vec<IpAddr> = (0..100).map(|n| [10, 0, 0, n].into()).collect();
        many.push([10, 0, 0, 1].into());
        many.extend((0..100).map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])));
        let kept = bounded(many);
        assert_eq!(kept.len(), MOST_ADDRESSES);
        assert_eq!(kept.iter().filter(|address| address.is_ipv6()).count(), 32);
        assert_eq!(kept.iter().collect::<HashSet<_>>().len(), MOST_ADDRESSES);
    }
}

//! Which sidefuse is asked, and with what right.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue};

use crate::cli::client::Server;
use crate::cli::{configured, environment};
use crate::config::load_file;
use crate::config::plan::{AdminAddress, Plan};
use crate::text::chain;

/// Where the admin port is when nothing says otherwise; the configuration's default.
const DEFAULT: &str = "127.0.0.1:7901";

/// Which sidefuse to ask.
#[derive(Args, Debug)]
pub(in crate::cli) struct TargetArgs {
    /// Its admin port: http://HOST:PORT, or unix:/PATH; without it the one that SIDEFUSE_ADMIN names, or the configuration, or
    /// 127.0.0.1:7901
    #[arg(long, value_name = "ADDRESS", global = true)]
    admin: Option<String>,
    /// The file with the bearer token, if it needs one; without it the one that SIDEFUSE_TOKEN_FILE or the configuration names
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// The configuration file that says where it listens; without it the one that SIDEFUSE_CONFIG names
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

/// The sidefuse that is asked.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Target {
    /// Where it listens.
    pub(in crate::cli) server: Server,
    token: Option<HeaderValue>,
}

impl TargetArgs {
    /// Finds out which one is meant. A configuration that cannot be loaded is told of by `note` and no reason to fail: the sidefuse that
    /// runs has an older one in force.
    ///
    /// # Errors
    /// What is wrong with an address, or why a token cannot be read.
    pub(in crate::cli) fn target(self, note: &dyn Fn(&str)) -> Result<Target, String> {
        let given = self.admin.or_else(|| set("SIDEFUSE_ADMIN"));
        let token_file = self
            .token_file
            .or_else(|| set("SIDEFUSE_TOKEN_FILE").map(PathBuf::from));
        let plan = match self.config.or_else(configured) {
            Some(file) if given.is_none() || token_file.is_none() => plan(&file, note),
            Some(_) | None => None,
        };
        let server = match (&given, &plan) {
            (Some(address), _) => server(address)?,
            (None, Some(plan)) => of_plan(plan)?,
            (None, None) => Server::Tcp(DEFAULT.to_owned()),
        };
        let token = match (token_file, plan, &server) {
            (Some(file), _, _) => Some(token(&file)?),
            // Over the unix socket the user counts.
            (None, Some(plan), Server::Tcp(_)) => of_files(&plan)?,
            (None, _, _) => None,
        };
        Ok(Target { server, token })
    }
}

impl Target {
    /// The headers of each call: who asks, and for what.
    pub(in crate::cli) fn headers(&self, accept: &'static str) -> HeaderMap {
        let accept = (ACCEPT, HeaderValue::from_static(accept));
        let token = self.token.clone().map(|token| (AUTHORIZATION, token));
        [Some(accept), token].into_iter().flatten().collect()
    }

    /// As a person would write it.
    pub(in crate::cli) fn name(&self) -> String {
        match &self.server {
            Server::Tcp(address) => format!("http://{address}"),
            Server::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

fn set(name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}

fn plan(file: &Path, note: &dyn Fn(&str)) -> Option<Plan> {
    match load_file(file, &environment) {
        Ok(loaded) => Some(loaded.plan),
        Err(_) => {
            let file = file.display();
            note(&format!(
                "note: {file} cannot be loaded (`sidefuse check {file}` tells why), so it does not say where to ask; `--admin` does"
            ));
            None
        }
    }
}

/// Reads an address as people write it.
fn server(address: &str) -> Result<Server, String> {
    let wrong = |why: &str| {
        Err(format!(
            "`{address}` is no address of an admin port: {why}; write http://HOST:PORT or unix:/PATH"
        ))
    };
    let path = address
        .strip_prefix("unix:")
        .or_else(|| address.starts_with('/').then_some(address));
    if let Some(path) = path {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.starts_with('/') {
            Ok(Server::Unix(path.into()))
        } else {
            wrong("the path of a socket begins with `/`")
        };
    }
    if address.starts_with("https:") {
        return wrong("it speaks no TLS");
    }
    let place = address.strip_prefix("http://").unwrap_or(address);
    let place = place.strip_suffix('/').unwrap_or(place);
    match place.parse::<http::uri::Authority>() {
        Ok(authority) if authority.as_str().contains('@') => wrong("it has a user in it"),
        Ok(authority) if authority.port_u16().is_none() => wrong("it has no port"),
        Ok(authority) => Ok(Server::Tcp(authority.as_str().to_owned())),
        Err(_) => wrong("it is neither a URL nor a path"),
    }
}

/// Where a sidefuse with this configuration is asked from beside it.
fn of_plan(plan: &Plan) -> Result<Server, String> {
    match plan.listen.admin.first() {
        Some(AdminAddress::Unix(path)) => Ok(Server::Unix(path.clone())),
        Some(AdminAddress::Tcp(address)) => Ok(reachable(*address).into()),
        None => Err(
            "the configuration has no admin port (`listen.admin`); name one with `--admin`"
                .to_owned(),
        ),
    }
}

/// An address to connect to: a listener at a wildcard is reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// The operator's token, else the reader's, of those that are configured and can be read.
fn of_files(plan: &Plan) -> Result<Option<HeaderValue>, String> {
    let files = [
        &plan.admin.operator_token_file,
        &plan.admin.reader_token_file,
    ];
    let mut failed = None;
    for file in files.into_iter().flatten() {
        match token(file) {
            Ok(token) => return Ok(Some(token)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(None), Err)
}

fn token(file: &Path) -> Result<HeaderValue, String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!(
            "cannot read the token in {}: {}",
            file.display(),
            chain(&error)
        )
    })?;
    let bearer = HeaderValue::try_from(format!("Bearer {}", text.trim()));
    let mut bearer = bearer.map_err(|_| {
        let file = file.display();
        format!("{file} holds no token: it has control characters")
    })?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let tcp = |address: &str| Ok(Server::Tcp(address.to_owned()));
        let unix = |path: &str| Ok(Server::Unix(path.into()));
        for (written, read) in [
            ("http://127.0.0.1:7901", tcp("127.0.0.1:7901")),
            ("http://127.0.0.1:7901/", tcp("127.0.0.1:7901")),
            ("localhost:7901", tcp("localhost:7901")),
            ("[::1]:7901", tcp("[::1]:7901")),
            ("unix:/run/sidefuse.sock", unix("/run/sidefuse.sock")),
            ("unix:///run/sidefuse.sock", unix("/run/sidefuse.sock")),
            ("/run/sidefuse.sock", unix("/run/sidefuse.sock")),
        ] {
            assert_eq!(server(written), read, "{written}");
        }
    }

    #[test]
    fn what_is_no_address_is_said_to_be_none_and_why() {
        for (written, why) in [
            ("https://127.0.0.1:7901", "it speaks no TLS"),
            ("http://127.0.0.1", "it has no port"),
            ("http://me@127.0.0.1:7901", "it has a user in it"),
            (
                "http://127.0.0.1:7901/metrics",
                "it is neither a URL nor a path",
            ),
            ("unix:sidefuse.sock", "the path of a socket begins with `/`"),
            ("", "it is neither a URL nor a path"),
        ] {
            let error = server(written).unwrap_err();
            assert!(error.contains(why), "{written}: {error}");
            assert!(error.contains("http://HOST:PORT or unix:/PATH"), "{error}");
        }
    }

    #[test]
    fn a_listener_at_a_wildcard_is_asked_over_loopback() {
        for (bound, asked) in [
            ("0.0.0.0:7901", "127.0.0.1:7901"),
            ("[::]:7901", "[::1]:7901"),
            ("10.0.0.1:7901", "10.0.0.1:7901"),
        ] {
            let (bound, asked): (SocketAddr, SocketAddr) =
                (bound.parse().unwrap(), asked.parse().unwrap());
            assert_eq!(reachable(bound), asked);
        }
    }
}

//! The configuration that is proposed, and what is said about it.

use std::collections::BTreeMap;

use super::scan::{Found, Kind};
use super::url::Url;
use crate::config::load;

/// The most routes that are proposed.
const MOST_ROUTES: usize = 100;

/// The most URLs that are examined, so that a file full of them takes no time.
const MOST_FOUND: usize = 500;
/// The most findings without a route that are listed.
const MOST_TOLD: usize = 20;

/// Well-known services: the end of the host, the route's name, the preset that fits.
const KNOWN: [(&str, &str, &str); 12] = [
    ("graph.facebook.com", "whatsapp", "whatsapp"),
    ("api.sendgrid.com", "email", "email"),
    ("api.mailgun.net", "email", "email"),
    ("api.eu.mailgun.net", "email", "email"),
    ("api.postmarkapp.com", "email", "email"),
    ("api.resend.com", "email", "email"),
    ("api.brevo.com", "email", "email"),
    ("api.sendinblue.com", "email", "email"),
    ("api.mailjet.com", "email", "email"),
    ("api.sparkpost.com", "email", "email"),
    ("mandrillapp.com", "email", "email"),
    ("api.mailersend.com", "email", "email"),
];

const HEAD: &str = "\
# sidefuse: each service that the application calls, behind a circuit breaker of its own. A start, made by `sidefuse init`.
#
# `sidefuse docs reference` has every key, and `sidefuse config FILE` prints what counts where nothing is written.

version: 1

# Where sidefuse listens, if it is not said: the application's calls, and operators.
# listen: {proxy: 127.0.0.1:7900, admin: 127.0.0.1:7901}

routes:
";

const EXAMPLE: &str = "  # No URL of a service was found: put one of yours here. The application then calls http://127.0.0.1:7900/partner/…
  partner:
    upstream: https://api.example.com
";

/// A proposed route.
struct Proposed<'f> {
    name: String,
    preset: &'static str,
    url: &'f Url,
    /// The settings that name it.
    by: Vec<&'f Found>,
}

/// The configuration that is proposed, and what is said about it.
pub(super) struct Draft {
    /// The file.
    pub(super) yaml: String,
    routes: usize,
    /// For each file the lines that change.
    changes: BTreeMap<String, Vec<String>>,
    /// What was found and is no route.
    passed_over: Vec<String>,
    /// What would not work by way of sidefuse.
    signed: Vec<String>,
    is_cut: bool,
}

impl Draft {
    /// The proposal for these URLs; always a valid configuration.
    pub(super) fn of(found: &[Found]) -> Self {
        let mut routes: Vec<Proposed<'_>> = Vec::new();
        let (mut passed_over, mut signed) = (Vec::new(), Vec::new());
        for one in found.iter().take(MOST_FOUND) {
            let Some(url) = &one.url else {
                passed_over.push(place(one));
                continue;
            };
            if is_signed(&one.name, &url.host) {
                signed.push(place(one));
                continue;
            }
            if let Some(route) = routes
                .iter_mut()
                .find(|route| route.url.origin == url.origin)
            {
                route.by.push(one);
                continue;
            }
            let (name, preset) = name(one, url, &routes);
            let route = Proposed {
                name,
                preset,
                url,
                by: vec![one],
            };
            routes.push(route);
            if routes.len() > MOST_ROUTES || !is_good(&routes) {
                routes.pop();
                passed_over.push(place(one));
            }
        }
        let rest = found.iter().skip(MOST_FOUND);
        passed_over.extend(rest.map(place));
        let mut changes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for route in &routes {
            for Found {
                file,
                name,
                kind,
                url,
            } in &route.by
            {
                let Some(url) = url else { continue };
                let through = url.through(&route.name);
                let line = match kind {
                    Kind::Environment => format!("{name}={through}"),
                    Kind::Package => format!("{name}: {through}"),
                };
                changes.entry(file.clone()).or_default().push(line);
            }
        }
        let named = routes.iter().flat_map(|route| &route.by);
        Self {
            yaml: write(&routes),
            routes: routes.len(),
            is_cut: named
                .filter_map(|found| found.url.as_ref())
                .any(Url::is_cut),
            changes,
            passed_over,
            signed,
        }
    }

    /// The message about it once it is written to `file`.
    pub(super) fn tell(&self, file: &str) -> String {
        let mut told = match self.routes {
            0 => format!("wrote {file}: no URL of a service found, so it holds an example\n"),
            1 => format!("wrote {file}: 1 route\n"),
            count => format!("wrote {file}: {count} routes\n"),
        };
        if !self.changes.is_empty() {
            told.push_str("\nThe application calls them through sidefuse when these say so:\n");
        }
        for (file, lines) in &self.changes {
            told.push_str(&format!("\n  {file}\n"));
            for line in lines {
                told.push_str(&format!("    {line}\n"));
            }
        }
        if self.is_cut {
            told.push_str("\n… is what may be secret: keep it as it is in the file.\n");
        }
        let left = [
            (
                "No route can be made of these, so look at them yourself:",
                &self.passed_over,
            ),
            (
                "Left out: calls of these are signed for the host and the path that they are sent to, which sidefuse changes:",
                &self.signed,
            ),
        ];
        for (why, names) in left {
            if names.is_empty() {
                continue;
            }
            told.push_str(&format!("\n{why}\n\n"));
            for name in names.iter().take(MOST_TOLD) {
                told.push_str(&format!("    {name}\n"));
            }
            if let Some(more @ 1..) = names.len().checked_sub(MOST_TOLD) {
                told.push_str(&format!("    and {more} more\n"));
            }
        }
        told.push_str(&format!(
            "\nNext:\n\n    sidefuse check {file}\n    sidefuse run -c {file}\n"
        ));
        told
    }
}

fn place(found: &Found) -> String {
    format!("{} of {}", found.name, found.file)
}

/// Whether its calls carry a signature of AWS, as those to every store do that speaks S3.
fn is_signed(setting: &str, host: &str) -> bool {
    const STORES: [&str; 6] = [
        "amazonaws.com",
        "amazonaws.com.cn",
        "r2.cloudflarestorage.com",
        "digitaloceanspaces.com",
        "backblazeb2.com",
        "wasabisys.com",
    ];
    // Of Amazon's names these are of services that others run there.
    const TENANTS: [&str; 3] = ["execute-api", "elb", "compute"];
    const WORDS: [&str; 3] = ["s3", "aws", "minio"];
    let is_below = |domain: &&str| {
        let rest = host.strip_suffix(*domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let setting = setting.to_ascii_lowercase();
    if STORES.iter().any(is_below) {
        return !host.split('.').any(|label| TENANTS.contains(&label));
    }
    let mut words = setting.split(['_', '.', '-']);
    words.any(|word| WORDS.contains(&word))
}

fn is_good(routes: &[Proposed<'_>]) -> bool {
    load(&write(routes), "sidefuse.yaml", &|_| None).is_ok()
}

fn write(routes: &[Proposed<'_>]) -> String {
    let mut text = HEAD.to_owned();
    if routes.is_empty() {
        text.push_str(EXAMPLE);
    }
    for (at, route) in routes.iter().enumerate() {
        let Proposed {
            name,
            preset,
            url,
            by,
        } = route;
        let gap = if at == 0 { "" } else { "\n" };
        let by: Vec<String> = by
            .iter()
            .take(3)
            .map(|found| format!("{} of {}", found.name, found.file))
            .collect();
        text.push_str(&format!(
            "{gap}  # {}\n  {name}:\n    preset: {preset}\n    upstream: \"{}\"\n",
            by.join(", "),
            url.origin
        ));
    }
    text
}

/// A unique name, and the preset that fits.
fn name(found: &Found, url: &Url, routes: &[Proposed<'_>]) -> (String, &'static str) {
    let known = KNOWN
        .iter()
        .find(|(host, ..)| url.host == *host || url.host.ends_with(&format!(".{host}")));
    let preset = known.map_or("external-api", |(.., preset)| preset);
    let is_free = |name: &str| !name.is_empty() && routes.iter().all(|route| route.name != name);
    let wished = [
        known.map(|(_, name, _)| (*name).to_owned()),
        by_host(&url.host),
        Some(by_setting(&found.name)),
    ];
    let wished: Vec<String> = wished.into_iter().flatten().collect();
    let first = wished.iter().find(|name| !name.is_empty());
    let first = first.map_or("service", String::as_str).to_owned();
    let numbered = (2..).map(|number| format!("{first}-{number}"));
    let name = wished
        .into_iter()
        .chain([first.clone()])
        .chain(numbered)
        .find(|name| is_free(name));
    (name.unwrap_or(first), preset)
}

/// `partner` for `api.partner.com` and for `partner.crm.svc.cluster.local`; none for an address, or a host of one word.
fn by_host(host: &str) -> Option<String> {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    const GENERAL: [&str; 6] = ["co", "com", "org", "net", "gov", "ac"];
    const PRIVATE: [&str; 5] = ["local", "internal", "svc", "lan", "consul"];
    let mut labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    if labels.len() < 2 {
        return None;
    }
    // A name within a cluster or a house begins with the service.
    if labels.last().is_some_and(|label| PRIVATE.contains(label)) {
        let first = labels.iter().find(|label| !["api", "www"].contains(label));
        return first.map(|label| normal(label));
    }
    labels.pop();
    while labels.len() > 1 && labels.last().is_some_and(|label| GENERAL.contains(label)) {
        labels.pop();
    }
    labels.last().map(|label| normal(label))
}

/// `partner` for `PARTNER_API_URL` and for `config.partner.url`.
fn by_setting(setting: &str) -> String {
    const GENERAL: [&str; 9] = [
        "url", "uri", "api", "base", "endpoint", "host", "config", "http", "https",
    ];
    let name = setting.to_ascii_lowercase();
    let words = name.split(['_', '.', '-']);
    let words: Vec<&str> = words.filter(|word| !GENERAL.contains(word)).collect();
    normal(&words.join("-"))
}

/// The text with only the characters that a route's name may have.
fn normal(text: &str) -> String {
    let kept = text.to_ascii_lowercase();
    let kept: String = kept
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    // Leaves room for a number behind it.
    let kept: String = kept.trim_matches('-').chars().take(58).collect();
    kept.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::scan;
    use super::*;

    fn draft(text: &str) -> Draft {
        Draft::of(&scan(".env", Kind::Environment, text.as_bytes()))
    }

    #[test]
    fn each_service_becomes_a_route_with_a_preset_that_fits() {
        let draft = draft(
            "WHATSAPP_API_URL=https://graph.facebook.com/v19.0\nSENDGRID_URL=https://api.sendgrid.com/v3\n\
             RESEND_URL=https://api.resend.com\nPARTNER_API_URL=https://api.partner.co.uk/v1?key=hush\nPARTNER_OTHER=https://me:hush@api.partner.co.uk\n\
             GEO_URL=http://10.0.0.7:8080\nGEO_URL_2=http://[::1]:8080/x\nLOCAL_API=http://localhost:4000\nSELF=http://127.0.0.1:7900/whatsapp\n",
        );
        insta::assert_snapshot!(format!(
            "{}\n---\n{}",
            draft.yaml,
            draft.tell("sidefuse.yaml")
        ));
    }

    #[test]
    fn a_name_within_a_cluster_or_a_house_is_called_by_its_service() {
        for (host, name) in [
            ("billing.svc.cluster.local", "billing"),
            ("billing.crm.svc.cluster.local", "billing"),
            ("billing.crm.svc", "billing"),
            ("api.billing.internal", "billing"),
            ("api.partner.co.uk", "partner"),
        ] {
            assert_eq!(by_host(host).as_deref(), Some(name), "{host}");
        }
    }

    #[test]
    fn what_signs_its_calls_for_a_host_is_left_out_with_a_word_why() {
        let draft = draft(
            "S3_ENDPOINT=http://minio.internal:9000\nFILES=https://crm.s3.eu-west-1.amazonaws.com\n\
             AWS_ENDPOINT_URL=http://localhost:4566\nMEDIA=https://x.r2.cloudflarestorage.com\n\
             ORDERS_URL=https://abc.execute-api.eu-west-1.amazonaws.com/v1\nGEO_URL=http://x.eu-west-1.elb.amazonaws.com\n",
        );
        let told = draft.tell("x");
        assert!(told.starts_with("wrote x: 2 routes\n"), "{told}");
        let left = "which sidefuse changes:\n\n    S3_ENDPOINT of .env\n    FILES of .env\n    AWS_ENDPOINT_URL of .env\n    MEDIA of .env\n";
        assert!(told.contains(left), "{told}");
    }

    #[test]
    fn without_a_service_an_example_is_written_that_can_be_run() {
        let draft = draft("DATABASE_URL=postgres://a/b\n");
        assert!(is_good(&[]));
        assert!(
            draft
                .tell("x")
                .starts_with("wrote x: no URL of a service found")
        );
    }

    #[test]
    fn thousands_of_urls_become_a_hundred_routes_and_a_short_list() {
        let lines: String = (0..5_000)
            .map(|n| format!("A{n}_URL=https://a{n}.example{n}.com\nB{n}_URL=https://a..b{n}\n"))
            .collect();
        let draft = draft(&lines);
        let told = draft.tell("x");
        assert!(told.starts_with("wrote x: 100 routes\n"), "{told}");
        assert!(told.contains("    and 9880 more\n"), "{told}");
        assert!(load(&draft.yaml, "x", &|_| None).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_found_the_file_is_good_and_no_secret_is_told(
            lines in proptest::collection::vec(
                (
                    "[A-Z_]{0,12}|[^\\n]{0,8}",
                    "[=: ]{1,2}",
                    "(https?|HTTP|ftp)://(me:canary-1@)?([a-zA-Z0-9._-]{0,20}|\\[::1\\]|bücher|localhost|127\\.0\\.0\\.1)(:[0-9]{0,6})?(/[^\\n?]{0,8})?(\\?k=canary-1)?[\"' #]?",
                ),
                0..8,
            ),
        ) {
            let text: String = lines
                .iter()
                .map(|(name, is, value)| format!("{name}{is}{value}\r\n"))
                .collect();
            let draft = draft(&text);
            let loaded = load(&draft.yaml, "sidefuse.yaml", &|_| None);
            prop_assert!(loaded.is_ok(), "{}\n{:?}", draft.yaml, loaded.err().map(|report| report.to_string()));
            prop_assert!(!draft.yaml.contains("canary-1"));
            prop_assert!(!draft.tell("x").contains("canary-1"));
        }

        #[test]
        fn no_bytes_make_it_panic(content: Vec<u8>) {
            for kind in [Kind::Environment, Kind::Package] {
                let draft = Draft::of(&scan(".env.\u{1b}x", kind, &content));
                prop_assert!(load(&draft.yaml, "sidefuse.yaml", &|_| None).is_ok());
            }
        }
    }
}

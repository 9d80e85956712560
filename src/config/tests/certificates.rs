//! Files of certificates: what is wrong with them, and when.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

use super::catalogue::Disk;
use super::*;

/// A certificate of an authority with its key.
pub(super) struct Made {
    pem: String,
    der: Vec<u8>,
    key: String,
}

impl Made {
    /// Valid from the begin of the one year to that of the other.
    pub(super) fn new(subject: &str, (from, until): (i32, i32)) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key: key.serialize_pem(),
        }
    }
}

/// The files of certificates that the tests have: name, content, mode.
pub(super) fn files(authority: &Made) -> Vec<(&'static str, Vec<u8>, u32)> {
    let dated = |subject, years| Made::new(subject, years).pem;
    let (old, coming) = (
        dated("Old Root", (2001, 2011)),
        dated("Coming Root", (2101, 2111)),
    );
    let encrypted = authority.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let broken = authority.pem.replacen("MII", "MIJ", 1);
    let files = [
        ("ca.pem", authority.pem.clone()),
        ("ca.key", authority.key.clone()),
        ("encrypted.key", encrypted),
        ("both.pem", authority.key.clone() + &authority.pem),
        ("dated.pem", format!("{old}{}{coming}", authority.pem)),
        ("broken.pem", format!("{}{broken}", authority.pem)),
        (
            "cut.pem",
            authority.pem[..authority.pem.len() / 2].to_owned(),
        ),
        ("text.pem", "a bundle will be put here\n".to_owned()),
    ];
    let mut files: Vec<_> = files
        .map(|(name, text)| (name, text.into_bytes(), 0o644))
        .into();
    files.push(("ca.der", authority.der.clone(), 0o644));
    files
}

/// One route that trusts a file.
fn trusting(file: &str) -> String {
    format!(
        "  {}: {{upstream: {{url: \"https://api.example.com\", tls: {{ca_file: \"${{DIR}}/{file}\"}}}}}}\n",
        file.replace('.', "-")
    )
}

/// The files that cannot be trusted, each by a route of its own.
pub(super) fn wrong_files() -> String {
    let names = [
        "empty",
        "ca.key",
        "encrypted.key",
        "ca.der",
        "text.pem",
        "broken.pem",
        "cut.pem",
        "both.pem",
    ];
    let routes: String = names.into_iter().map(trusting).collect();
    format!("version: 1\nroutes:\n{routes}")
}

fn year(year: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 365 * 86_400 + 20 * 86_400)
}

#[test]
fn a_certificate_that_is_not_valid_is_worth_a_warning_with_its_subject_and_its_date() {
    let disk = Disk::new();
    let text = format!("version: 1\nroutes:\n{}", trusting("dated.pem"));
    let told = |at| {
        let loaded = load(&text, "config.yaml", &disk.env());
        let loaded = loaded
            .unwrap_or_else(|report| panic!("{report}"))
            .at(year(at));
        loaded.warnings.render()
    };
    insta::assert_snapshot!(told(2026));
    assert_eq!(told(2026), told(2100));
    assert!(!told(2005).contains("Old Root") && told(2005).contains("Coming Root"));
    assert!(told(2105).contains("Old Root") && !told(2105).contains("Coming Root"));
}

#[test]
fn what_the_defaults_trust_is_told_once_however_many_routes_do() {
    let disk = Disk::new();
    let text = "\
version: 1
defaults: {upstream: {tls: {ca_file: \"${DIR}/dated.pem\"}}}
routes:
  a: {upstream: https://a.example.com}
  b: {upstream: https://b.example.com}
";
    let loaded = load(text, "config.yaml", &disk.env()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.at(year(2026)).warnings.warning_count(), 2);
}

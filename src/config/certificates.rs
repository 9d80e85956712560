//! Certificates of authorities that the configuration names: whether they can be used, and when they are valid.
//!
//! The TLS library itself decides whether one can be used, so that errors show at loading and not at the first connection.
//! Names and dates are for people.

use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::excerpt::show;
use super::problem::{Code, Problem, Problems, When};
use super::tree::Span;

/// The most certificates of one file whose dates are checked; a system's bundle has some 140.
const MOST_TOLD: usize = 8;

/// Reports what is wrong with the content of the file that `key` names at `span`, certificates in PEM form to trust.
pub(crate) fn check_authorities(key: &str, content: &[u8], span: Span, problems: &mut Problems) {
    let mut wrong = |code, what: String, hint: &str| {
        let message = format!("the file of `{key}` {what}");
        problems.push(Problem::error(code, span, message).hint(hint));
    };
    let has_key = holds_private_key(content);
    let mut store = RootCertStore::empty();
    let mut read = Vec::new();
    for (place, certificate) in CertificateDer::pem_slice_iter(content).enumerate() {
        let added = match certificate {
            Ok(certificate) => {
                read.push(certificate.clone());
                store.add(certificate).is_ok()
            }
            Err(_) => false,
        };
        if !added {
            let what = format!("holds something else as certificate {}", place + 1);
            wrong(Code::Certificate, what, "copy it anew, as one PEM block");
            return;
        }
    }
    if read.is_empty() {
        let (what, hint) = if content.trim_ascii().is_empty() {
            ("is empty", "it must hold certificates in PEM form")
        } else if has_key {
            let hint = "name the file of the authority's certificate";
            ("holds a private key instead of a certificate", hint)
        } else if Certificate::from_der(content).is_ok() {
            let hint = "convert it: `openssl x509 -inform der -in FILE -out FILE.pem`";
            ("holds a certificate in DER form", hint)
        } else {
            ("holds no certificate", "it must be in PEM form")
        };
        wrong(Code::Certificate, what.to_owned(), hint);
    } else if has_key {
        let message = format!("the file of `{key}` holds a private key besides certificates");
        let problem = Problem::warning(Code::StrayKey, span, message);
        problems.push(problem.hint("take it out: to trust takes the certificate alone"));
    }
    let dated = read.iter().filter_map(|der| Dated::read(der));
    for dated in dated.take(MOST_TOLD) {
        dated.check(key, span, problems);
    }
}

/// Whether it holds a private key of any kind, encrypted ones included.
fn holds_private_key(content: &[u8]) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    content.windows(MARK.len()).any(|window| window == MARK)
}

/// The names and dates by which people know a certificate.
struct Dated {
    subject: String,
    from: SystemTime,
    until: SystemTime,
}

impl Dated {
    /// `None` for one that only the TLS library can read.
    fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let validity = certificate.validity();
        let moment = |time: Duration| SystemTime::UNIX_EPOCH.checked_add(time);
        Some(Self {
            subject: show(&certificate.subject().to_string()),
            from: moment(validity.not_before.to_unix_duration())?,
            until: moment(validity.not_after.to_unix_duration())?,
        })
    }

    fn check(&self, key: &str, span: Span, problems: &mut Problems) {
        let Self { subject, .. } = self;
        let mut warn = |when, what: String, hint: &str| {
            let message = format!("the certificate `{subject}` of `{key}` {what}");
            let problem = Problem::warning(Code::CertificateDate, span, message);
            problems.push_when(when, problem.hint(hint));
        };
        let hint =
            "put its successor into the file: what it signed is over as well, or soon will be";
        warn(
            When::From(self.until),
            format!("expired at {}", date(self.until)),
            hint,
        );
        let hint = "is the clock of this machine right?";
        warn(
            When::Before(self.from),
            format!("begins at {} only", date(self.from)),
            hint,
        );
    }
}

fn date(moment: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(moment)
}

//! What the fuzzer begins with and what it once found, held to the same claims in every test run. `tests/fuzz/run` looks for more.

use std::collections::BTreeMap;
use std::fs;

use crate::support::tools::repository;

#[path = "../fuzz/claims.rs"]
mod claims;
#[path = "../fuzz/request_claims.rs"]
mod request_claims;

/// Holds every file of these folders, of which there are so many at least.
fn hold_all(folders: &[&str], least: usize, hold: fn(&[u8])) {
    let mut held = 0;
    for folder in folders {
        // What was never found has no folder.
        let entries = fs::read_dir(repository().join("tests/fuzz").join(folder));
        for entry in entries.into_iter().flatten() {
            hold(&fs::read(entry.unwrap().path()).unwrap());
            held += 1;
        }
    }
    assert!(held >= least, "only {held} files were found");
}

#[test]
fn every_configuration_of_the_fuzzer_keeps_every_claim() {
    hold_all(&["corpus", "regressions/load"], 20, claims::hold);
}

#[test]
fn every_request_of_the_fuzzer_keeps_every_claim() {
    hold_all(
        &["requests", "regressions/requests"],
        9,
        request_claims::hold,
    );
}

/// The packages of a lock file, with what tells one version of them from another.
fn locked(file: &str) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(repository().join(file)).unwrap();
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in text.split("[[package]]\n").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().to_owned()
        };
        let version = value("version = ") + &value("checksum = ");
        packages.entry(value("name = ")).or_default().push(version);
    }
    packages
}

#[test]
fn the_fuzzer_is_locked_to_the_versions_of_the_product() {
    let (product, fuzzer) = (locked("Cargo.lock"), locked("tests/fuzz/Cargo.lock"));
    let mut own = Vec::new();
    for (name, versions) in &fuzzer {
        match product.get(name) {
            Some(of_product) => assert!(
                versions.iter().all(|version| of_product.contains(version)),
                "{name} is another; run: cp Cargo.lock tests/fuzz/ && cargo metadata --manifest-path tests/fuzz/Cargo.toml"
            ),
            None => own.push(name.trim_matches('"')),
        }
    }
    assert_eq!(own, ["arbitrary", "libfuzzer-sys", "sidefuse-fuzz"]);
}

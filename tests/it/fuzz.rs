//! What the fuzzer begins with and what it once found, held to the same claims in every test run. `tests/fuzz/run` looks for more.

use std::fs;

use crate::support::tools::repository;

#[path = "../fuzz/claims.rs"]
mod claims;

#[test]
fn every_file_of_the_fuzzer_keeps_every_claim() {
    let mut held = 0;
    for folder in ["corpus", "regressions"] {
        for entry in fs::read_dir(repository().join("tests/fuzz").join(folder)).unwrap() {
            claims::hold(&fs::read(entry.unwrap().path()).unwrap());
            held += 1;
        }
    }
    assert!(held >= 20, "only {held} files were found");
}

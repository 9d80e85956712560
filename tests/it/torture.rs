//! The torture of reloads runs in its short form. How long things take is not for a test to judge.

use std::process::{Command, Stdio};

use crate::support::tools::repository;

#[test]
fn swaps_reloads_under_load_and_a_flapping_file_fail_no_call_and_leave_no_series_cases_142_149_and_150()
 {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(repository().join("benches/reload/run"))
        .args(["--quick", "--binary", env!("CARGO_BIN_EXE_sidefuse")])
        .arg("--directory")
        .arg(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{said}");
    for told in [
        "of 10 in force within 3 s: p50 ",
        "reloads: 10 reloads of 100 routes at 4/s, 100 calls/s: 0 of 350 failed",
        "reloads: no series of a route that is gone",
        "flapping: 50 writes at 100/s: ",
        "scale: 100 routes: ready after ",
    ] {
        assert!(text.contains(told), "no {told:?} in\n{text}");
    }
}

#[test]
fn a_part_that_there_is_not_is_named_with_those_that_there_are() {
    let output = Command::new(repository().join("benches/reload/run"))
        .arg("sleeping")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    let told = "no part is called sleeping; there are swaps, reloads, flapping, scale";
    assert!(said.contains(told), "{said}");
}

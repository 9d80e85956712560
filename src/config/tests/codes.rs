//! Every code has its section on the page of diagnostics, and the example there is told that code.

use std::collections::BTreeSet;

use super::catalogue::Disk;
use super::keys::{FILE, Section};
use super::*;
use crate::docs::{PAGES, Page};
use crate::time::wall;

/// They depend on more than the text of a file.
const WITHOUT_EXAMPLE: [Code; 5] = [
    Code::Unreadable,
    Code::ExposedSecret,
    Code::Certificate,
    Code::CertificateDate,
    Code::StrayKey,
];

fn page() -> Page {
    Page::named("codes").unwrap()
}

#[test]
fn every_code_has_its_section_in_the_order_of_the_codes() {
    let headings: Vec<&str> = page()
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let expected: Vec<String> = Code::ALL
        .iter()
        .map(|code| format!("{code}: {}", code.title()))
        .collect();
    assert_eq!(headings, expected);
}

#[test]
fn the_example_of_a_section_is_told_its_code() {
    let disk = Disk::new();
    let mut wrong = String::new();
    for code in Code::ALL {
        let section = page().section(code.as_str()).unwrap();
        let example = section
            .split_once("```yaml\n")
            .and_then(|(_, rest)| rest.split_once("```"));
        let Some((example, _)) = example else {
            assert!(WITHOUT_EXAMPLE.contains(code), "{code} has no example");
            continue;
        };
        let report = match load(example, "config.yaml", &disk.env()) {
            Ok(loaded) => loaded.at(wall()).warnings,
            Err(report) => report,
        };
        let codes: Vec<Code> = report.problems().map(|problem| problem.code).collect();
        if codes != [*code] {
            wrong.push_str(&format!("{code}:\n{report}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_key_of_later_versions_is_told_with_what_counts_instead() {
    fn later(section: &'static Section, seen: &mut BTreeSet<&str>, all: &mut BTreeSet<&str>) {
        if !seen.insert(section.name) {
            return;
        }
        all.extend(section.later);
        for inner in section.keys().filter_map(|key| key.kind.section()) {
            later(inner, seen, all);
        }
    }
    let mut all = BTreeSet::new();
    later(&FILE, &mut BTreeSet::new(), &mut all);
    let section = page().section("C013").unwrap();
    for key in all {
        assert!(
            section.contains(&format!("{key}`")),
            "{key} is missing in\n{section}"
        );
    }
}

#[test]
fn a_code_is_found_in_any_case_and_by_its_number_and_another_is_refused() {
    for text in ["C012", "c012", "C12", "c12", "012", "12"] {
        assert_eq!(text.parse(), Ok(Code::UnknownKey), "{text}");
    }
    for text in ["", "C", "C999", "C0120", "CC012", "+12", "0", "unknown key"] {
        assert!(text.parse::<Code>().is_err(), "{text}");
    }
}

/// The same for what the other pages show.
#[test]
fn the_configurations_of_all_pages_are_good_ones() {
    for page in PAGES.iter().filter(|page| page.name != "codes") {
        for example in page.text.split("```yaml\n").skip(1) {
            let (example, _) = example.split_once("```").unwrap();
            let loaded = good(example);
            assert!(
                loaded.warnings.is_empty(),
                "{}: {}",
                page.name,
                loaded.warnings
            );
        }
    }
}

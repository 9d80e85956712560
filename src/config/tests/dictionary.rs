//! The words that the fuzzer puts together: every key there is, and the signs of YAML.

use std::collections::BTreeSet;
use std::path::Path;

use super::keys::{FILE, Kind, Section};
use super::*;

fn names(section: &Section, all: &mut BTreeSet<String>) {
    for key in section.keys() {
        if let Kind::Word(words) = key.kind {
            all.extend(words().into_iter().map(str::to_owned));
        }
        let is_new = all.insert(format!("{}: ", key.name));
        // A mapping under several keys is read once.
        if let Some(inner) = key.kind.section().filter(|_| is_new) {
            names(inner, all);
        }
    }
}

#[test]
fn the_fuzzer_knows_every_key() {
    let mut words: BTreeSet<String> = [
        "\\x0a  ",
        "\\x0a    ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "|\\x0a",
        ">\\x0a",
        "<<: ",
        "!!",
        "---\\x0a",
        "off",
        "true",
        "5s",
        "50%",
        "64KiB",
        "100",
        "1e3",
        "https://a.example.com",
        "${HOST}",
        "${TIME}",
        "${SECRET}",
        "${A:-5s}",
        "%{route}",
        "/x",
    ]
    .map(str::to_owned)
    .into();
    names(&FILE, &mut words);
    let lines: String = words.iter().map(|word| format!("\"{word}\"\n")).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/load.dict");
    generated(&path, &lines);
}

//! Files made to hurt, given to the real binary: each is refused, with a message, in little memory.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::process::command;

/// What it may reserve of memory, in KiB: the binary, its libraries and stacks are most of it, so that little is left for a file.
const ADDRESS_SPACE: &str = "196608";
/// What it may compute, in seconds. Far more than it takes: what grows with the square of a file takes minutes.
const CPU_TIME: &str = "20";

/// A file that is refused, with what of the message people need.
struct Hostile {
    name: &'static str,
    content: Vec<u8>,
    told: &'static str,
}

fn hostile() -> Vec<Hostile> {
    let of = |name, content: Vec<u8>, told| Hostile {
        name,
        content,
        told,
    };
    let good = "version: 1\nroutes: {partner: {upstream: https://api.example.com}}\n";
    let wide = |to_bytes: fn(u16) -> [u8; 2]| good.encode_utf16().flat_map(to_bytes).collect();
    let marked = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
    let little: Vec<u8> = wide(u16::to_le_bytes);
    let big: Vec<u8> = wide(u16::to_be_bytes);
    let wider: Vec<u8> = good
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..20 {
        let aliases = format!("*a{}, ", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let problems: String = (0..100_000).map(|n| format!("{n}: 1\n")).collect();
    let one_line: String = (0..40_000).map(|n| format!("k{n}: 1, ")).collect();
    vec![
        of("aliases", bomb.into_bytes(), "C003"),
        of("fifty megabytes", vec![b'#'; 50_000_000], "is larger than"),
        of("brackets", vec![b'['; 100_000], "levels deep"),
        of("braces", b"{a: ".repeat(100_000), "levels deep"),
        of("dashes", b"- ".repeat(100_000), "levels deep"),
        of(
            "steps",
            (0..1_000)
                .flat_map(|n| format!("{}a:\n", " ".repeat(n)).into_bytes())
                .collect(),
            "levels deep",
        ),
        of("nul", b"version: 1\0\n".to_vec(), "C001"),
        of(
            "little endian",
            marked(&[0xff, 0xfe], little.clone()),
            "UTF-16",
        ),
        of("big endian", marked(&[0xfe, 0xff], big.clone()), "UTF-16"),
        of("little endian without a mark", little, "UTF-16"),
        of("big endian without a mark", big, "UTF-16"),
        of(
            "four bytes each",
            marked(&[0xff, 0xfe, 0, 0], wider.clone()),
            "UTF-32",
        ),
        of("four bytes each without a mark", wider, "UTF-32"),
        of(
            "latin-1",
            b"version: 1\n# caf\xe9\n".to_vec(),
            "line 2, begins no character",
        ),
        of("a hundred thousand problems", problems.into_bytes(), "more"),
        of(
            "all in one line",
            format!("{{{one_line}}}").into_bytes(),
            "more",
        ),
        of(
            "an endless text",
            format!("version: \"{}\"\n", "x".repeat(1_000_000)).into_bytes(),
            "C0",
        ),
        of("nothing", Vec::new(), "the file is empty"),
        of(
            "tabs",
            b"version: 1\nroutes:\n\tpartner: {}\n".to_vec(),
            "indent with spaces",
        ),
    ]
}

#[test]
fn each_is_refused_with_a_message_in_little_memory_and_time() {
    let folder = TempDir::new().unwrap();
    for Hostile {
        name,
        content,
        told,
    } in hostile()
    {
        fs::write(folder.path().join("sidefuse.yaml"), content).unwrap();
        let limits = format!("ulimit -v {ADDRESS_SPACE} && ulimit -t {CPU_TIME} && exec \"$@\"");
        for arguments in [
            &["check", "sidefuse.yaml"][..],
            &["run", "-c", "sidefuse.yaml"][..],
        ] {
            let output = Command::new("sh")
                .args(["-c", &limits, "sh"])
                .arg(command().get_program())
                .args(arguments)
                .current_dir(folder.path())
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(
                output.status.code(),
                Some(78),
                "{name}: {:?}: {said:.2000}",
                output.status
            );
            assert!(
                said.contains(told) && said.len() < 100_000,
                "{name}: {said:.2000}"
            );
        }
    }
}

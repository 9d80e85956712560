//! Files made to hurt: refused quickly, never a panic.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// The one problem of a file that could not be read to its end.
fn only(report: &Report) -> &Problem {
    let [problem] = report.problems().collect::<Vec<_>>()[..] else {
        panic!("one problem expected:\n{report}")
    };
    problem
}

#[test]
fn an_alias_bomb_is_refused_by_counting_what_aliases_stand_for() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..20 {
        let alias = format!("*a{}, ", n - 1).repeat(10);
        text.push_str(&format!("a{n}: &a{n} [{alias}]\n"));
    }
    assert_eq!(only(&bad(&text)).code, Code::Budget);
}

#[test]
fn a_long_text_with_many_aliases_is_refused_by_counting_what_they_stand_for() {
    let long = "x".repeat(100_000);
    let text = format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(1_000));
    let problem = only(&bad(&text)).clone();
    assert_eq!(problem.code, Code::Budget);
    assert!(problem.message.contains("bytes of text"), "{problem:?}");
    let within = format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(10));
    let report = bad(&within);
    assert!(
        report
            .problems()
            .all(|problem| problem.code != Code::Budget)
    );
}

#[test]
fn depth_is_refused_however_it_is_made() {
    let flow = "[".repeat(100_000);
    let mappings = "{a: ".repeat(100_000);
    let block = "- ".repeat(100_000);
    let steps: String = (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    let aliases: String = (1..40)
        .map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1))
        .collect();
    for text in [
        flow,
        mappings,
        block,
        steps,
        format!("a0: &a0 [x]\n{aliases}"),
    ] {
        assert_eq!(only(&bad(&text)).code, Code::Budget, "{}", &text[..20]);
    }
}

#[test]
fn a_file_of_two_mebibytes_is_refused_unread() {
    let report = bad(&format!("version: 1\n#{}", "x".repeat(2 << 20)));
    assert_eq!(only(&report).code, Code::Budget);
    assert!(report.render().len() < 300);
}

#[test]
fn too_many_nodes_are_refused() {
    assert_eq!(
        only(&bad(&format!("[{}]", "x,".repeat(130_000)))).code,
        Code::Budget
    );
}

#[test]
fn a_long_variable_with_many_references_is_refused_by_counting_what_they_stand_for() {
    let text = route(&format!("timeout: \"{}\"", "${LONG}".repeat(100_000)));
    let report = load(&text, "config.yaml", &|name| {
        (name == "LONG").then(|| "x".repeat(100_000))
    })
    .unwrap_err();
    assert_eq!(only(&report).code, Code::Budget);
}

#[test]
fn nothing_that_turns_or_hides_text_is_printed() {
    let text = "version: 1\n\"a\\e[2J\u{202e}kcah\u{200b}\u{feff}\": 1\nroutes: {}\n";
    let report = bad(text);
    for told in [report.render(), report.github(), report.json().to_string()] {
        let unfit = ['\u{1b}', '\u{202e}', '\u{200b}', '\u{feff}'];
        assert!(!told.contains(unfit), "{told}");
    }
}

/// What other readers of YAML take for a number or a flag is never taken for one.
#[test]
fn scalars_of_other_dialects_are_refused_wherever_a_value_is_read() {
    let scalars = [
        "on",
        "yes",
        "Yes",
        "NO",
        "y",
        "1e3",
        "0x1F",
        "0o17",
        "1_000",
        ".inf",
        "-.inf",
        ".nan",
        "+5",
        "-1",
        "99999999999999999999999999",
        "1:30",
        "2026-11-24",
        "\u{661}\u{665}",
    ];
    let keys = [
        "breaker: {failure_threshold: @}",
        "breaker: {failure_ratio: @}",
        "timeout: @",
        "preserve_host: @",
    ];
    for scalar in scalars {
        for key in keys {
            let report = bad(&route(&key.replace('@', scalar)));
            let problems: Vec<_> = report.problems().map(|problem| problem.code).collect();
            assert_eq!(problems.len(), 1, "{report}");
            assert_ne!(problems[0], Code::UnknownKey, "{report}");
        }
    }
}

#[test]
fn what_yaml_has_and_a_configuration_does_not_is_refused_by_name() {
    let told = |text: &str| bad(text).render();
    let routes = "routes: {partner: {upstream: https://api.example.com}}\n";
    let all: String = [
        format!("version: 1\n{routes}---\nversion: 1\n"),
        format!("%TAG ! tag:example.com,2000:\n---\nversion: 1\n{routes}x: !foo 1\n"),
        format!("version: !!int 1\n{routes}"),
        format!("version: !!binary MQ==\n{routes}"),
        format!("version: !!python/object/apply:os.system [id]\n{routes}"),
        format!("version: 1\n{routes}x: &x [*x]\n"),
        format!("version: 1\n{routes}x: *y\n"),
        route("<<: {timeout: 5s}"),
        route("? [a, b]\n: c"),
        route("\ttimeout: 5s"),
        route("timeout: 5s\ntimeout: 6s"),
    ]
    .iter()
    .map(|text| told(text))
    .collect::<Vec<_>>()
    .join("\n");
    insta::assert_snapshot!(all);
}

/// What begins an escape sequence, hides or turns text: a terminal or a log must not get it from a file.
#[test]
fn nothing_of_a_file_reaches_a_terminal_as_more_than_text() {
    let unfit = [
        '\u{1b}', '\u{9b}', '\u{7}', '\u{8}', '\u{85}', '\u{200b}', '\u{202e}', '\u{2066}',
        '\u{2028}', '\u{feff}',
    ];
    for c in unfit {
        let escape = format!("\\U{:08x}", u32::from(c));
        for place in [c.to_string(), escape] {
            for text in [
                route(&format!("\"a{place}[31m\": 1")),
                route(&format!("timeout: \"5{place}[31m\"")),
                route(&format!("preset: \"what{place}sapp\"")),
                route(&format!("# {place}\ntimeuot: 5s # {place}")),
                format!(
                    "version: 1\nroutes: {{\"a{place}b\": {{upstream: \"https://a{place}b\"}}}}\n"
                ),
            ] {
                let (Err(report)
                | Ok(Loaded {
                    warnings: report, ..
                })) = load(&text, &format!("con{c}fig.yaml"), &no_env);
                for told in [report.render(), report.github(), report.json().to_string()] {
                    assert!(!told.contains(unfit), "{text:?} gives {told:?}");
                }
            }
        }
    }
}

#[test]
fn control_characters_and_broken_texts_are_refused_and_never_printed() {
    for text in [
        "\0",
        "version: 1\0\n",
        "version: \u{1b}[31m",
        "\"\\xff",
        "a: b: c",
        "%YAML 9.9\n---\n",
        "&",
        "*",
        "? ",
        "!!",
        "{",
        "]",
        "'",
        "|\n\t",
    ] {
        let report = bad(text).render();
        assert!(!report.contains(['\0', '\u{1b}']), "{report}");
    }
}

#[test]
fn every_beginning_of_the_example_is_read_without_a_panic() {
    for (end, _) in EXAMPLE.char_indices().step_by(7) {
        let _ = load(&EXAMPLE[..end], "config.yaml", &no_env);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(text in "(version|routes|a|upstream|timeout|\\$\\{|\\}|[:{}\\[\\],&*!|>'\"%@ \\n\\r\\t-]|\\PC){0,60}") {
        if let Err(report) = load(&text, "config.yaml", &no_env) {
            proptest::prop_assert!(report.error_count() > 0 && !report.render().is_empty());
        }
    }
}

#[test]
fn a_byte_order_mark_and_foreign_line_ends_change_nothing() {
    let plain = good(EXAMPLE).plan;
    assert_eq!(good(&format!("\u{feff}{EXAMPLE}")).plan, plain);
    assert_eq!(good(&EXAMPLE.replace('\n', "\r\n")).plan, plain);
    let report = bad(&route("timeout: 15").replace('\n', "\r\n"));
    assert!(
        report.render().contains("5 |     timeout: 15\n"),
        "{report}"
    );
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let report = load_file(&dir.path().join(name), &no_env).unwrap_err();
        report
            .render()
            .replace(dir.path().to_str().unwrap(), "/etc/sidefuse")
    };
    fs::write(dir.path().join("latin1.yaml"), b"version: 1\n# caf\xe9\n").unwrap();
    fs::write(dir.path().join("large.yaml"), vec![b'#'; 2 << 20]).unwrap();
    fs::write(dir.path().join("empty.yaml"), "").unwrap();
    fs::create_dir(dir.path().join("directory")).unwrap();
    symlink("loop.yaml", dir.path().join("loop.yaml")).unwrap();
    let all: String = [
        "missing.yaml",
        "directory",
        "latin1.yaml",
        "large.yaml",
        "empty.yaml",
        "loop.yaml",
    ]
    .map(told)
    .join("\n");
    insta::assert_snapshot!(all);
}

#[test]
fn a_good_file_is_read_and_named_by_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    fs::write(&path, EXAMPLE).unwrap();
    let loaded = load_file(&path, &no_env).unwrap();
    assert_eq!(
        loaded,
        load(EXAMPLE, &path.display().to_string(), &no_env).unwrap()
    );
    assert_eq!(loaded.revision, Revision::of(EXAMPLE.as_bytes()));
    assert_eq!(Revision::of(b"").as_str(), "e3b0c442");
}

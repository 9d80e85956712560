//! Holds the source to the layers that the crate's front page promises. Each failure names the place and the rule.

use std::collections::BTreeSet;
use std::fs;

use crate::support::source::{Source, is_name_char, names};
use crate::support::tools::repository;

/// A module at the top of the crate: its layer, and whom it may use besides everything lower.
struct Module(&'static str, u8, &'static [&'static str]);

const MODULES: [Module; 18] = [
    Module("time", 0, &[]),
    Module("failure", 0, &[]),
    Module("text", 0, &[]),
    Module("arena", 0, &[]),
    Module("docs", 0, &[]),
    Module("resilience", 1, &[]),
    Module("wire", 1, &[]),
    Module("config", 2, &[]),
    Module("telemetry", 2, &[]),
    Module("net", 3, &[]),
    Module("upstream", 3, &["net"]),
    Module("stale", 3, &[]),
    Module("snapshot", 4, &[]),
    Module("proxy", 5, &[]),
    Module("admin", 5, &[]),
    Module("app", 6, &[]),
    Module("cli", 6, &["app"]),
    Module("main", 6, &["app", "cli"]),
];

/// Their verdicts follow from their arguments alone.
const PURE: [&str; 3] = ["resilience", "wire", "config"];

/// Names that reach the network, a runtime or a thread.
const IMPURE: [&str; 8] = [
    "tokio",
    "tokio_rustls",
    "hyper",
    "hyper_util",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "thread",
];

/// Who reads the clock that people set: to tell them the time, to understand a time of day that somebody wrote, or how old a file is.
const READ_THE_WALL: [&str; 17] = [
    "src/admin/api.rs",
    "src/app/holds.rs",
    "src/app/loader.rs",
    "src/app/reload/status.rs",
    "src/app/state.rs",
    "src/cli/check.rs",
    "src/proxy/http/carry.rs",
    "src/proxy/http/kept.rs",
    "src/proxy/http/reply.rs",
    "src/proxy/http/retrying.rs",
    "src/snapshot/build.rs",
    "src/snapshot/limits.rs",
    "src/telemetry/exchange.rs",
    "src/telemetry/logging.rs",
    "src/telemetry/writer.rs",
    "src/time.rs",
    "src/upstream/endpoints.rs",
];

#[test]
fn modules_use_only_lower_layers_and_listed_friends() {
    let sources = Source::all_below("src");
    hold(sources.iter().flat_map(layer_violations));
}

#[test]
fn the_table_of_the_front_page_is_the_one_that_the_source_is_held_to() {
    let page = fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let mut told = BTreeSet::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let Ok(layer) = cells[0].parse() else {
            continue;
        };
        for name in cells[1].split("[`").skip(1) {
            let name = name.split('`').next().unwrap();
            let uses = format!("`{name}` uses `");
            let friends = cells[2].split(&uses).skip(1);
            let friends = friends.map(|friend| friend.split('`').next().unwrap());
            told.insert((layer, name, friends.collect::<Vec<_>>()));
        }
    }
    let held = MODULES.iter().filter(|module| module.0 != "main");
    let held = held.map(|Module(name, layer, friends)| (*layer, *name, friends.to_vec()));
    assert_eq!(told, BTreeSet::<(u8, &str, Vec<&str>)>::from_iter(held));
}

/// What stood there under a name of its own, or came from a macro, would belong to no layer.
#[test]
fn the_root_declares_modules_and_nothing_else() {
    let root = Source::new(
        "src/lib.rs",
        &fs::read_to_string(repository().join("src/lib.rs")).unwrap(),
    );
    let is_module = |line: &str| line.starts_with("pub mod ") && line.ends_with(';');
    let others = root.product.lines().map(str::trim);
    let others = others.filter(|line| !line.is_empty() && !is_module(line));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
    let exports = |source: &Source| source.product.contains("macro_export");
    hold(
        Source::all_below("src")
            .iter()
            .filter(|source| exports(source))
            .map(|source| {
                format!(
                    "{}: a macro at the root of the crate belongs to no layer",
                    source.path
                )
            }),
    );
}

#[test]
fn pure_layers_name_no_runtime_socket_or_thread() {
    let sources = Source::all_below("src");
    hold(sources.iter().flat_map(purity_violations));
}

#[test]
fn rule_7_no_duration_and_no_deadline_comes_from_the_clock_that_people_set() {
    let sources = Source::all_below("src");
    let reads = |source: &Source| {
        let mut names = names(&source.product);
        names.any(|(at, _)| {
            let text = &source.product[at..];
            text.starts_with("wall()") || text.starts_with("Moment::read()")
        })
    };
    let readers: Vec<_> = sources.iter().filter(|source| reads(source)).collect();
    let readers: Vec<_> = readers.iter().map(|source| &*source.path).collect();
    assert_eq!(readers, READ_THE_WALL, "who else must go by `time::now`");
}

pub(crate) fn hold(violations: impl Iterator<Item = String>) {
    let violations: Vec<_> = violations.collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

fn layer_violations(source: &Source) -> Vec<String> {
    let module = source.module();
    // The root only declares the modules.
    let Some(user) = module.first() else {
        return Vec::new();
    };
    let Some(Module(_, layer, friends)) = find(user) else {
        return vec![format!(
            "{}: the module {user} has no layer; give it one in tests/it/architecture.rs",
            source.path
        )];
    };
    let mut violations = Vec::new();
    for (position, used) in used_modules(source) {
        if used == "self" || used == "*" {
            violations.push(format!(
                "{}: name the module: the whole crate has no layer",
                source.place(position)
            ));
        }
        // Items at the root are not modules; a module that is not in the table is reported with its own files.
        let Some(Module(_, below, _)) = find(used) else {
            continue;
        };
        if used != *user && below >= layer && !friends.contains(&used) {
            violations.push(format!(
                "{}: {user} (layer {layer}) may not use {used} (layer {below})",
                source.place(position)
            ));
        }
    }
    violations
}

fn purity_violations(source: &Source) -> Vec<String> {
    if !source
        .module()
        .first()
        .is_some_and(|module| PURE.contains(module))
    {
        return Vec::new();
    }
    let found = names(&source.product).filter(|(position, name)| {
        // To ask whether a panic unwinds is no thread.
        let behind = &source.product[position + name.len()..];
        IMPURE.contains(name) && !(*name == "thread" && behind.starts_with("::panicking"))
    });
    found
        .map(|(position, name)| {
            format!(
                "{}: a pure layer names {name}; take plain data and `now`",
                source.place(position)
            )
        })
        .collect()
}

fn find(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.0 == name)
}

/// The top-level modules that a file's product names by a path from the root: `crate::a`, `crate::{a, b::c}`, `super::super::a`.
fn used_modules(source: &Source) -> Vec<(usize, &str)> {
    let code = &source.product;
    let mut used = Vec::new();
    let mut supers = 0;
    for (position, name) in names(code) {
        let behind = position + name.len();
        supers = match name {
            "super" if supers > 0 && code[..position].ends_with("::") => supers + 1,
            "super" => 1,
            _ => 0,
        };
        let at_root = matches!(name, "crate" | "sidefuse")
            || (name == "super" && supers == source.module().len());
        if at_root && code[behind..].trim_start().starts_with("as ") {
            used.push((position, "*"));
        }
        if let Some(path) = code[behind..].strip_prefix("::").filter(|_| at_root) {
            used.extend(
                first_names(path)
                    .into_iter()
                    .map(|(offset, first)| (behind + 2 + offset, first)),
            );
        }
    }
    used
}

/// The first names of the paths that begin here: one, or those of a group; `*` or `self` where it is all of them.
fn first_names(path: &str) -> Vec<(usize, &str)> {
    if path.starts_with('*') {
        return vec![(0, "*")];
    }
    let Some(group) = path.strip_prefix('{') else {
        return names(path)
            .take(usize::from(path.starts_with(is_name_char)))
            .collect();
    };
    let mut depth = 0;
    let mut expected = true;
    let mut found = Vec::new();
    for (position, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            '*' if expected => found.push((1 + position, "*")),
            _ if expected && is_name_char(char) => {
                expected = false;
                found.extend(
                    names(&group[position..])
                        .take(1)
                        .map(|(_, name)| (1 + position, name)),
                );
            }
            _ => {}
        }
    }
    found
}

mod tests {
    use super::*;

    fn violations(path: &str, text: &str) -> Vec<String> {
        let source = Source::new(path, text);
        [layer_violations(&source), purity_violations(&source)].concat()
    }

    #[test]
    fn a_use_of_a_higher_layer_is_found_however_it_is_written() {
        for text in [
            "\nuse crate::proxy::http;",
            "\nuse crate::{time, proxy::{self, admin}};",
            "\nfn f() { super::super::proxy::f() }",
            "\nuse super::super::{proxy, time};",
        ] {
            let expected = "src/net/tcp.rs:2: net (layer 3) may not use proxy (layer 5)";
            assert_eq!(violations("src/net/tcp.rs", text), [expected], "{text}");
        }
    }

    #[test]
    fn a_name_for_the_whole_crate_is_found_since_it_hides_what_is_used() {
        let expected = "src/net/tcp.rs:1: name the module: the whole crate has no layer";
        for text in [
            "use crate::*;",
            "use crate::{time, *};",
            "use crate::{self as all};",
            "use crate as all;",
            "use super::super::*;",
        ] {
            assert_eq!(violations("src/net/tcp.rs", text), [expected], "{text}");
        }
        let text = "use crate::time::*; use crate::time::{self, now}; use crate::net as this;";
        assert_eq!(violations("src/net/tcp.rs", text), [""; 0]);
    }

    #[test]
    fn neighbours_may_not_use_each_other_but_friends_may() {
        assert_eq!(
            violations("src/admin/api.rs", "use crate::proxy::http;").len(),
            1
        );
        assert_eq!(violations("src/proxy/mod.rs", "use crate::admin;").len(), 1);
        assert_eq!(
            violations("src/net/mod.rs", "use super::upstream;").len(),
            1
        );
        assert_eq!(violations("src/main.rs", "use sidefuse::cli;"), [""; 0]);
        assert_eq!(
            violations(
                "src/upstream/pool.rs",
                "use crate::{net::Io, upstream, time};"
            ),
            [""; 0]
        );
    }

    #[test]
    fn tests_comments_and_strings_use_nothing() {
        let text = "//! crate::admin\nfn f() -> &'static str { \"crate::admin\" }\n#[cfg(test)]\nmod tests { use crate::admin; use tokio::net; }";
        assert_eq!(violations("src/resilience/x.rs", text), [""; 0]);
    }

    #[test]
    fn a_pure_layer_that_spawns_is_found_and_a_module_without_a_layer_too() {
        let expected = "src/config/x.rs:1: a pure layer names thread; take plain data and `now`";
        assert_eq!(
            violations("src/config/x.rs", "use std::thread;"),
            [expected]
        );
        let expected =
            "src/misc.rs: the module misc has no layer; give it one in tests/it/architecture.rs";
        assert_eq!(violations("src/misc.rs", ""), [expected]);
    }
}

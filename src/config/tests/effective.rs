//! What counts: it means the same as the file, leaves nothing out, shows no secret, and says where each value comes from.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::catalogue::Disk;
use super::keys::{Choice, FILE, Section, Unwritten};
use super::schema::{EVERYTHING, SMALLEST, single_values};
use super::*;

/// Uses several layers.
pub(super) const LAYERED: &str = "\
version: 1
defaults:
  idle_timeout: 1m
  breaker: {success_threshold: 4}
presets:
  partner-api:
    extends: whatsapp
    timeout: 10s
    breaker: {failure_threshold: 8}
    classify: [{status: 404, as: failure}, inherited]
  theirs: {extends: partner-api, attempt_timeout: \"${ATTEMPT:-2s}\"}
routes:
  listings:
    preset: theirs
    upstream: \"${LISTINGS_URL}\"
    breaker: {reset_timeout: 30s, half_open_max: \"${MOST:-3}\"}
    fallback:
      - stale: {max_age: 2h}
      - respond: {status: 200, json: {list: [], id: \"%{correlationId}\"}}
    shadow: {strict: {failure_threshold: 3}}
  plain: {upstream: https://plain.example.com}
overrides:
  listings: {force: open, reason: INC-1234}
";

fn env(name: &str) -> Option<String> {
    match name {
        "LISTINGS_URL" => Some("https://listings.example.com".to_owned()),
        "MOST" => Some("4".to_owned()),
        "LOG_LEVEL" => Some("DEBUG".to_owned()),
        _ => None,
    }
}

/// Holds what counts in `loaded` to mean the same, in both notations, and to be all that counts in itself.
pub(super) fn means_the_same(loaded: &Loaded, env: &dyn Fn(&str) -> Option<String>) {
    let effective = Effective::of(&loaded.source).unwrap();
    let yaml = effective.yaml();
    let json = effective.json().to_string();
    for text in [&yaml, &json] {
        let again = load(text, "config.yaml", env);
        let again = again.unwrap_or_else(|report| panic!("{report}\n{text}"));
        // What is masked means something else, and without quotes JSON knows no text that stands for a number.
        let is_other = text.contains("***") || text == &json && text.contains("${");
        let is_exact = !is_other;
        if is_exact {
            assert_eq!(again.plan, loaded.plan, "{text}");
        }
        if is_exact && text == &yaml {
            let same = Effective::of(&again.source).unwrap().yaml();
            assert_eq!(&same, text);
        }
    }
}

fn of(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load(text, "config.yaml", env).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn what_counts_means_the_same_as_the_file() {
    let disk = Disk::new();
    for text in [EXAMPLE, EVERYTHING, SMALLEST] {
        means_the_same(&of(text, &disk.env()), &disk.env());
    }
    means_the_same(&of(LAYERED, &env), &env);
}

/// The last value that is good, the first, and those between: of each key, in `defaults`, in presets and in routes.
#[test]
fn every_value_of_every_key_means_the_same_with_all_that_counts() {
    let mut whole = 0;
    for text in single_values() {
        if let Ok(loaded) = load(&text, "config.yaml", &no_env) {
            means_the_same(&loaded, &no_env);
            whole += 1;
        }
    }
    assert!(whole > 300, "only {whole} values make a whole file");
}

/// The whole files that the documentation shows.
pub(super) fn examples(env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let pages = crate::docs::PAGES.iter().map(|page| page.text);
    let mut files: Vec<String> = Vec::new();
    for page in pages.chain([readme]) {
        let blocks = page.split("```yaml\n").skip(1);
        files.extend(blocks.filter_map(|block| Some(block.split_once("```")?.0.to_owned())));
    }
    files.retain(|text| load(text, "config.yaml", env).is_ok());
    files
}

#[test]
fn every_example_of_the_documentation_means_the_same_with_all_that_counts() {
    let disk = Disk::new();
    let files = examples(&disk.env());
    assert!(files.len() >= 4, "only {} are whole files", files.len());
    for text in files {
        means_the_same(&of(&text, &disk.env()), &disk.env());
    }
}

#[test]
fn no_key_that_counts_is_left_out() {
    let disk = Disk::new();
    let mut seen = BTreeSet::new();
    for text in [EVERYTHING, SMALLEST] {
        let loaded = of(text, &disk.env());
        let json = Effective::of(&loaded.source).unwrap().json();
        see(&FILE, "", &json, &mut seen);
    }
    let mut all = BTreeSet::new();
    name(&FILE, &mut all);
    // Layers are shown in their effect.
    all.retain(|(section, key)| {
        let is_layer = ["defaults", "shared_upstream", "preset"].contains(section);
        !is_layer && (*section, *key) != ("file", "defaults")
    });
    let left: Vec<_> = all.difference(&seen).collect();
    assert!(left.is_empty(), "left out: {left:?}");
}

fn name(section: &'static Section, all: &mut BTreeSet<(&'static str, &'static str)>) {
    for key in section.keys() {
        let is_new = all.insert((section.name, key.name));
        if let (Some(inner), true) = (key.kind.section(), is_new) {
            name(inner, all);
        }
    }
}

/// Notes each key, and holds each mapping to have those that have a value without being written.
fn see(
    section: &'static Section,
    path: &str,
    json: &Json,
    seen: &mut BTreeSet<(&'static str, &'static str)>,
) {
    let Some(mapping) = json.as_object() else {
        return;
    };
    for key in section.keys() {
        let path = format!("{path}.{}", key.name);
        let is_chosen = match section.choice {
            Choice::One(names) | Choice::OneAtMost(names) => names.contains(&key.name),
            Choice::Any | Choice::Some | Choice::Apart(..) => false,
        };
        let Some(value) = mapping.get(key.name) else {
            let has_value = matches!(key.unwritten, Unwritten::Value(_));
            let is_whole = section.name == "preset" || key.beside.is_some() || is_chosen;
            assert!(is_whole || !has_value, "{path} is left out");
            continue;
        };
        seen.insert((section.name, key.name));
        let Some(inner) = key.kind.section() else {
            continue;
        };
        let values: Vec<&Json> = match (key.kind.is_named(), value) {
            (true, Json::Object(named)) => named.values().collect(),
            (false, Json::Array(items)) => items.iter().collect(),
            _ => vec![value],
        };
        for value in values {
            see(inner, &path, value, seen);
        }
    }
}

#[test]
fn each_value_of_a_route_says_where_it_comes_from() {
    let loaded = of(LAYERED, &env);
    let source = &loaded.source;
    let told = ["listings", "plain"].map(|name| {
        let rows = source.route(name).unwrap();
        format!("{name}\n{}", table(&rows))
    });
    insta::assert_snapshot!(told.join("\n"));
    let (shared, names) = source.shared().unwrap();
    insta::assert_snapshot!("shared", table(&shared));
    assert_eq!(names, ["listings", "plain"]);
    assert!(source.route("listing").is_none());
    assert_eq!(source.nearest("listing").as_deref(), Some("listings"));
}

#[test]
fn what_counts_is_as_reviewed() {
    let loaded = of(LAYERED, &env);
    insta::assert_snapshot!(Effective::of(&loaded.source).unwrap().yaml());
}

/// Whatever a file calls a secret: a literal, a default, the value of a variable, what a file holds.
#[test]
fn no_secret_is_shown() {
    let disk = Disk::new();
    let secret = "hush-4711";
    let hidden = |name: &str| match name {
        "HUSH" => Some(secret.to_owned()),
        name => disk.env()(name),
    };
    let text = route(&format!(
        "\
match: {{headers: {{X-Api-Key: {secret}, X-Tenant: a}}}}
probe: {{path: \"/health?token={secret}&deep=${{HUSH}}&x=${{U:-{secret}}}\"}}
fallback:
  respond:
    status: 200
    headers: {{Set-Cookie: a={secret}, X-Session: \"{secret}\"}}
    json: {{access_token: {secret}, tokens: [{secret}], api_key: \"${{U:-{secret}}}\", link: \"https://me:{secret}@host/\", env: \"${{HUSH}}\"}}
headers:
  request:
    set:
      Authorization: Bearer {secret}
      X-Custom: Basic {secret}
      X-Api-Key: \"${{U:-{secret}}}\"
      Cookie: \"session={secret}; b=${{HUSH}}\"
      X-Env: \"${{HUSH}}\"
      X-Held: {{file: \"${{DIR}}/secret\", prefix: \"Bearer {secret}\"}}
  response: {{set: {{X-Signature: {secret}}}}}"
    ));
    let loaded = of(&text, &hidden);
    let effective = Effective::of(&loaded.source).unwrap();
    let rows = loaded.source.route("partner").unwrap();
    let shown = [
        effective.yaml(),
        effective.json().to_string(),
        table(&rows),
        rows.iter().map(|row| row.json().to_string()).collect(),
        format!("{:?}", loaded.source),
    ];
    for text in &shown {
        assert!(!text.contains(secret), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    for kept in ["${HUSH}", "X-Tenant", "${DIR}/secret", "Bearer ***"] {
        assert!(shown[0].contains(kept), "{kept}: {}", shown[0]);
    }
    means_the_same(&loaded, &hidden);
}

/// Two routes that differ only by a secret still differ where it is masked.
#[test]
fn routes_that_match_by_different_secrets_still_do() {
    let text = "\
version: 1
routes:
  a: {upstream: https://a.example.com, match: {headers: {X-Api-Key: one}}}
  b: {upstream: https://b.example.com, match: {headers: {X-Api-Key: two}}}
";
    good(text);
}

/// Settings that an alias repeats are of the one who repeats them, and of an anchor in another route nothing is lost.
#[test]
fn an_alias_keeps_its_place_in_the_layer_that_uses_it() {
    let text = "\
version: 1
presets: {slow: {timeout: 40s}}
routes:
  a: {upstream: https://a.example.com, breaker: &strict {failure_threshold: 2}}
  b: {preset: slow, upstream: https://b.example.com, breaker: *strict}
";
    let loaded = good(text);
    let rows = loaded.source.route("b").unwrap();
    let of = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
    let threshold = of("breaker.failure_threshold");
    assert_eq!(
        (threshold.text.as_str(), threshold.origin.as_str()),
        ("2", "config.yaml:4:77")
    );
    assert_eq!(of("timeout").origin, "preset slow (config.yaml:2:27)");
}

/// A value that follows from one that the environment says would tell it.
#[test]
fn what_follows_from_a_reference_is_told_in_words() {
    let text = route(
        "timeout: \"${T}\"\nbreaker: {reset_timeout: \"${R}\"}\nlimits: {concurrency: {max: 5, queue: 5}, rate: {per_second: \"${P}\"}}\nprobe: {every: \"${E}\"}\nfallback: {stale: {max_bytes: \"${B}\"}}\nretry: {base: \"${W}\"}",
    ) + "correlation: {header: \"${H}\"}\n";
    let env = |name: &str| {
        let text = match name {
            "T" => "773ms",
            "R" => "774s",
            "P" => "775.5",
            "E" => "1776ms",
            "B" => "777777B",
            "W" => "1778ms",
            "H" => "X-7779",
            _ => return None,
        };
        Some(text.to_owned())
    };
    let loaded = of(&text, &env);
    let rows = loaded.source.route("partner").unwrap();
    let shared = loaded.source.shared().unwrap().0;
    let yaml = Effective::of(&loaded.source).unwrap().yaml();
    for told in [table(&rows), table(&shared), yaml] {
        assert!(!told.contains("77"), "{told}");
    }
    let of = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
    assert_eq!(
        of("limits.concurrency.queue_timeout").text,
        "1s, or the route's `timeout` where that is less"
    );
    assert_eq!(of("breaker.min_calls").text, "20");
    means_the_same(&loaded, &env);
}

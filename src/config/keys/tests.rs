use std::collections::BTreeMap;

use super::*;
use crate::config::preset::built_in_names;
use crate::resilience::{BreakerKeys, RetryOn, RetrySpec, ThrottleSpec};

/// Every mapping that a file may hold, once.
fn sections() -> BTreeMap<&'static str, &'static Section> {
    fn add(section: &'static Section, all: &mut BTreeMap<&'static str, &'static Section>) {
        match all.insert(section.name, section) {
            Some(other) => assert!(
                other.names().eq(section.names()),
                "two mappings are called {}",
                section.name
            ),
            None => section
                .keys()
                .filter_map(|key| key.kind.section())
                .for_each(|section| add(section, all)),
        }
    }
    let mut all = BTreeMap::new();
    add(&FILE, &mut all);
    all
}

#[test]
fn every_key_is_described_once_in_a_whole_sentence() {
    for section in sections().values() {
        let mut names: Vec<_> = section.names().collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), section.keys().count(), "{}", section.name);
        for key in section.keys() {
            let sentence = key.meaning;
            assert!(sentence.ends_with('.'), "{}.{}", section.name, key.name);
            if let Unwritten::Said(said) = key.unwritten {
                assert!(!said.ends_with('.'), "{}.{}", section.name, key.name);
            }
        }
        for choice in section.choices() {
            assert!(section.key(choice).is_some(), "{}.{choice}", section.name);
        }
    }
}

#[test]
fn words_of_other_modules_stand_in_the_forms() {
    for name in built_in_names() {
        assert!(forms::NEW_PRESET_NAME.pattern.contains(name), "{name}");
        assert!(
            ROUTE.key("preset").unwrap().meaning.contains(name),
            "{name}"
        );
    }
    for word in RetryOn::WORDS {
        assert!(forms::RETRIED.pattern.contains(word), "{word}");
        assert!(forms::RETRIED.name.contains(word), "{word}");
    }
}

/// The engine has defaults of its own for those who use it without a file.
#[test]
fn the_defaults_of_the_engine_are_those_of_the_file() {
    let text =
        "version: 1\nroutes: {partner: {upstream: https://a.example.com, retry: {attempts: 2}}}\n";
    let plan = crate::config::load(text, "x", &|_| None).unwrap().plan;
    let route = &plan.routes["partner"];
    assert_eq!(*route.breaker.keys(), BreakerKeys::default());
    assert_eq!(route.throttle, Some(ThrottleSpec::default()));
    let two = RetrySpec {
        attempts: 2,
        ..RetrySpec::default()
    };
    assert_eq!(route.retry.as_deref(), Some(&two));
    assert_eq!(plan.dns, crate::config::plan::DnsPlan::default());
}

#[test]
fn a_key_of_one_place_only_has_a_home() {
    for (key, place) in [
        ("connect_timeout", Some("upstream")),
        ("evict_every", Some("upstream.pool")),
        ("failure_threshold", Some("breaker")),
        ("per_second", Some("limits.rate")),
        ("drain", Some("shutdown")),
        ("user_id_header", Some("logs")),
        ("max_age", Some("fallback.stale")),
        ("timeout", None),
        ("banana", None),
    ] {
        assert_eq!(home(key).as_deref(), place, "{key}");
    }
}

#[test]
fn what_others_say_leads_to_keys_of_ours() {
    let mut seen = std::collections::BTreeSet::new();
    for (words, path) in words::WORDS {
        for word in words {
            assert!(seen.insert(word), "`{word}` is there twice");
            assert!(!word.contains(['_', '-']), "`{word}` is never compared");
        }
        let root = [&ROUTE, &FILE].into_iter();
        let mut sections = root.filter(|root| root.key(path.split('.').next().unwrap()).is_some());
        let mut section = sections.next();
        for name in path.split('.') {
            let key = section.and_then(|section| section.key(name));
            let key = key.unwrap_or_else(|| panic!("{path} is no key"));
            section = key.kind.section();
        }
    }
}

#[test]
fn a_word_of_others_is_told_from_where_it_stands() {
    let retry = ROUTE.key("retry").unwrap().kind.section().unwrap();
    for (word, section, here) in [
        ("retries", &ROUTE, Some("retry.attempts")),
        ("retries", &DEFAULTS, Some("retry.attempts")),
        ("maxRetries", retry, Some("attempts")),
        ("circuit-breaker", &PRESET, Some("breaker")),
        ("threshold", &CANDIDATE, Some("failure_threshold")),
        ("max_connections", retry, None),
        ("retries", &FILE, None),
        ("services", &FILE, Some("routes")),
        ("banana", &ROUTE, None),
    ] {
        assert_eq!(
            called_here(word, section),
            here,
            "{word} in {}",
            section.name
        );
    }
    assert_eq!(
        called_anywhere("retries").as_deref(),
        Some("routes.NAME.retry.attempts")
    );
    assert_eq!(called_anywhere("logLevel").as_deref(), Some("logs.level"));
    assert_eq!(called_anywhere("banana"), None);
}

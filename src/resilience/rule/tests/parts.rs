//! Each kind of condition by itself.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::resilience::rule::*;
use crate::resilience::{Scope, Signal};

fn rules(all: impl IntoIterator<Item = Rule>) -> Rules {
    all.into_iter().collect()
}

fn at(pointer: &str, expected: &[Expected]) -> Conditions {
    let json = vec![(Pointer::parse(pointer).unwrap(), expected.to_vec())];
    Conditions {
        json,
        ..Conditions::new(Statuses::REFUSING)
    }
}

fn text(text: &str) -> Expected {
    Expected::Text(Pattern::new(text))
}

#[test]
fn statuses_are_a_set() {
    let set = Statuses::of([(500, 599), (404, 404), (405, 410), (408, 450)]);
    for status in 0..=u16::MAX {
        let expected = matches!(status, 404..=450 | 500..=599);
        assert_eq!(set.contain(status), expected, "{status}");
    }
    assert_eq!(set.to_string(), "404-450, 5xx");
    assert_eq!(Statuses::ANY.to_string(), "any");
    assert!(Statuses::ANY.cover(&set) && !set.cover(&Statuses::ANY));
    assert!(set.cover(&Statuses::of([(510, 520), (420, 420)])));
    assert_eq!(
        Statuses::of([(100, 200), (201, 599)]),
        Statuses::ANY,
        "equal sets are equal values"
    );
}

#[test]
fn a_star_stands_for_any_run_of_bytes_also_of_none() {
    for (pattern, fits, fails) in [
        ("", &[""][..], &["a"][..]),
        ("*", &["", "a", "*"], &[]),
        ("abc", &["abc"], &["", "ab", "abcd", "ABC"]),
        ("a*", &["a", "abc"], &["", "ba"]),
        ("*a", &["a", "cba"], &["", "ab"]),
        ("a*a", &["aa", "aba"], &["a", "ab"]),
        (
            "a*b*c",
            &["abc", "axbxc", "abbcc", "abcbc"],
            &["ac", "abca", "acb"],
        ),
        ("*ab*ab*", &["abab", "xabyabz"], &["aab", "aba"]),
        ("**", &["", "x"], &[]),
    ] {
        for text in fits {
            assert!(
                Pattern::new(pattern).fits(text.as_bytes()),
                "{pattern} {text}"
            );
        }
        for text in fails {
            assert!(
                !Pattern::new(pattern).fits(text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }
    assert!(
        Pattern::new("a*").fits(b"a\xff"),
        "a value need not be UTF-8"
    );
}

#[test]
fn pointers_are_those_of_rfc_6901() {
    // The document and the pointers of its section 5.
    let document = json!({
        "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8, "~1": 9
    });
    for (text, found) in [
        ("", document.clone()),
        ("/foo", json!(["bar", "baz"])),
        ("/foo/0", json!("bar")),
        ("/", json!(0)),
        ("/a~1b", json!(1)),
        ("/c%d", json!(2)),
        ("/e^f", json!(3)),
        ("/g|h", json!(4)),
        ("/i\\j", json!(5)),
        ("/k\"l", json!(6)),
        ("/ ", json!(7)),
        ("/m~0n", json!(8)),
        ("/~01", json!(9)),
    ] {
        let pointer = Pointer::parse(text).unwrap();
        assert_eq!(pointer.find(&document), Some(&found), "{text}");
        assert_eq!(pointer.to_string(), text);
    }
    for nowhere in ["/foo/2", "/foo/00", "/foo/+1", "/foo/-", "/foo/0/x", "/bar"] {
        let pointer = Pointer::parse(nowhere).unwrap();
        assert_eq!(pointer.find(&document), None, "{nowhere}");
    }
    assert_eq!(Pointer::parse("foo"), Err(BadPointer::Slash));
    assert_eq!(Pointer::parse("#/foo"), Err(BadPointer::Slash));
    for bad in ["/~", "/~2", "/a~", "/~~0"] {
        assert_eq!(Pointer::parse(bad), Err(BadPointer::Tilde), "{bad}");
    }
}

#[test]
fn a_code_counts_whether_it_is_a_number_or_a_string() {
    let code = Expected::Numbers(200, 299);
    for yes in [
        json!(200),
        json!(299),
        json!("250"),
        json!(200.0),
        json!(2.5e2),
    ] {
        assert!(code.is(&yes), "{yes}");
    }
    for no in [
        json!(199),
        json!(300),
        json!("0x200"),
        json!(""),
        json!("+250"),
        json!(250.5),
        json!(1e300),
        json!(u64::MAX),
        json!([200]),
        json!({"code": 200}),
        json!(true),
        json!(null),
    ] {
        assert!(!code.is(&no), "{no}");
    }
    assert!(Expected::Numbers(-1, -1).is(&json!("-1")));
    assert!(text("RATE_*").is(&json!("RATE_LIMIT")) && !text("rate").is(&json!("RATE")));
    assert!(text("true").is(&json!(true)) && text("1.5").is(&json!(1.5)));
    assert!(!text("*").is(&json!(null)) && !text("*").is(&json!([])));
}

#[test]
fn the_first_rule_that_holds_decides_before_the_default() {
    let rules = rules([
        Rule::of_answers(
            Conditions::new(Statuses::of([(404, 404)])),
            Then::new(Outcome::Failure),
        ),
        Rule::of_answers(
            Conditions::new(Statuses::of([(400, 499)])),
            Then::new(Outcome::Ignored),
        ),
    ]);
    let headers = HeaderMap::new();
    let of = |status| {
        rules.of_answer(&Answer {
            status,
            headers: &headers,
            json: None,
        })
    };
    assert_eq!(of(404), Verdict::failure(Label::Status(404)));
    assert_eq!(of(403).outcome, Outcome::Ignored);
    assert_eq!(of(500), Verdict::failure(Label::Status(500)));
    assert_eq!(of(200), Verdict::of_status(200, false));
}

#[test]
fn a_throttled_verdict_always_has_its_signal_case_112() {
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    let default = Rules::default().of_answer(&Answer {
        status: 503,
        headers: &headers,
        json: None,
    });
    assert_eq!(
        (default.outcome, default.signal),
        (Outcome::Throttled, Some(Signal::default()))
    );
    let signal = Signal {
        scope: Scope::Key,
        pause: Some(Duration::from_secs(30)),
    };
    let then = Then {
        signal,
        ..Then::new(Outcome::Throttled)
    };
    let of_rule = rules([Rule::of_errors(vec!["timeout"], then)]).of_error("timeout");
    assert_eq!(
        (of_rule.outcome, of_rule.signal),
        (Outcome::Throttled, Some(signal))
    );
}

#[test]
fn without_a_rule_of_its_own_an_error_is_a_failure_under_its_name_case_132() {
    let rules = rules([
        Rule::of_answers(Conditions::new(Statuses::ANY), Then::new(Outcome::Success)),
        Rule::of_errors(vec!["reset", "dns"], Then::new(Outcome::Ignored)),
    ]);
    assert_eq!(
        rules.of_error("timeout"),
        Verdict::failure(Label::Named("timeout"))
    );
    assert_eq!(rules.of_error("dns").outcome, Outcome::Ignored);
}

#[test]
fn a_body_is_wanted_only_where_it_can_decide() {
    let mut json_before = HeaderMap::new();
    json_before.insert("x-kind", HeaderValue::from_static("final"));
    let by_header = Conditions {
        headers: vec![("x-kind".parse().unwrap(), Some(Pattern::new("fin*")))],
        ..Conditions::new(Statuses::ANY)
    };
    let rules = rules([
        Rule::of_errors(vec!["timeout"], Then::new(Outcome::Ignored)),
        Rule::of_answers(by_header, Then::new(Outcome::Alive)),
        Rule::of_answers(at("/code", &[text("x")]), Then::new(Outcome::Failure)),
    ]);
    let plain = HeaderMap::new();
    assert!(rules.want_body(400, &plain) && rules.want_body(599, &plain));
    assert!(
        !rules.want_body(399, &plain),
        "a success is not looked into"
    );
    assert!(!rules.want_body(400, &json_before), "decided before");
    assert!(!Rules::default().want_body(500, &plain));
}

#[test]
fn null_and_nothing_are_the_same_to_a_rule_that_asks_for_anything() {
    let rules = rules([Rule::of_answers(
        at("/error/code", &[]),
        Then::new(Outcome::Alive),
    )]);
    let of = |body: Option<&Value>| {
        let headers = &HeaderMap::new();
        let answer = Answer {
            status: 500,
            headers,
            json: body,
        };
        rules.of_answer(&answer).outcome
    };
    assert_eq!(of(Some(&json!({"error": {"code": 0}}))), Outcome::Alive);
    for body in [
        json!({"error": {"code": null}}),
        json!({"error": 1}),
        json!([]),
    ] {
        assert_eq!(of(Some(&body)), Outcome::Failure, "{body}");
    }
    assert_eq!(of(None), Outcome::Failure);
}

#[test]
fn a_rule_covers_what_it_leaves_nothing_of() {
    let then = Then::new(Outcome::Alive);
    let status =
        |first, last| Rule::of_answers(Conditions::new(Statuses::of([(first, last)])), then);
    let codes = |codes: &[Expected]| Rule::of_answers(at("/code", codes), then);
    let numbers = Expected::Numbers;
    assert!(status(400, 499).covers(&status(404, 404)));
    assert!(!status(404, 404).covers(&status(400, 499)));
    assert!(status(400, 599).covers(&Rule::of_answers(
        Conditions {
            statuses: Statuses::of([(400, 499)]),
            ..at("/code", &[])
        },
        then
    )));
    assert!(codes(&[numbers(1, 9)]).covers(&codes(&[numbers(2, 3), numbers(9, 9)])));
    assert!(!codes(&[numbers(1, 9)]).covers(&codes(&[])));
    assert!(codes(&[]).covers(&codes(&[text("x")])));
    assert!(!codes(&[]).covers(&status(404, 404)));
    let errors = |labels: &[&'static str]| Rule::of_errors(labels.to_vec(), then);
    assert!(errors(&["dns", "tls"]).covers(&errors(&["tls"])));
    assert!(!errors(&["dns"]).covers(&errors(&["dns", "tls"])));
    assert!(!errors(&["dns"]).covers(&status(404, 404)));
}

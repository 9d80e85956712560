//! What gRPC statuses prove (case 72).

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::resilience::grpc::*;
use crate::resilience::{Label, Outcome};

fn fields(all: &[(&'static str, &'static str)]) -> HeaderMap {
    all.iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn the_table_of_statuses_is_as_reviewed_case_72() {
    let mut table = String::new();
    for code in (0..=17)
        .map(|code| code.to_string())
        .chain(["x", "", "-1", "99999999999"].map(str::to_owned))
    {
        let mut trailers = HeaderMap::new();
        trailers.insert(STATUS, HeaderValue::try_from(&code).unwrap());
        let verdict = verdict(&trailers).unwrap();
        let label = match verdict.label {
            Some(Label::Named(name)) => name,
            Some(Label::Status(_)) | None => "",
        };
        let line = format!("{code:<12}{:<10}{label}", verdict.outcome.label());
        table.push_str(line.trim_end());
        table.push('\n');
        assert_eq!(
            verdict.signal.is_some(),
            verdict.outcome == Outcome::Throttled
        );
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_pushback_is_the_pause() {
    let pause = |value| {
        let trailers = fields(&[("grpc-status", "8"), ("grpc-retry-pushback-ms", value)]);
        verdict(&trailers).unwrap().signal.unwrap().pause
    };
    assert_eq!(pause("1500"), Some(Duration::from_millis(1_500)));
    assert_eq!(pause("-1"), None);
    assert_eq!(pause("soon"), None);
}

#[test]
fn grpc_is_told_by_its_content_type_and_grpc_web_is_not_grpc() {
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;charset=utf-8",
    ] {
        assert!(is_spoken(&fields(&[("content-type", kind)])), "{kind}");
    }
    for kind in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/json",
        "application/grpcs",
    ] {
        assert!(!is_spoken(&fields(&[("content-type", kind)])), "{kind}");
    }
    assert!(!is_spoken(&HeaderMap::new()));
    assert_eq!(verdict(&HeaderMap::new()), None);
}

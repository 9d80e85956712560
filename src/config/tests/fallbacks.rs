//! What good fallbacks mean.

use std::fs;
use std::time::Duration;

use super::plan::{FallbackKind, FallbackPlan, Obedience, RespondPlan, RoutePlan, Sharing};
use super::template::Filling;
use super::*;

fn plan_of(text: &str) -> RoutePlan {
    let route = good(text).plan.routes.remove("partner");
    std::sync::Arc::unwrap_or_clone(route.unwrap())
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the fallbacks of a route with these settings are.
fn fallbacks(settings: &str) -> Vec<FallbackPlan> {
    plan_of(&route(&format!("fallback: {settings}"))).fallback
}

fn fixed(settings: &str) -> RespondPlan {
    match fallbacks(&format!("{{respond: {settings}}}"))
        .remove(0)
        .kind
    {
        FallbackKind::Respond(plan) => plan,
        FallbackKind::Route(_) | FallbackKind::Stale(_) => panic!("a fixed answer"),
    }
}

const FILLING: Filling<'_> = Filling {
    correlation_id: "id-1",
    route: "partner",
    retry_after: Some(42),
};

#[test]
fn a_fallback_is_one_several_or_none() {
    let kinds = |settings: &str| {
        let word = |plan: &FallbackPlan| match plan.kind {
            FallbackKind::Respond(_) => "respond",
            FallbackKind::Route(_) => "route",
            FallbackKind::Stale(_) => "stale",
        };
        let found: Vec<_> = fallbacks(settings).iter().map(word).collect();
        found.join(" ")
    };
    assert_eq!(kinds("{stale: }"), "stale");
    assert_eq!(
        kinds("[{stale: {}}, {respond: {status: 200}}]"),
        "stale respond"
    );
    assert_eq!(
        kinds("[{respond: }, {stale: , on_failure: true}]"),
        "respond stale"
    );
    assert_eq!(kinds("off"), "");
    assert_eq!(kinds("[]"), "");
    let inherited = "version: 1\ndefaults: {fallback: {stale: {}}}\nroutes:\n  a: {upstream: https://a.example.com, fallback: {route: partner}}\n  partner: {upstream: https://b.example.com, fallback: off}\n  c: {upstream: https://c.example.com}\n";
    let routes = good(inherited).plan.routes;
    assert_eq!(
        routes["a"].fallback[0].kind,
        FallbackKind::Route("partner".to_owned())
    );
    assert!(routes["partner"].fallback.is_empty());
    assert!(matches!(
        routes["c"].fallback[0].kind,
        FallbackKind::Stale(_)
    ));
}

#[test]
fn a_fixed_answer_means_what_its_yaml_means() {
    let plan = fixed(
        "{status: 202, json: {a: 1, b: \"1\", c: 1.5, d: true, e: \"true\", f: , g: [x, 007, -2], h: \"%{retryAfter}\", i: \"in %{retryAfter} s\\n\"}}",
    );
    assert_eq!(plan.status, Some(http::StatusCode::ACCEPTED));
    assert_eq!(plan.content_type.unwrap(), "application/json");
    let json = plan.body.unwrap().fill(&FILLING);
    assert_eq!(
        json,
        r#"{"a":1,"b":"1","c":1.5,"d":true,"e":"true","f":null,"g":["x","007",-2],"h":42,"i":"in 42 s\n"}"#
    );
    let plan = fixed("{headers: {X-Id: \"%{correlationId}\"}, body: \"%{route} 100%\"}");
    assert_eq!(
        (plan.status, plan.headers[0].1.fill(&FILLING)),
        (None, "id-1".into())
    );
    assert_eq!(plan.content_type.unwrap(), "text/plain; charset=utf-8");
    assert_eq!(plan.body.unwrap().fill(&FILLING), "partner 100%");
    assert_eq!(fixed("{status: 204}").body, None);
}

#[test]
fn a_body_in_a_file_is_what_its_name_says_and_binary_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let body = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let plan = fixed(&format!("{{body_file: {}}}", path.display()));
        let kind = plan.content_type.unwrap().to_str().unwrap().to_owned();
        (kind, plan.body.unwrap().fill(&FILLING))
    };
    let (kind, text) = body("a.HTML", b"<p>%{route}</p>");
    assert_eq!(
        (kind.as_str(), text),
        ("text/html; charset=utf-8", "<p>partner</p>".into())
    );
    let (kind, bytes) = body("b.bin", b"\xff%{nothing}");
    assert_eq!(kind, "application/octet-stream");
    assert_eq!(&bytes[..], b"\xff%{nothing}");
}

#[test]
fn kept_answers_have_defaults_that_fit_a_small_sidecar() {
    let stale = |settings: &str| match fallbacks(&format!("{{stale: {settings}}}")).remove(0).kind {
        FallbackKind::Stale(plan) => plan,
        FallbackKind::Route(_) | FallbackKind::Respond(_) => panic!("kept answers"),
    };
    let plan = stale("{}");
    assert_eq!(
        (plan.max_age, plan.max_bytes, plan.max_body),
        (secs(3600), 16 << 20, 1 << 20)
    );
    assert_eq!(
        (plan.credentials, plan.cache_control),
        (Sharing::Apart, Obedience::Obeyed)
    );
    assert!(plan.vary.is_empty() && plan.neutral.is_empty() && !plan.coalesce);
    let plan = stale(
        "{max_bytes: 512KiB, vary: [X-B, x-a, x-b], share_credentials: true, ignore_cache_control: true, coalesce: true}",
    );
    assert_eq!(
        plan.max_body,
        512 << 10,
        "the default of one is bounded by the other"
    );
    assert_eq!(plan.vary, ["x-a", "x-b"]);
    assert_eq!(
        (plan.credentials, plan.cache_control),
        (Sharing::Shared, Obedience::Ignored)
    );
    assert!(plan.coalesce);
    assert_eq!(stale("{neutral: [X-B, x-a, x-b]}").neutral, ["x-a", "x-b"]);
}

/// A key is the same whatever the environment says.
#[test]
fn no_reference_is_replaced_in_a_key() {
    let text = route("fallback: {respond: {status: 200, json: {\"${A}\": \"${A}\"}}}");
    let env = |name: &str| (name == "A").then(|| "b".to_owned());
    let mut plan = load(&text, "config.yaml", &env).unwrap().plan;
    let route = plan.routes.remove("partner").unwrap();
    let FallbackKind::Respond(RespondPlan { body, .. }) = &route.fallback[0].kind else {
        panic!("a fixed answer");
    };
    let body = body.as_ref().unwrap().fill(&FILLING);
    assert_eq!(body, r#"{"${A}":"b"}"#.as_bytes());
}

//! Where a route goes, which calls are its own, and what they are sent with.

use super::*;
use crate::config::plan::{EndpointPlan, HeaderText, HostPattern, Resolve};

#[test]
fn the_short_form_of_an_upstream_keeps_what_the_preset_says_of_it() {
    let plan = plan_of(&route("preset: database"));
    assert_eq!(
        (plan.upstream.host.as_str(), plan.upstream.pool.max),
        ("api.example.com", 20)
    );
}

#[test]
fn endpoints_take_the_port_of_the_url_and_the_rest_stays_the_urls() {
    let plan = plan_of(&route("").replace(
        "upstream: https://api.example.com",
        "upstream: {url: \"https://api.example.com:8443\", endpoints: [10.0.0.1, \"10.0.0.2:9443\", \"[::1]\"]}",
    ));
    let upstream = plan.upstream;
    let labels: Vec<String> = upstream
        .addresses()
        .iter()
        .map(EndpointPlan::label)
        .collect();
    assert_eq!(labels, ["10.0.0.1:8443", "10.0.0.2:9443", "[::1]:8443"]);
    assert_eq!(
        (upstream.host.as_str(), upstream.authority.to_str().unwrap()),
        ("api.example.com", "api.example.com:8443")
    );

    let plain = plan_of(&route("")).upstream;
    let labels: Vec<String> = plain.addresses().iter().map(EndpointPlan::label).collect();
    assert_eq!(
        labels,
        ["api.example.com:443"],
        "without a list the URL's own"
    );
    assert!(plain.endpoints.is_empty());
}

#[test]
fn a_header_of_the_route_replaces_that_of_the_defaults_whatever_its_case() {
    let text = format!(
        "defaults: {{headers: {{request: {{set: {{X-Tenant: a, X-Other: b}}}}}}}}\n{}",
        route("headers: {request: {set: {x-tenant: c}}}")
    );
    let set = plan_of(&text).headers.request.set;
    let set: Vec<_> = set
        .iter()
        .map(|(name, text)| match text {
            HeaderText::Literal(value) => (name.as_str(), value.to_str().unwrap()),
            HeaderText::File { .. } => panic!("no file was named"),
        })
        .collect();
    assert_eq!(set, [("x-other", "b"), ("x-tenant", "c")]);
}

#[test]
fn matches_are_kept_in_one_form() {
    let matches = plan_of(&route("match: {host: \"*.Example.com\", path_prefix: /api/v1/, methods: [POST, GET, POST], headers: {X-Debug: , x-tenant: acme}}"))
        .matches
        .unwrap();
    assert_eq!(
        matches.host,
        Some(HostPattern::Suffix(".example.com".to_owned()))
    );
    assert_eq!(matches.path_prefix.as_deref(), Some("/api/v1"));
    let all = plan_of(&route("match: {path_prefix: /}")).matches.unwrap();
    assert_eq!(all.path_prefix.as_deref(), Some(""));
    assert_eq!(matches.methods, [http::Method::GET, http::Method::POST]);
    let headers: Vec<_> = matches
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.is_some()))
        .collect();
    assert_eq!(headers, [("x-debug", false), ("x-tenant", true)]);
}

#[test]
fn the_addresses_of_a_name_are_one_endpoint_unless_each_is_asked_to_be_one() {
    assert_eq!(plan_of(&route("")).upstream.resolve, Resolve::One);
    let text = format!("defaults: {{upstream: {{resolve: all}}}}\n{}", route(""));
    assert_eq!(plan_of(&text).upstream.resolve, Resolve::All);
}

#[test]
fn a_probe_is_a_get_behind_the_upstreams_path_every_10_s() {
    assert_eq!(plan_of(&route("")).probe, None);
    let text = route("probe: {path: /health}").replace("example.com", "example.com/v1/");
    let probe = plan_of(&text).probe.unwrap();
    assert_eq!(
        (probe.path.as_str(), probe.every, probe.timeout),
        ("/v1/health", secs(10), secs(5))
    );
    let good = [200, 204, 302, 399].map(|status| probe.expects(status));
    let bad = [101, 400, 404, 500].map(|status| probe.expects(status));
    assert_eq!((good, bad), ([true; 4], [false; 4]));
    let text = route("probe: {every: 2s, expect: [204, 3xx, 401-403]}");
    let probe = plan_of(&format!("defaults: {{probe: {{path: /up}}}}\n{text}"))
        .probe
        .unwrap();
    assert_eq!((probe.path.as_str(), probe.timeout), ("/up", secs(2)));
    assert!(probe.expects(204) && probe.expects(301) && probe.expects(402) && !probe.expects(200));
    let off = format!(
        "defaults: {{probe: {{path: /up}}}}\n{}",
        route("probe: off")
    );
    assert_eq!(plan_of(&off).probe, None);
}

#[test]
fn fewer_connections_than_workers_are_a_warning_where_they_may_be_of_http2() {
    let warned = |workers: &str, upstream: &str| {
        let text =
            format!("version: 1\nworkers: {workers}\nroutes: {{r: {{upstream: {upstream}}}}}\n");
        let told = good(&text).warnings;
        told.problems()
            .map(|one| (one.code, one.line))
            .collect::<Vec<_>>()
    };
    let told = [(Code::Pool, 3)];
    for (workers, upstream, expected) in [
        (
            "4",
            "{url: https://a.example.com, pool: {max: 3}}",
            &told[..],
        ),
        (
            "4",
            "{url: http://a.example.com, http: 2, pool: {max: 1}}",
            &told,
        ),
        ("4", "{url: http://a.example.com, pool: {max: 1}}", &[]),
        (
            "4",
            "{url: https://a.example.com, http: 1, pool: {max: 1}}",
            &[],
        ),
        ("4", "{url: https://a.example.com, pool: {max: 4}}", &[]),
        ("auto", "{url: https://a.example.com, pool: {max: 1}}", &[]),
    ] {
        assert_eq!(warned(workers, upstream), expected, "{workers} {upstream}");
    }
}
